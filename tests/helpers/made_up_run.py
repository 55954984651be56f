"""A run of any size whose adversarials are made up: real digits, in the files that the report reads."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from configs import ROOT, shipped
from pictures import EPSILONS, TITLES, statistics
from scripts.report.write_report import main

from absynth.data.idx import read_idx
from absynth.data.split_files import write_split
from absynth.evaluation.bracket import intervals
from absynth.evaluation.confusion import COLUMNS as CLASSES
from absynth.evaluation.confusion import adversarial_classes
from absynth.evaluation.paired import COLUMNS as PAIRS
from absynth.evaluation.paired import pair_rows
from absynth.io.records import MINIMAL, RECONSTRUCTIONS, write_record
from absynth.norms import NORMS
from absynth.reporting.contents import SECTIONS
from absynth.reporting.tables import table1
from absynth.workflow.provenance import provenance

SIX = {
    "cnn": "CNN",
    "binary_cnn": "Binary CNN",
    "nearest_neighbor": "Nearest Neighbor",
    "madry": "Madry et al.",
    "binary_abs": "Binary ABS",
    "abs": "ABS",
}
BOUNDED = {"nearest_neighbor": "proved", "binary_abs": "searched", "abs": "searched"}
_FIRST = {"l2": "ddn", "linf": "fgsm", "l0": "pointwise"}


def digits(n: int) -> tuple[np.ndarray, np.ndarray]:
    """The first n training images (n, 1, 28, 28) uint8 of the MNIST sample that ships, and their labels."""
    folder = ROOT / "resources" / "mnist-sample"
    images, labels = (read_idx(folder / f"train-{kind}.idx.gz") for kind in ("images", "labels"))
    return images[:n, None], labels[:n]


def adversarials(images: np.ndarray, norm: str, strength: float, seed: int) -> np.ndarray:
    """Images (n, 1, 28, 28) float32 in [0, 1] changed as attacks in a norm change them, noise and all."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal(images.shape, dtype=np.float32)
    if norm == "l2":
        toward = images[rng.permutation(len(images))] - images
        changed = images + strength * (0.3 * toward + 0.06 * noise * (np.abs(noise) > 0.5))
    elif norm == "linf":
        changed = images + strength * 0.1 * np.sign(noise)
    else:
        changed = np.where(rng.random(images.shape) < 0.015 * strength, 1 - np.round(images), images)
    return np.clip(changed, 0, 1).astype(np.float32)


