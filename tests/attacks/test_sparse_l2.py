"""The sparse search on linear models whose nearest adversarials that change one or two pixels are known."""

import pytest
import torch
from linear_models import N, draws, target_of, two_class
from torch import nn

from absynth.attacks.sparse_l2 import _smaller, sparse_l2
from absynth.attacks.target import Target
from absynth.errors import InputError
from absynth.norms import distance


class Weighted(nn.Module):
    """Class 1 where the weighted sum of the first pixels is above 1, else class 0."""

    def __init__(self, *weights, gradients=True):
        super().__init__()
        self.weights, self.gradients = torch.tensor(weights), gradients

    def forward(self, x):
        score = x.flatten(1)[:, : len(self.weights)] @ self.weights
        logits = torch.stack([torch.ones_like(score), score], dim=1)
        return logits if self.gradients else logits.detach()


def black():
    return torch.zeros(1, 1, 28, 28), torch.zeros(1, dtype=torch.int64)


def attacked(model, start=None, **options):
    target = Target(model, *black(), "l2")
    if start is not None:
        assert target.adversarial(start).all()
    sparse_l2("l2", **options)(target, draws())
    return target


@pytest.mark.parametrize("gradients", [True, False])
def test_one_pixel_is_shrunk_to_the_boundary(gradients):
    model = Weighted(1.6, 1.2, gradients=gradients)
    target = attacked(model, rounds=0, beyond=0, shrinks=40)
    assert 1 / 1.6 < target.best_distance.item() < 1.1 / 1.6
    assert int((target.best != 0).sum()) == 1
    assert (target.gradients > 0).item() == gradients


def test_shrinking_ends_within_its_steps():
    target = attacked(Weighted(1.6), rounds=0, beyond=0, shrinks=0)
    assert target.best_distance.item() == 1


def test_as_many_pixels_grow_as_are_needed():
    few = attacked(Weighted(*[0.4] * 5), rounds=0, beyond=0)
    assert int((few.best != 0).sum()) == 3
    assert few.best_distance.item() < 3**0.5
    assert attacked(Weighted(*[0.4] * 5), pixels=2).best_distance.isinf()


def test_more_pixels_than_needed_let_each_change_less():
    """n pixels of weight w need changes of 1 / nw each, of length 1 / w√n together."""
    model = Weighted(*[0.4] * 5)
    distances = [attacked(model, rounds=0, shrinks=60, beyond=n).best_distance.item() for n in (0, 2)]
    assert distances[1] < 0.9 * distances[0]
    assert distances[1] > 1 / (0.4 * 5**0.5)


def test_a_pixel_is_exchanged_for_a_better_one():
    """The start has the weaker pixel alone, and too much of it."""
    start = black()[0]
    start.view(-1)[1] = 1
    target = attacked(Weighted(4.0, 1.1), start, width=3, pixels=1, candidates=1, rounds=3, shrinks=20)
    assert target.best_distance.item() < 1.1 / 4


def test_exchange_alone_improves_on_a_start():
    """As the first growth may take one pixel only, which is not enough, the two better ones come by exchange."""
    start = black()[0]
    start.view(-1)[2:6] = 1
    given = distance(black()[0], start, "l2").item()
    target = attacked(Weighted(0.9, 0.8, 0.3, 0.3, 0.3, 0.3), start, pixels=1, rounds=20, shrinks=20)
    assert target.best_distance.item() < given / 2
    assert target.best.flatten()[0] > 0
    assert target.best.flatten()[1] > 0


def test_smaller_perturbations_are_smaller_and_in_the_box():
    generator = torch.Generator().manual_seed(0)
    clean = torch.rand(3, 784, generator=generator)
    delta = torch.rand(2, 3, 784, generator=generator) - clean
    kinds = _smaller(delta)
    assert len(kinds) == 22
    assert (kinds.norm(dim=3) <= delta.norm(dim=2)).all()
    assert ((clean + kinds >= 0) & (clean + kinds <= 1)).all()
    one = (kinds != delta).sum(dim=3)[:18]
    assert (one == 1).all()


def test_only_active_images_are_asked():
    target = target_of(two_class(), "l2")
    with target.only(torch.tensor([1, 3])):
        sparse_l2("l2", candidates=5, pixels=200, rounds=1)(target, draws())
    assert (target.queries > 0).tolist() == [i in (1, 3) for i in range(N)]
    assert target.best_distance.isfinite().tolist() == [i in (1, 3) for i in range(N)]


@pytest.mark.parametrize("norm", ["l0", "linf"])
def test_other_norms_are_refused(norm):
    with pytest.raises(InputError, match=f"norm '{norm}'"):
        sparse_l2(norm)
