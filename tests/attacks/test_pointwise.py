"""The Pointwise attack: what it leaves cannot be reduced, and it takes few calls."""

import pytest
import torch
from threshold_models import SIZE, black, run, ten_classes, threshold
from torch import Tensor, nn

from absynth.attacks.pointwise import approach_clean, pointwise, reset_pixels
from absynth.attacks.randomness import SampleRandom
from absynth.attacks.target import Target


class Bends(nn.Module):
    """A small random network: its decisions are no monotone function of the pixels."""

    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(2)
        self.inner = torch.randn(SIZE, 32, generator=generator, dtype=torch.float64) / 4
        self.outer = torch.randn(32, 5, generator=generator, dtype=torch.float64)

    def forward(self, x: Tensor) -> Tensor:
        return ((x.flatten(1).double() - 0.5) @ self.inner).sin() @ self.outer


def bends() -> tuple[nn.Module, Tensor, Tensor]:
    model, x = Bends(), torch.rand(4, 1, 28, 28, generator=torch.Generator().manual_seed(3))
    return model, x, model(x).argmax(dim=1)


def single_changes(model: nn.Module, x: Tensor, y: Tensor, other: Tensor, towards) -> Tensor:
    """Whether `other` (784,) stays misclassified if one of its perturbed pixels changes to `towards`: (pixels,)."""
    perturbed = (other != x).nonzero().squeeze(1)
    candidates = other.repeat(len(perturbed), 1)
    candidates[torch.arange(len(perturbed)), perturbed] = towards(x[perturbed], other[perturbed])
    return model(candidates.view(-1, 1, 28, 28)).argmax(dim=1) != y


@pytest.mark.parametrize("block", [1, 2, 3, 8, 50])
@pytest.mark.parametrize("problem", [ten_classes, bends])
def test_no_single_pixel_can_be_reset(problem, block):
    model, x, y = problem()
    target = run(pointwise("l0", repetitions=2, draws=3, block=block), model, x, y, "l0")
    assert target.best_distance.isfinite().all()
    for clean, label, best in zip(x.flatten(1), y, target.best.flatten(1), strict=True):
        assert not single_changes(model, clean, label, best, lambda to, _: to).any()


@pytest.mark.parametrize("problem", [ten_classes, bends])
def test_no_single_pixel_can_move_by_the_resolution(problem):
    model, x, y = problem()
    resolution = 1 / 32
    target = Target(model, x, y, "l2")
    start = run(pointwise("l0", draws=2), model, x, y, "l0").best.flatten(1)
    random = SampleRandom(0, "test", range(len(x)), x.device)
    moved = approach_clean(target, random, start, block=3, resolution=resolution)
    assert (model(moved.view_as(x)).argmax(dim=1) != y).all()
    assert ((moved - x.flatten(1)).abs() <= (start - x.flatten(1)).abs() + 1e-6).all()
    for clean, label, other in zip(x.flatten(1), y, moved, strict=True):

        def step(to: Tensor, at: Tensor) -> Tensor:
            return torch.where((at - to).abs() <= resolution, to, at - resolution * (at - to).sign())

        assert not single_changes(model, clean, label, other, step).any()


def test_a_pixel_approaches_to_where_the_decision_falls():
    """Two white pixels, of which 1.4 is needed: the first that moves stops at 0.4, the other stays."""
    x, y = black(1)
    target = Target(threshold(torch.ones(SIZE), 1.4), x, y, "l2")
    start = torch.zeros(1, SIZE)
    start[0, [7, 300]] = 1
    random = SampleRandom(0, "test", [0], x.device)
    values = approach_clean(target, random, start, block=2, resolution=1e-3)[0].sort(descending=True).values
    assert values[0] == 1
    assert 0.4 < values[1] < 0.402
    assert values[2] == 0


class Forgets(nn.Module):
    """Allows an image that is within a step of the last that it allowed, at every third call."""

    def __init__(self, start: Tensor):
        super().__init__()
        self.last, self.calls = start, 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        allowed = ((x.flatten(1) - self.last).abs().amax(dim=1) < 0.005) & (self.calls % 3 == 0)
        if allowed[0]:
            self.last = x.flatten(1)
        return torch.stack([~allowed, allowed], dim=1).float()


def test_pixels_that_creep_are_given_up():
    """Twenty white pixels of which each may move by one step a visit: 5,120 steps to the end."""
    x, y = black(1)
    start = torch.zeros(1, SIZE)
    start[0, :20] = 1
    target = Target(Forgets(start), x, y, "l2")
    random = SampleRandom(0, "test", [0], x.device)
    left = approach_clean(target, random, start, block=1, resolution=1 / 256)
    assert 0.9 < left[0, :20].min() < 1
    assert target.queries[0] < 20 * 20


def test_resetting_keeps_the_pixels_that_decide():
    """Ten of 200 white pixels are all that counts, and all ten are needed."""
    x, y = black(2)
    weight = torch.zeros(SIZE)
    weight[5:200:20] = 1
    start = torch.zeros(2, SIZE)
    start[:, :200] = 1
    target = Target(threshold(weight, 9.5), x, y, "l0")
    kept = reset_pixels(target, SampleRandom(0, "test", [0, 1], x.device), start, block=4)
    assert kept[0].nonzero().squeeze(1).tolist() == list(range(5, 200, 20))
    assert (target.queries < 200).all()  # one at a time would take 210


def test_the_last_pixel_of_the_queue_is_tried_too():
    """Two pixels are needed, one is not, and in some of the images it comes last."""
    x, y = black(8)
    weight = torch.zeros(SIZE)
    weight[[10, 20]] = 1
    start = torch.zeros(8, SIZE)
    start[:, [10, 20, 30]] = 1
    target = Target(threshold(weight, 1.5), x, y, "l0")
    kept = reset_pixels(target, SampleRandom(0, "test", range(8), x.device), start, block=1)
    assert (kept.sum(dim=1) == 2).all()


def test_unneeded_pixels_are_reset_in_ever_larger_groups():
    """All 600 pixels but one are of no use: that takes a few calls, not hundreds."""
    x, y = black(1)
    weight = torch.zeros(SIZE)
    weight[300] = 1
    start = torch.zeros(1, SIZE)
    start[:, :600] = 1
    target = Target(threshold(weight, 0.5), x, y, "l0")
    kept = reset_pixels(target, SampleRandom(0, "test", [0], x.device), start, block=4)
    assert kept.sum() == 1
    assert target.queries[0] <= 4 * 20


def test_l2_moves_what_l0_leaves():
    model, x, y = ten_classes()
    l0 = run(pointwise("l0", draws=3), model, x, y, "l2").best_distance
    l2 = run(pointwise("l2", draws=3), model, x, y, "l2").best_distance
    assert (l2 <= l0).all()
    assert (l2 < l0).any()
