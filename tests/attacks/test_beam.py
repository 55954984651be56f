"""Beam search on models whose smallest set of pixels is known."""

import pytest
import torch
from linear_models import N, draws, images, target_of, two_class
from sparse_models import fewest
from torch import nn

from absynth.attacks.beam import beam
from absynth.attacks.target import Target
from absynth.errors import InputError
from absynth.models.binarize import THRESHOLD, binarize


class WithoutGradient(nn.Module):
    """A model whose logits are computed without a graph."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x):
        with torch.no_grad():
            return self.model(x)


class TwoWays(nn.Module):
    """Class 1 by the first three pixels, or by the next two, of which the first alone does less than one of those."""

    input_threshold: float | None = None

    def forward(self, x):
        pixel = (binarize(x) if self.input_threshold else x).flatten(1)
        score = torch.maximum(pixel[:, :3].sum(dim=1), 0.9 * pixel[:, 3] + 2 * pixel[:, 3] * pixel[:, 4])
        return torch.stack([torch.full_like(score, 2.5), score], dim=1)


def black(n=1):
    return torch.zeros(n, 1, 28, 28), torch.zeros(n, dtype=torch.int64)


def attacked(model, norm="l0", x=None, y=None, **options):
    x, y = black() if x is None else (x, y)
    target = Target(model, x, y, norm)
    beam(norm, **options)(target, draws())
    return target


@pytest.mark.parametrize("width", [1, 3])
def test_fewest_pixels_of_a_linear_model(width):
    target = target_of(two_class(), "l0")
    beam("l0", width=width, candidates=10, pixels=200)(target, draws())
    expected = fewest(target.model, target.x, target.y)
    assert target.best_distance.tolist() == expected.tolist()
    assert (expected > 1).all()


def test_without_gradients_every_change_is_asked():
    model = two_class()
    x, y = images(model)
    target = attacked(WithoutGradient(model), x=x[:2], y=y[:2], width=2, candidates=1, pixels=200, rounds=0)
    expected = fewest(model, x, y)[:2]
    assert target.best_distance.tolist() == expected.tolist()
    assert (target.gradients == 0).all()
    asked = 1 + 1568 + (expected - 1) * 2 * (1 + 1568)
    assert target.queries.tolist() == asked.tolist()


def test_images_with_and_without_gradients_do_not_mix():
    class Flat(nn.Module):
        """Without slope in images whose first pixel is white; there its second pixel decides."""

        def forward(self, x):
            pixel = x.flatten(1)
            slope = torch.where(pixel[:, 0] == 1, (pixel[:, 1] > 0.9).to(x.dtype), pixel[:, 2])
            return torch.stack([torch.full_like(slope, 0.5), slope], dim=1)

    x, y = black(3)
    x[1, 0, 0, 0] = 1
    target = attacked(Flat(), x=x, y=y, candidates=2, rounds=0)
    assert target.best_distance.tolist() == [1, 1, 1]
    assert target.queries.tolist() == [1 + 2, 1 + 1568, 1 + 2]


def test_a_wide_beam_finds_what_a_greedy_search_misses():
    assert attacked(TwoWays(), width=1, candidates=10).best_distance.tolist() == [3]
    assert attacked(TwoWays(), width=4, candidates=10).best_distance.tolist() == [2]


def test_repair_improves_on_a_start():
    """Of five pixels one is superfluous; then three are given up for two."""
    start = black()[0]
    start.view(-1)[[0, 1, 2, 9, 3]] = 1
    found = {}
    for removals in (0, 1, 4):
        target = Target(TwoWays(), *black(), "l0")
        assert target.adversarial(start)
        beam("l0", width=4, candidates=10, pixels=1, removals=removals)(target, draws())
        found[removals] = target.best_distance.item()
    assert found[0] == 5
    assert found[1] == 4
    target = Target(TwoWays(), *black(), "l0")
    target.adversarial(start)
    beam("l0", width=4, candidates=10, pixels=2, removals=4, rounds=2)(target, draws())
    assert target.best_distance == 2


def test_no_larger_sets_than_allowed():
    assert attacked(TwoWays(), width=1, candidates=10, pixels=2).best_distance.isinf()


def test_sets_that_cannot_improve_are_not_asked():
    start = black()[0]
    start.view(-1)[3:5] = 1
    target = Target(TwoWays(), *black(), "l0")
    target.adversarial(start)
    beam("l0", width=1, candidates=10, rounds=0)(target, draws())
    assert target.queries == 1 + 1 + 10  # the start, the clean image and its changes


def test_a_model_that_binarises_is_asked_for_flips_alone():
    model = TwoWays()
    model.input_threshold = THRESHOLD
    target = attacked(model, width=4, candidates=10)
    assert target.best_distance == 2
    changed = target.best[target.best != 0]
    assert torch.equal(changed, torch.full((2,), THRESHOLD))


def test_only_active_images_are_asked():
    target = target_of(two_class(), "l0")
    with target.only(torch.tensor([1, 3])):
        beam("l0", candidates=5, pixels=200)(target, draws())
    assert (target.queries > 0).tolist() == [i in (1, 3) for i in range(N)]


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_other_norms_are_refused(norm):
    with pytest.raises(InputError, match=f"norm '{norm}'"):
        beam(norm)
