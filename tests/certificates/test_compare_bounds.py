"""Lower bounds compared with attacks on the nearest-neighbour classifier, for which margins are known on paper."""

import numpy as np
import pandas as pd
import pytest
import torch
from scripts.certificates import compare_bounds

from absynth.data.split_files import write_split
from absynth.io.records import MINIMAL, write_record

RUN = {"run": "toy", "model": "nearest_neighbor", "norm": "l2"}
LEVELS = np.arange(10, dtype=np.uint8) * 25  # of grey: one training image per class


def grey(levels: np.ndarray) -> np.ndarray:
    return np.broadcast_to(levels[:, None, None], (len(levels), 28, 28)).astype(np.uint8)


def compare(folder, adversarial: list[int], lower: list[float]) -> dict[str, pd.DataFrame]:
    """The tables for black test images of class 0, with grey adversarials and lower bounds of one image each."""
    n = len(adversarial)
    write_split(folder / "train.h5", grey(LEVELS), LEVELS // 25, "toy", "train")
    write_split(folder / "test.h5", grey(np.zeros(n)), np.zeros(n, np.uint8), "toy", "test")
    images = (grey(np.array(adversarial))[:, None] / 255).astype(np.float32)
    best = {
        "index": np.arange(n),
        "label": np.zeros(n, int),
        "distance": np.linalg.norm(images.reshape(n, -1).astype(float), axis=1),
        "attack": np.array(["fgm"] * n, dtype=object),
        "adversarial": images,
        "adversarial_prediction": np.ones(n, int),
    }
    write_record(folder / "l2.h5", best, RUN, MINIMAL)
    pd.DataFrame({"index": range(n), "correct": 1, "joint": lower, "basis": "proved"}).to_csv(
        folder / "l2.csv", index=False
    )
    tables = {name: folder / f"{name}.csv" for name in ("bracket", "violations", "middle", "curve")}
    compare_bounds.main(
        images=folder / "test.h5",
        bounds=folder / "l2.csv",
        minimal=folder / "l2.h5",
        **tables,
        **RUN,
        folder=folder,
        spec={
            "builder": "absynth.models.nearest_neighbor:build_nearest_neighbor",
            "options": {},
            "weights": [],
            "train": "train.h5",
        },
        settings={"batch_size": 2},
        device=torch.device("cpu"),
    )
    return {name: pd.read_csv(path) for name, path in tables.items()}


def test_violations_are_attributed_to_inference_where_the_margin_is_positive(tmp_path):
    """Level 25 is the training image of class 1: level 10 is nearer to class 0, levels 15 and 40 are not."""
    found = compare(tmp_path, adversarial=[20, 10, 15, 40], lower=[1.0, 2.0, 2.0, 9.0])
    violations = found["violations"]
    assert violations["index"].tolist() == [1, 2, 3]
    margins = [784 * (15**2 - 10**2), 784 * (10**2 - 15**2), 784 * (10**2 - 40**2)]
    assert violations["margin"].tolist() == pytest.approx([margin / 255**2 for margin in margins], rel=1e-5)
    assert violations["attributed_to_inference"].tolist() == [1, 0, 0]
    assert found["bracket"]["lower"].tolist() == [1, 2, 2, 9]
    assert found["bracket"]["upper"].tolist() == pytest.approx(
        [28 * level / 255 for level in (20, 10, 15, 40)]
    )
    assert found["middle"]["n"].tolist() == [4]
    assert set(found["curve"]["side"]) == {"proved", "attacked"}


def test_without_violations_the_table_has_only_its_header(tmp_path):
    found = compare(tmp_path, adversarial=[20, 30], lower=[1.0, 2.0])
    assert len(found["violations"]) == 0
    assert found["violations"].columns.tolist() == list(compare_bounds.VIOLATIONS)
