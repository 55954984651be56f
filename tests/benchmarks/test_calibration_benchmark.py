"""The benchmark of calibration, small, on the weights that ship."""

import argparse
from pathlib import Path

import calibration
import pytest
import torch

WEIGHTS = Path(__file__).parents[2] / "resources" / "weights" / "mnist-small" / "models" / "abs"


@pytest.mark.parametrize("name", ["abs", "binary_abs"])
def test_both_ways_are_measured_on_the_same_images(monkeypatch, name):
    generator = torch.Generator().manual_seed(0)
    monkeypatch.setattr(
        calibration, "load_images", lambda _, n: torch.rand(n, 1, 28, 28, generator=generator)
    )
    monkeypatch.setattr(calibration, "load_labels", lambda _, n: torch.arange(n) % 10)
    options = argparse.Namespace(data=None, images=4, weights=WEIGHTS, prior_samples=20, threads=1)
    found = calibration.measured(name, options)
    before, after = found["pairs"]
    assert 0 < after <= before
    assert found["differing"] == 0
    assert min(found[key] for key in ("build_s", "logits_s", "decide_s", "peak_mb")) > 0