def minima(images: np.ndarray, labels: np.ndarray, norm: str, strength: float, seed: int) -> dict[str, Any]:
    """Columns of `absynth.io.records.MINIMAL`: one image in 50 misclassified, one in 40 never."""
    n, order = len(images), np.random.default_rng(seed).permutation(len(images))
    adversarial = adversarials(images, norm, strength, seed)
    change = torch.from_numpy(adversarial.astype(float) - images)
    distance = NORMS[norm].measure(change).numpy()
    distance[order[: n // 50]], distance[order[n // 50 : n // 50 + n // 40]] = 0, np.inf
    found = (distance > 0) & np.isfinite(distance)
    adversarial[~found] = images[~found]
    prediction = np.where(np.isinf(distance), labels, (labels + 1 + order % 3) % 10)
    return {
        "index": np.arange(n),
        "label": labels.astype(np.int64),
        "distance": distance,
        "attack": np.where(found, _FIRST[norm], "").astype(object),
        "adversarial": adversarial,
        "adversarial_prediction": prediction.astype(np.int64),
    }


def reconstructions(images: np.ndarray, columns: Mapping[str, Any], n: int) -> dict[str, Any]:
    """Columns of `absynth.io.records.RECONSTRUCTIONS` of the first n images that have an adversarial."""
    distance = columns["distance"]
    rows = np.flatnonzero((distance > 0) & np.isfinite(distance))[:n]
    clean, adversarial = images[rows], columns["adversarial"][rows]
    sides = np.stack([clean, adversarial], axis=1)
    return {
        "index": rows,
        "label": columns["label"][rows],
        "rival": columns["adversarial_prediction"][rows],
        "clean": clean,
        "adversarial": adversarial,
        "reconstruction": np.stack([sides, 1 - sides], axis=2),
        "energy": np.tile([[10.0, 20.0], [16.5, 16.25]], (len(rows), 1, 1)),
    }


def made_up_report(
    folder: Path,
    n: int,
    models: Mapping[str, str] = SIX,
    *,
    norms: Sequence[str] = tuple(NORMS),
    change: Any = None,
    made: int = 1000,
    drawings: Sequence[Path] = (),
) -> dict[str, Any]:
    """What `scripts.report.write_report.main` takes, for a run of n images whose files are written to a folder.

    norms: those attacked; change: a function of the columns of each model's minima, which may alter them in place
    made: how many images are reconstructed, the first that have an adversarial
    """
    images, labels = digits(n)
    write_split(folder / "data" / "test.h5", images, labels, "mnist_sample", "test")
    scaled = images.astype(np.float32) / np.float32(255)
    found, minimal, reconstructed = {}, [], []
    for i, model in enumerate(models):
        for norm in norms:
            columns = minima(scaled, labels, norm, 1 + 0.5 * i, seed=len(found))
            if change:
                change(columns)
            found[model, norm] = columns
            minimal.append(folder / "minimal" / model / f"{norm}.h5")
            about = {"run": "made_up", "model": model, "norm": norm}
            write_record(minimal[-1], columns, about, MINIMAL)
        if "abs" in model and norms:
            reconstructed.append(folder / "synthesis" / f"{model}.h5")
            shown = reconstructions(scaled, found[model, norms[0]], made)
            about = {"run": "made_up", "model": model, "norm": norms[0]}
            write_record(reconstructed[-1], shown, about, RECONSTRUCTIONS)
    tables = {}
    for stem, frame in frames(found, models, norms).items():
        tables[stem] = folder / "tables" / f"{stem}.csv"
        tables[stem].parent.mkdir(exist_ok=True)
        frame.to_csv(tables[stem], index=False)
    about = provenance(shipped(), [{"absynth": 1, "torch": "9.9", "foolbox": 2, "device": "cpu"}], [1.7e9])
    (folder / "tables" / "provenance.json").write_text(json.dumps(about), encoding="utf-8")
    (folder / "caption.rst").write_text("A figure.\n", encoding="utf-8")
    return {
        "template": ROOT / "workflow" / "report" / "report.html.j2",
        "captions": [folder / "caption.rst"] * len(drawings),
        "drawings": drawings,
        "tables": tables,
        "images": folder / "data" / "test.h5",
        "minimal": minimal,
        "reconstructions": reconstructed,
        "provenance": folder / "tables" / "provenance.json",
        "benchmarks": [],
        "runtime": folder / "tables" / "runtime.csv",
        "report": folder / "report.html",
        "config": {**shipped(), "run": "made_up", "n_samples": n},
        "models": models,
        "attacks": TITLES,
        "sections": SECTIONS,
        "figures": [{"section": "minimal", "title": path.stem, "wildcards": {}} for path in drawings],
    }


def frames(
    found: Mapping[tuple[str, str], Mapping[str, Any]], models: Mapping[str, str], norms: Sequence[str]
) -> dict[str, pd.DataFrame]:
    """The tables of these minima, by stem."""
    robustness, distances, classes, brackets = [], [], [], []
    for (model, norm), columns in found.items():
        case, distance = {"model": model, "norm": norm}, columns["distance"]
        shared = {name: columns[name] for name in ("index", "label", "distance", "attack")}
        distances.append(pd.DataFrame({**case, **shared}))
        about = {"median": np.median(distance), "accuracy": (distance > EPSILONS[norm]).mean()}
        robustness.append({**case, **about, "attack": "all", "n": len(distance)})
        taken = adversarial_classes(columns["label"], columns["adversarial_prediction"], distance)
        classes += [{**case, **row} for row in taken]
        if model in BOUNDED:
            lower = bounds(columns, BOUNDED[model])
            brackets.append(intervals(lower, columns, "bounds").assign(**case))
    empty = pd.DataFrame(columns=["model", "norm", "index", "label", "distance", "attack"])
    overall = pd.DataFrame(robustness, columns=["model", "norm", "attack", "median", "accuracy", "n"])
    every = pd.concat(distances) if distances else empty
    return {
        "robustness": overall,
        "distances": every,
        "pairs": pd.DataFrame(pair_rows(every, EPSILONS), columns=PAIRS),
        "confusion": pd.DataFrame(classes, columns=CLASSES),
        "table1": table1(overall, {}, models=models, attacks={norm: {} for norm in norms}, epsilons=EPSILONS),
        "attacks": statistics(models, {norm: TITLES[norm] for norm in norms}).assign(found=3),
        **({"bracket": pd.concat(brackets)} if brackets else {}),
    }


def bounds(columns: Mapping[str, Any], basis: str) -> pd.DataFrame:
    """Lower bounds below the distances: by half a per cent, by 5 and by 20 in turn."""
    share = np.tile([0.995, 0.95, 0.8], len(columns["index"]))[: len(columns["index"])]
    distance = np.where(np.isinf(columns["distance"]), 9.0, columns["distance"])
    correct = (distance > 0).astype(int)
    return pd.DataFrame(
        {"index": columns["index"], "correct": correct, "joint": share * distance, "basis": basis}
    )


def write_made_up_report(folder: Path, n: int, *arguments: Any, **changes: Any) -> Path:
    """Write the report of such a run; its path."""
    taken = made_up_report(folder, n, *arguments, **changes)
    main(**taken)
    return taken["report"]
