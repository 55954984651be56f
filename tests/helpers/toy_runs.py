"""Finished runs of given distances, for tests of what reads and compares runs."""

import json
from pathlib import Path

import numpy as np

from absynth.data.split_files import write_split
from absynth.io.atomic import write_csv
from absynth.io.records import MINIMAL, write_record

SHAPE, CLASSES = (3, 4, 5), 4


def toy_images(n: int, seed: int = 0) -> np.ndarray:
    """Images (n, 3, 4, 5) uint8; fewer of the same seed are the first of them."""
    return np.stack(
        [np.random.default_rng([seed, i]).integers(0, 256, SHAPE, dtype=np.uint8) for i in range(n)]
    )


def toy_run(folder: Path, distances: dict[str, list[float]], order: list[int], **config) -> Path:
    """A finished run in L2 of models with these distances, on toy images in this order (a repeated one twice).

    config: laid over that of the run
    """
    labels = np.array(order) % CLASSES
    images = toy_images(max(order) + 1)[order]
    write_split(folder / "data" / "test.h5", images, labels, "toy", "test", n_classes=CLASSES)
    clean = images.astype(np.float32) / np.float32(255)
    for model, distance in distances.items():
        columns = {
            "index": np.arange(len(order)),
            "label": labels,
            "distance": distance,
            "attack": ["ddn" if 0 < value < np.inf else "" for value in distance],
            "adversarial": clean,
            "adversarial_prediction": labels,
        }
        write_record(
            folder / "minimal" / model / "l2.h5",
            columns,
            {"run": folder.name, "model": model, "norm": "l2"},
            MINIMAL,
        )
    known = {
        "run": folder.name,
        "dataset": "toy",
        "datasets": {},
        "n_samples": len(order),
        "norms": ["l2"],
        "epsilons": {"l2": 1.5, "linf": 0.3, "l0": 12},
        "relay": None,
        "models": {name: {"class": "mine.Net", "weights": "w.pt"} for name in distances},
        "attacks": {"ddn": {"steps": 50}},
        **config,
    }
    (folder / "tables").mkdir(exist_ok=True)
    (folder / "tables" / "provenance.json").write_text(json.dumps({"config": known, "versions": {}}))
    return folder


def toy_tables(folder: Path, **tables: list[dict]) -> None:
    """Tables of a run, by their stems."""
    for stem, rows in tables.items():
        write_csv(folder / "tables" / f"{stem}.csv", rows)
