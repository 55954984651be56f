"""Flips on binarising models whose cheapest set of flipped pixels is known."""

import pytest
import torch
from configs import OWN, plan
from linear_models import draws, two_class
from torch import nn

from absynth.attacks.flip_sets import FlipSets
from absynth.attacks.flips import flips
from absynth.attacks.run import AttackSettings, Samples, attack_images
from absynth.attacks.target import Target
from absynth.errors import InputError
from absynth.models.binarize import THRESHOLD, binarize

NORMS = ("l2", "linf", "l0")
LEAST = 7


class White(nn.Module):
    """Class 1 where at least LEAST more pixels are white than in the image at hand, else class 0."""

    input_threshold = THRESHOLD

    def __init__(self, x, gradients=True):
        super().__init__()
        self.clean, self.gradients = binarize(x).flatten(1).sum(dim=1), gradients
        assert (self.clean == self.clean[0]).all()

    def forward(self, x):
        binary = binarize(x) if self.gradients else binarize(x.detach())
        excess = binary.flatten(1).sum(dim=1) - self.clean[0] - LEAST + 0.5
        return torch.stack([torch.zeros_like(excess), excess], dim=1)


def grey(n=3):
    """Images with 100 white pixels, all of different grey values, at different places."""
    generator = torch.Generator().manual_seed(0)
    order = torch.stack([torch.randperm(784, generator=generator) for _ in range(n)])
    return (order / 784 * 0.5 + 0.5 * (order >= 684)).view(n, 1, 28, 28), torch.zeros(n, dtype=torch.int64)


def cheapest(x, norm):
    """The distances (n,) of the LEAST darker pixels that are nearest to the threshold."""
    change = torch.where(x < THRESHOLD, THRESHOLD - x, torch.inf).flatten(1).double()
    near = change.sort(dim=1).values[:, :LEAST]
    return {"l2": near.norm(dim=1), "linf": near[:, -1], "l0": torch.full((len(x),), LEAST).double()}[norm]


def attacked(model, x, y, norm, **options):
    target = Target(model, x, y, norm)
    flips(norm, **options)(target, draws())
    return target


@pytest.mark.parametrize(("norm", "gradients"), [("l2", True), ("l2", False), ("linf", True), ("l0", True)])
def test_cheapest_set_of_equal_pixels(norm, gradients):
    x, y = grey(3 if gradients else 1)
    target = attacked(White(x, gradients), x, y, norm, walks=2, rounds=40 if norm == "linf" else 1)
    torch.testing.assert_close(target.findings.recorded.distance, cheapest(x, norm), rtol=1e-6, atol=0)
    assert (target.gradients > 0).all() == gradients


class Weighted(nn.Module):
    """A linear classifier of binarised images."""

    input_threshold = THRESHOLD

    def __init__(self, *gains):
        super().__init__()
        self.gains = torch.tensor(gains)

    def forward(self, x):
        score = binarize(x).flatten(1)[:, : len(self.gains)] @ self.gains
        return torch.stack([torch.ones_like(score), score], dim=1)


@pytest.mark.parametrize(("walks", "expected"), [(1, 0.5), (8, 0.47)])
def test_walks_led_by_chance_find_the_cheaper_set(walks, expected):
    """Pixel 0 falls most for its cost, and needs pixel 3 besides; pixels 1 and 2 together are cheaper."""
    x, y = torch.zeros(1, 1, 28, 28), torch.zeros(1, dtype=torch.int64)
    x.view(-1)[:3] = 0.5 - torch.tensor([0.4, 0.3, (0.47**2 - 0.3**2) ** 0.5])
    x.view(-1)[3] = 0.5 - 0.3
    target = attacked(Weighted(0.95, 0.505, 0.505, 0.06), x, y, "l2", walks=walks, rounds=5, removed=1.0)
    assert target.findings.recorded.distance.item() == pytest.approx(expected, rel=1e-4)


