"""On MNIST, with prototypes from the weights that ship: no attack gets below a proved bound, and one reaches it."""

from pathlib import Path

import pytest
import torch

from absynth import load_model
from absynth.attacks.certificate import certificate_attack
from absynth.attacks.minimum_norm import ddn, fmn
from absynth.attacks.run import AttackSettings, Samples, attack_images
from absynth.certificates.lower_bounds import compute_lower_bounds
from absynth.certificates.settings import SearchSettings
from absynth.models.prototypes import PrototypeABS

pytestmark = pytest.mark.slow

RUN = Path(__file__).parents[2] / "resources" / "weights" / "mnist-small"
N = 12


@pytest.fixture(scope="module")
def model() -> PrototypeABS:
    """200 prior samples a class."""
    samples = load_model(RUN, "abs").prototypes
    offsets = 0.5 * samples.latents[:200].square().sum(dim=1)
    classes = len(samples.images)
    images = samples.images[:, :200].flatten(0, 1).clone()
    return PrototypeABS(images, offsets.repeat(classes), torch.full((classes,), 200)).eval()


@pytest.mark.mnist
@pytest.mark.parametrize(("norm", "other"), [("l2", ddn("l2")), ("linf", fmn("linf")), ("l0", fmn("l0"))])
def test_bounds_are_below_all_attacks_and_reached(norm, other, model, mnist_test):
    x, y = (part[:N] for part in mnist_test)
    bounds = [
        compute_lower_bounds(model, x, y, norm, SearchSettings(mixtures=most))[0]["joint"] for most in (0, 20)
    ]
    found = [
        attack_images(AttackSettings(attack, "toy", norm, 0, N), model, Samples(x, y, torch.arange(N)))[
            "distance"
        ]
        for attack in (certificate_attack(norm, class_pairs=1, mixtures=20), other)
    ]
    assert (bounds[1] >= bounds[0]).all()
    assert (bounds[1] > 0).sum() >= N // 2
    for distance in found:
        assert (distance >= bounds[1]).all()
    ratio = (found[0] / bounds[1])[bounds[1] > 0]
    assert (ratio <= 1.03).double().mean() >= 0.8
