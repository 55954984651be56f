"""Lower bounds compared with attacks on the nearest-neighbour classifier, for which margins are known on paper."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scripts.certificates import compare_bounds

from absynth.data.split_files import write_split
from absynth.io.records import MINIMAL, write_record

RUN = {"run": "toy", "model": "nearest_neighbor"}
LEVELS = np.arange(10, dtype=np.uint8) * 25  # of grey: one training image per class


def grey(levels: np.ndarray) -> np.ndarray:
    return np.broadcast_to(levels[:, None, None], (len(levels), 28, 28)).astype(np.uint8)


def prepare(folder, norm: str, adversarial: list[int], lower: list[float]) -> tuple[Path, Path]:
    """Lower bounds and minima in a norm of black test images of class 0 with grey adversarials, one image each."""
    n = len(adversarial)
    images = (grey(np.array(adversarial))[:, None] / 255).astype(np.float32)
    best = {
        "index": np.arange(n),
        "label": np.zeros(n, int),
        "distance": np.linalg.norm(images.reshape(n, -1).astype(float), axis=1),
        "attack": np.array(["fgm"] * n, dtype=object),
        "adversarial": images,
        "adversarial_prediction": np.ones(n, int),
    }
    bounds, minimal = folder / f"{norm}.csv", folder / f"{norm}.h5"
    write_record(minimal, best, {**RUN, "norm": norm}, MINIMAL)
    pd.DataFrame({"index": range(n), "correct": 1, "joint": lower, "basis": "proved"}).to_csv(
        bounds, index=False
    )
    return bounds, minimal


def compare(folder, **cases: tuple[list[int], list[float]]) -> dict[str, pd.DataFrame]:
    """The tables for the adversarials and lower bounds of each norm."""
    write_split(folder / "train.h5", grey(LEVELS), LEVELS // 25, "toy", "train")
    n = max((len(adversarial) for adversarial, _ in cases.values()), default=1)
    write_split(folder / "test.h5", grey(np.zeros(n)), np.zeros(n, np.uint8), "toy", "test")
    files = [prepare(folder, norm, *case) for norm, case in cases.items()]
    tables = {name: folder / f"{name}.csv" for name in compare_bounds.TABLES}
    compare_bounds.main(
        images=folder / "test.h5",
        bounds=[bounds for bounds, _ in files],
        minimal=[minimal for _, minimal in files],
        tables=tables,
        run=RUN["run"],
        cases=[(RUN["model"], norm) for norm in cases],
        folder=folder,
        specs={
            RUN["model"]: {
                "builder": "absynth.models.nearest_neighbor:build_nearest_neighbor",
                "options": {},
                "weights": [],
                "train": "train.h5",
            }
        },
        settings={"batch_size": 2},
        device=torch.device("cpu"),
    )
    return {name: pd.read_csv(path) for name, path in tables.items()}


def test_violations_are_attributed_to_inference_where_the_margin_is_positive(tmp_path):
    """Level 25 is the training image of class 1: level 10 is nearer to class 0, levels 15 and 40 are not."""
    found = compare(tmp_path, l2=([20, 10, 15, 40], [1.0, 2.0, 2.0, 9.0]))
    violations = found["violations"]
    assert violations["index"].tolist() == [1, 2, 3]
    margins = [784 * (15**2 - 10**2), 784 * (10**2 - 15**2), 784 * (10**2 - 40**2)]
    assert violations["margin"].tolist() == pytest.approx([margin / 255**2 for margin in margins], rel=1e-5)
    assert violations["attributed_to_inference"].tolist() == [1, 0, 0]
    assert found["bracket"]["lower"].tolist() == [1, 2, 2, 9]
    assert found["bracket"]["upper"].tolist() == pytest.approx(
        [28 * level / 255 for level in (20, 10, 15, 40)]
    )
    assert found["medians"]["n"].tolist() == [4]
    assert set(found["curves"]["side"]) == {"proved", "attacked"}


def test_without_violations_the_table_has_only_its_header(tmp_path):
    found = compare(tmp_path, l2=([20, 30], [1.0, 2.0]))
    assert len(found["violations"]) == 0
    assert found["violations"].columns.tolist() == list(compare_bounds.VIOLATIONS)


def test_each_norm_has_its_own_bounds_and_adversarials(tmp_path):
    found = compare(tmp_path, l2=([20, 30], [1.0, 9.0]), linf=([10, 30, 40], [0.1, 0.2, 9.0]))
    assert found["bracket"][["norm", "lower"]].to_numpy().tolist() == [
        ["l2", 1], ["l2", 9], ["linf", 0.1], ["linf", 0.2], ["linf", 9]
    ]  # fmt: skip
    assert found["violations"][["norm", "index"]].to_numpy().tolist() == [["l2", 1], ["linf", 2]]
    margins = [784 * (5**2 - 30**2), 784 * (10**2 - 40**2)]  # the nearest of others have levels 25 and 50
    assert found["violations"]["margin"].tolist() == pytest.approx([m / 255**2 for m in margins], rel=1e-5)
    assert found["medians"][["norm", "n"]].to_numpy().tolist() == [["l2", 2], ["linf", 3]]
    assert set(found["curves"]["norm"]) == {"l2", "linf"}


def test_without_brackets_all_tables_have_only_their_headers(tmp_path):
    assert all(table.empty and len(table.columns) for table in compare(tmp_path).values())