def test_far_pixels_are_shed():
    """In linf the largest flip counts: of a start with far pixels those go that it does not need."""
    x, y = grey(1)
    target = Target(White(x), x, y, "linf")
    start = torch.where((x < THRESHOLD) & (x > 0.3), 0.5, x)
    assert target.adversarial(start)
    before = target.findings.recorded.distance.item()
    flips("linf", walks=1, rounds=0)(target, draws())
    assert target.findings.recorded.distance < before


class Pair(nn.Module):
    """Class 1 where both of the first two pixels are white and few others: either alone favours class 0."""

    input_threshold = THRESHOLD

    def forward(self, x):
        first, second, *others = binarize(x).flatten(1).T
        margin = 1 - 3 * first * second + 0.5 * (first + second) + 0.6 * torch.stack(others).sum(dim=0)
        return torch.stack([margin, torch.zeros_like(margin)], dim=1)


@pytest.mark.parametrize("patience", [0, 2])
def test_patient_walks_leave_a_local_minimum(patience):
    x, y = torch.full((1, 1, 4, 4), 0.25), torch.zeros(1, dtype=torch.int64)
    target = attacked(Pair(), x, y, "linf", walks=1, rounds=0, candidates=2, patience=patience)
    assert target.findings.recorded.distance.item() == (0.25 if patience else torch.inf)


@pytest.mark.parametrize("norm", NORMS)
def test_it_goes_on_from_a_start(norm):
    x, y = grey()
    alone, led = (Target(White(x), x, y, norm) for _ in range(2))
    order = (THRESHOLD - x).masked_fill(x >= THRESHOLD, torch.inf).flatten(1).argsort(dim=1)
    start = (
        x.flatten(1).scatter(1, order[:, 1 : LEAST + 3], 0.5).view_as(x)
    )  # two too many, the nearest not among them
    assert led.adversarial(start).all()
    given = led.findings.recorded.distance.clone()
    options = dict(walks=2, rounds=3, candidates=2)
    flips(norm, **options)(led, draws())
    flips(norm, **options)(alone, draws())
    assert (led.findings.recorded.distance < given).all()
    assert (led.findings.recorded.distance <= alone.findings.recorded.distance).all()


@pytest.mark.parametrize("norm", NORMS)
def test_neither_companions_nor_batches_change_an_image(norm):
    x, y = grey(6)
    y[2] = 1  # misclassified
    settings = [AttackSettings(flips(norm, rounds=2, walks=3), "flips", norm, 0, size) for size in (6, 1, 4)]
    whole, *others = (attack_images(s, White(x), Samples(x, y, torch.arange(6))) for s in settings)
    assert whole["distance"].isfinite().all()
    for other in others:
        for name in ("distance", "adversarial", "queries", "gradients"):
            assert torch.equal(other[name], whole[name]), name


def test_a_set_is_the_best_images_flips():
    x, y = grey(1)
    target = Target(White(x), x, y, "l2")
    assert not FlipSets(target).best().any()
    images = x.clone()
    images.view(-1)[(x.flatten() < 0.5).nonzero()[:LEAST, 0]] = 0.9
    images = images + 0.001 * (x > 0.6)  # no flips
    target.adversarial(images)
    assert torch.equal(FlipSets(target).best(), (images.flatten(1) >= 0.5) & (x.flatten(1) < 0.5))


def test_other_models_are_refused():
    x, y = torch.rand(1, 1, 28, 28), torch.zeros(1, dtype=torch.int64)
    with pytest.raises(
        InputError, match="Linear has no input_threshold: this attack needs a model that binarises"
    ):
        attacked(two_class(), x, y, "l2")


def test_it_is_planned_for_models_that_binarise():
    own = {"mine": {**OWN, "binarises": True}, "other": OWN}
    made = plan(models=own, attacks={"flips": {}})
    assert {name for name in made.models if made.applies("flips", name, "l2")} == {
        "binary_cnn", "binary_abs", "mine",
    }  # fmt: skip


@pytest.mark.parametrize("model", ["cnn", "abs"])
def test_a_config_that_asks_for_it_elsewhere_is_refused(model):
    message = f"attacks.flips.models: found {model}, which has no input threshold; allowed are binary_cnn, binary_abs"
    with pytest.raises(InputError, match=message):
        plan(attacks={"flips": {"models": [model]}})
