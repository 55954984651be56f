"""examples/own_model.py runs, without and with a run to read."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from absynth import load_model
from absynth.data.split_files import read_split, write_split
from absynth.io.atomic import write_csv
from absynth.io.records import MINIMAL, write_record
from absynth.models.cnn import CNN
from absynth.models.weights import save_weights

ROOT = Path(__file__).parents[2]


def small_run(folder: Path) -> Path:
    """A run of an untrained network that no attack has broken."""
    torch.manual_seed(0)
    save_weights(folder / "models/cnn/weights.pt", CNN())
    spec = {
        "builder": "absynth.models.cnn:build_cnn",
        "options": {},
        "weights": ["models/cnn/weights.pt"],
        "train": None,
        "calibration": None,
    }
    (folder / "models/cnn/calibration.json").write_text(json.dumps({"model": spec}))
    pixels = np.random.default_rng(0).integers(0, 256, (3, 28, 28), dtype=np.uint8)
    write_split(folder / "data/test.h5", pixels, np.zeros(3, int), "toy", "test")
    x, y = read_split(folder / "data/test.h5")
    columns = {
        "index": range(3),
        "label": y,
        "distance": [np.inf] * 3,
        "attack": [""] * 3,
        "adversarial": x,
        "adversarial_prediction": load_model(folder, "cnn")(torch.from_numpy(x)).argmax(dim=1).numpy(),
    }
    attributes = {"run": "toy", "model": "cnn", "norm": "l2"}
    write_record(folder / "minimal/cnn/l2.h5", columns, attributes, MINIMAL)
    write_csv(
        folder / "tables/robustness.csv", [{"model": "cnn", "norm": "l2", "attack": "all", "median": "inf"}]
    )
    config = {"run": "toy", "n_samples": 3, "norms": ["l2"], "models": {"cnn": {}}, "attacks": {"ddn": {}}}
    (folder / "tables/provenance.json").write_text(json.dumps({"config": config}))
    return folder


@pytest.mark.slow
def test_the_example_runs_and_reads_a_run(tmp_path):
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / "own_model.py", small_run(tmp_path / "run")],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "<Result of ddn in l2: 20 of 20 images misclassified" in done.stdout
    assert "<Result of toward_mean in l2: " in done.stdout
    assert "3 images, cnn in l2>" in done.stdout
    assert "as recorded: 100% of the predictions" in done.stdout
