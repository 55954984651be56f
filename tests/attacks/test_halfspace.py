"""The nearest point of a box and a halfspace, against linear programs and by hand."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from absynth.attacks.halfspace import nearest_point

D = 7


def problems(seed, m=4):
    """x, normal, bound, low, high: some normals have zeros, some points lie outside of the box."""
    generator = torch.Generator().manual_seed(seed)
    x, normal, center = (torch.rand(m, D, generator=generator, dtype=torch.float64) for _ in range(3))
    normal = (2 * normal - 1) * (torch.rand(m, D, generator=generator) < 0.8)
    low, high = (center - 0.3).clamp_min(0), (center + 0.3).clamp_max(1)
    bound = (normal * x).sum(dim=1) - torch.rand(m, generator=generator, dtype=torch.float64)
    return x, normal, bound, low, high


def least(cost, normal, bound, low, high):
    """The smallest value of cost · z over the box and the halfspace; None where they do not meet."""
    found = linprog(cost, normal[None], [bound], bounds=[*zip(low, high, strict=True)])
    return found.fun if found.status == 0 else None


def least_radius(x, normal, bound, low, high):
    """The smallest ε such that a point of the box and the halfspace lies within ε of x in linf."""
    eye, ones = np.eye(D), np.ones((D, 1))
    within = np.block([[normal[None], np.zeros((1, 1))], [eye, -ones], [-eye, -ones]])
    box = [*zip(low, high, strict=True), (0, None)]
    return linprog([0] * D + [1], within, [bound, *x, *-x], bounds=box).fun


@given(seed=st.integers(0, 10_000), norm=st.sampled_from(["l2", "linf"]))
@settings(max_examples=40, deadline=None)
def test_no_point_of_box_and_halfspace_is_nearer(seed, norm):
    problem = problems(seed)
    nearest, meets = nearest_point(*problem, norm)
    for z, met, x, *rest in zip(nearest.numpy(), meets, *(part.numpy() for part in problem), strict=True):
        normal, bound, low, high = rest
        assert (low <= z).all()
        assert (z <= high).all()
        lowest = least(np.zeros(D), *rest)
        assert bool(met) == (lowest is not None)
        if not met:
            assert normal @ z == pytest.approx(linprog(normal, bounds=[*zip(low, high, strict=True)]).fun)
            continue
        assert normal @ z <= bound + 1e-9
        if norm == "linf":
            assert np.abs(z - x).max() == pytest.approx(least_radius(x, *rest), abs=1e-9)
        else:  # what a convex problem's optimum fulfils, and no other point
            assert least(z - x, *rest) >= (z - x) @ z - 1e-9


def test_by_hand():
    x = torch.tensor([[0.5, 0.9, 0.2]], dtype=torch.float64)
    normal = torch.tensor([[-1.0, -2.0, 0.0]], dtype=torch.float64)
    low, high = torch.zeros_like(x), torch.ones_like(x)
    gain = torch.tensor([0.4])  # the second reaches the edge of the box after 0.2 of it
    bound = (normal * x).sum(dim=1) - gain
    for norm, expected in {"l2": [0.7, 1.0, 0.2], "linf": [0.7, 1.0, 0.2]}.items():
        z, meets = nearest_point(x, normal, bound, low, high, norm)
        assert meets
        torch.testing.assert_close(z, torch.tensor([expected], dtype=torch.float64))
    z, _ = nearest_point(x, normal, bound + 0.3, low, high, "l2")  # 0.1 = 0.02 · 1 + 0.04 · 2
    torch.testing.assert_close(z, torch.tensor([[0.52, 0.94, 0.2]], dtype=torch.float64))


def test_a_normal_of_zero_moves_nothing():
    x, normal, bound, low, high = problems(0)
    for norm in ("l2", "linf"):
        z, meets = nearest_point(x, 0 * normal, bound.abs() * 0 - 1, low, high, norm)
        assert torch.equal(z, x.clamp(low, high))
        assert not meets.any()


@pytest.mark.parametrize("size", [1e-20, 1e20])
def test_the_scale_of_the_normal_is_none_of_the_point(size):
    x, normal, bound, low, high = problems(1)
    for norm in ("l2", "linf"):
        expected, _ = nearest_point(x, normal, bound, low, high, norm)
        z, _ = nearest_point(x, size * normal, size * bound, low, high, norm)
        torch.testing.assert_close(z, expected)
