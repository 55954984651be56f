"""The Square attack on models whose smallest perturbation is known, and its steps by hand."""

import pytest
import torch
from linear_models import N, draws, images, never_errs, smallest, target_of, two_class
from torch import nn

from absynth.attacks.square import square
from absynth.attacks.square_steps import (
    STEPS,
    _bump,
    _pyramid,
    _window,
    start_pattern,
    uniform_numbers,
    window_side,
    within,
)
from absynth.attacks.target import Target
from absynth.errors import InputError
from absynth.norms import NORMS, distance

NORM = ("l2", "linf")


class Brightness(nn.Module):
    """Class 1 where the mean of the pixels is above 0.6."""

    def forward(self, x):
        mean = x.flatten(1).mean(dim=1)
        return torch.stack([torch.full_like(mean, 0.6), mean], dim=1)


@pytest.mark.parametrize(("norm", "beyond"), [("l2", 2.0), ("linf", 1.05)])
def test_near_the_smallest_perturbation(norm, beyond):
    """All pixels of a grey image must become 0.1 brighter; in l2 half of each bump makes them darker."""
    x = torch.full((2, 1, 9, 8), 0.5)
    target = Target(Brightness(), x, torch.zeros(2, dtype=torch.int64), norm)
    square(norm, queries=600)(target, draws())
    optimum = {"l2": 0.1 * 72**0.5, "linf": 0.1}[norm]
    assert (target.best_distance >= optimum - 1e-6).all()
    assert (target.best_distance <= beyond * optimum).all()
    assert torch.equal(distance(x, target.best, norm), target.best_distance)
    assert target.gradients.tolist() == [0, 0]


@pytest.mark.parametrize("norm", NORM)
def test_nearer_with_more_queries_and_never_below_the_optimum(norm):
    found = []
    for queries in (10, 500):
        target = target_of(two_class(), norm)
        square(norm, queries=queries)(target, draws())
        found.append(target.best_distance)
        x, y = images(two_class())
        assert (target.best_distance >= smallest(two_class(), x, y, norm) * (1 - 1e-5)).all()
        assert target.best.min() >= 0
        assert target.best.max() <= 1
    assert (found[1] < found[0]).all()


@pytest.mark.parametrize("norm", NORM)
def test_model_that_never_errs_is_not_fooled(norm):
    target = target_of(never_errs(), norm)
    square(norm, queries=20)(target, draws())
    assert target.best_distance.isinf().all()
    assert target.queries.tolist() == [9 + 20] * N  # the line search doubles ε eight times


@pytest.mark.parametrize("norm", NORM)
def test_every_query_after_a_success_is_nearer(norm):
    target = target_of(two_class(), norm)
    x, _ = target.active
    asked = []

    def watch(module, inputs):
        asked.append((inputs[0].detach().clone(), target.best_distance.clone()))

    square(norm, queries=1)(target, draws())
    target.register_forward_pre_hook(watch)
    square(norm, queries=200, shrink=0.1)(target, draws())
    assert len(asked) == 200
    for image, best in asked:
        assert (distance(x, image, norm) <= 0.9 * best + 1e-5).all()
        assert image.min() >= 0
        assert image.max() <= 1


@pytest.mark.parametrize("norm", NORM)
@pytest.mark.parametrize("shape", [(4, 1, 9, 7), (3, 3, 12, 12), (2, 1, 2, 2)])
def test_steps_stay_within_epsilon_and_move_one_window(norm, shape):
    generator = torch.Generator().manual_seed(0)
    clean = 0.3 + 0.4 * torch.rand(shape, generator=generator)
    pattern = start_pattern(
        norm, clean.shape, torch.rand(shape[0], shape[1] + 1, *shape[2:], generator=generator)
    )
    unit = NORMS[norm].measure(pattern.flatten(1).double())
    torch.testing.assert_close(unit, torch.ones_like(unit), rtol=1e-5, atol=0)
    epsilon = torch.linspace(0.1, 0.2, shape[0]).double()
    point = within(clean + pattern, clean, epsilon, norm)
    side = window_side(norm, 0.2, clean.shape)
    drawn = torch.rand(shape[0], uniform_numbers(norm, shape[1]), generator=generator)
    moved = STEPS[norm](point, clean, epsilon, side, drawn)
    assert (distance(clean, moved, norm) <= epsilon * (1 + 1e-5)).all()
    inside = _window(drawn[:, :2], side, clean.shape).expand_as(clean) > 0
    assert inside.flatten(2).sum(dim=2).eq(side**2).all()
    if norm == "linf":
        assert torch.equal(moved[~inside], point[~inside])
        size = epsilon.float().view(-1, 1, 1, 1).expand_as(clean)
        torch.testing.assert_close((moved - clean).abs()[inside], size[inside])


def test_windows_shrink_as_in_the_paper():
    shape = torch.Size((1, 1, 28, 28))
    assert [window_side("linf", 0.8 / divisor, shape) for divisor in (1, 2, 16, 512)] == [25, 18, 6, 1]
    assert [window_side("l2", 0.8 / divisor, shape) for divisor in (1, 2, 16, 512)] == [25, 19, 7, 3]


def test_bumps_by_hand():
    """Three by three: k = 1 is the middle, k = 2 all of it; of length 1."""
    raised = torch.full((3, 3), 0.25)
    raised[1, 1] = 1.25
    torch.testing.assert_close(_pyramid(3, 3), raised / raised.norm())
    above, beside = _bump(4, torch.float32, torch.device("cpu"))
    assert torch.equal(above.T, beside)
    assert (above[:2] > 0).all()
    torch.testing.assert_close(above[2:], -above[:2])
    torch.testing.assert_close(above.norm(), torch.tensor(1.0))


def test_other_norms_are_refused():
    with pytest.raises(InputError, match="norm 'l0'; this attack minimises l2, linf"):
        square("l0")
