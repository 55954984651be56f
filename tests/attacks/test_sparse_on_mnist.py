"""Beam, σ-zero, flips and sparse search on the weights that ship, against what was the best attack before them."""

from pathlib import Path

import pytest
import torch

from absynth import load_model
from absynth.attacks.beam import beam
from absynth.attacks.flips import flips
from absynth.attacks.minimum_norm import ddn, fmn
from absynth.attacks.run import AttackSettings, Samples, attack_images
from absynth.attacks.sigma_zero import sigma_zero
from absynth.attacks.sparse_l2 import sparse_l2

pytestmark = pytest.mark.slow

RUN = Path(__file__).parents[2] / "resources" / "weights" / "mnist-small"
N = 4

CASES = {
    "beam": ("madry", "l0", beam("l0", rounds=0), fmn("l0")),
    "sigma_zero": ("madry", "l0", sigma_zero("l0", steps=100), fmn("l0")),
    "flips, l2": ("binary_cnn", "l2", flips("l2", rounds=2), ddn("l2")),
    "flips, linf": ("binary_cnn", "linf", flips("linf", rounds=5), fmn("linf")),
    "flips, l0": ("binary_cnn", "l0", flips("l0", rounds=2), fmn("l0")),
    "sparse_l2": ("madry", "l2", sparse_l2("l2", rounds=0), ddn("l2")),
}


@pytest.mark.mnist
@pytest.mark.parametrize(("name", "norm", "attack", "other"), CASES.values(), ids=CASES)
def test_nearer_than_the_attack_before(name, norm, attack, other, mnist_test):
    x, y = (part[:N] for part in mnist_test)
    model = load_model(RUN, name)
    found, before = (
        attack_images(
            AttackSettings(chosen, "toy", norm, seed=0, batch_size=N), model, Samples(x, y, torch.arange(N))
        )["distance"]
        for chosen in (attack, other)
    )
    assert found.isfinite().all()
    assert found.median() < before.median()
    assert (found <= before).sum() >= N - 1
