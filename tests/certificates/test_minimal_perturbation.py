"""Smallest perturbations against answers known on paper, a linear program and brute force."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog
from torch import Tensor

from absynth.certificates.minimal_perturbation import fill, take_in_order, whole
from absynth.certificates.perturbations import Box, Flips

ONE = torch.zeros(1, dtype=torch.int64)
NO_BONUS = torch.zeros(1)
NORMS = {"l2": 2, "linf": math.inf}


def minimal_perturbation(kind, margin: float, w: Tensor, bonus: Tensor = NO_BONUS):
    return kind(ONE, torch.tensor([margin]), w[None], bonus)


def test_in_grey_images_the_dual_norm_decides():
    """No pixel meets the box: ε = m / 2‖w‖_q, and in l0 the pixels of largest |w|."""
    w = torch.tensor([3.0, -4.0, 0.0, 12.0]) / 100
    x = torch.full((1, 4), 0.5)
    assert minimal_perturbation(Box("l2", x), 0.02, w).size.item() == pytest.approx(0.02 / (2 * 0.13))
    assert minimal_perturbation(Box("linf", x), 0.02, w).size.item() == pytest.approx(0.02 / (2 * 0.19))
    # Two pixels gain 2 · ½ · 0.12 and 2 · ½ · 0.04 at most.
    assert [
        minimal_perturbation(Box("l0", x), m, w).size.item() for m in (0.11, 0.12, 0.13, 0.16, 0.161)
    ] == [1, 1, 2, 2, 3]


@pytest.mark.parametrize("norm", ["l2", "linf", "l0"])
def test_no_margin_needs_no_perturbation_and_none_gains_too_large_a_one(norm):
    x, w = torch.tensor([[0.0, 1.0, 0.5]]), torch.tensor([1.0, -1.0, 0.2])
    for kind in (Box(norm, x), Flips(norm, x, torch.tensor([[0.0, 1.0, 1.0]]))):
        assert minimal_perturbation(kind, -1.0, w).size.item() == 0
        assert minimal_perturbation(kind, 0.0, w).size.item() == 0
        assert not minimal_perturbation(kind, -1.0, w).delta.any()
        assert minimal_perturbation(kind, 100.0, w).size.item() == math.inf


def test_pixels_without_room_do_not_help():
    x = torch.tensor([[1.0, 0.0, 0.5]])
    w = torch.tensor([1.0, -1.0, 0.1])  # white cannot get whiter, nor black blacker
    assert minimal_perturbation(Box("l2", x), 0.02, w).size.item() == pytest.approx(0.1)
    assert minimal_perturbation(Box("linf", x), 0.02, w).size.item() == pytest.approx(0.1)
    assert minimal_perturbation(Box("l0", x), 0.11, w).size.item() == math.inf


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.02, 0.98), st.sampled_from(["l2", "linf"]))
def test_the_perturbation_gains_the_margin_within_the_box_at_the_size_stated(seed, share, norm):
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(1, 30, generator=generator).mul(1.6).sub(0.3).clamp(0, 1)  # some at the ends
    w = torch.randn(30, generator=generator)
    most = (2 * w.abs() * torch.where(w > 0, 1 - x[0], x[0])).sum().item()
    found = minimal_perturbation(Box(norm, x), share * most, w)
    delta = found.delta[0]
    assert (2 * w @ delta).item() == pytest.approx(share * most, rel=1e-4)
    assert ((x[0] + delta >= -1e-6) & (x[0] + delta <= 1 + 1e-6)).all()
    assert delta.norm(p=NORMS[norm]).item() == pytest.approx(found.size.item(), rel=1e-5)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.05, 0.95))
def test_linf_is_the_optimum_of_the_linear_program(seed, share):
    generator = np.random.default_rng(seed)
    x, w = generator.random(12), generator.normal(size=12)
    margin = share * (2 * np.abs(w) * np.where(w > 0, 1 - x, x)).sum()
    # minimise ε over (δ, ε): |δ_i| ≤ ε, the box, 2w·δ ≥ margin
    eye, column = np.eye(12), -np.ones((12, 1))
    bounds = [(-xi, 1 - xi) for xi in x] + [(0, None)]
    upper = np.vstack([np.hstack([eye, column]), np.hstack([-eye, column]), np.append(-2 * w, 0)])
    best = linprog(np.append(np.zeros(12), 1), upper, np.append(np.zeros(24), -margin), bounds=bounds)
    found = minimal_perturbation(Box("linf", torch.tensor(x)[None].float()), margin, torch.tensor(w).float())
    assert found.size.item() == pytest.approx(best.fun, rel=1e-4)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.05, 0.95))
def test_no_perturbation_of_smaller_l2_norm_gains_as_much(seed, share):
    """At the optimum of a concave maximisation δ is the projection of x + tw onto the box, for some t."""
    generator = torch.Generator().manual_seed(seed)
    x, w = torch.rand(1, 20, generator=generator), torch.randn(20, generator=generator)
    most = (2 * w.abs() * torch.where(w > 0, 1 - x[0], x[0])).sum().item()
    found = minimal_perturbation(Box("l2", x), share * most, w)
    for _ in range(200):
        trial = torch.randn(20, generator=generator) + 3 * found.delta[0] / found.size
        trial = (x[0] + trial / trial.norm() * found.size * 0.999).clamp(0, 1) - x[0]
        assert (2 * w @ trial).item() <= share * most


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.05, 0.95))
def test_l0_against_all_subsets(seed, share):
    generator = torch.Generator().manual_seed(seed)
    x, w = torch.rand(1, 7, generator=generator), torch.randn(7, generator=generator)
    gain = 2 * w.abs() * torch.where(w > 0, 1 - x[0], x[0])
    margin = share * gain.sum().item()
    least = min(
        len(subset)
        for k in range(8)
        for subset in itertools.combinations(range(7), k)
        if gain[list(subset)].sum() >= margin
    )
    assert minimal_perturbation(Box("l0", x), margin, w).size.item() == least


def brute_force_flips(x: Tensor, gain: Tensor, margin: float, norm: str) -> float:
    """The smallest perturbation over all subsets of flipped pixels, that of none included."""
    cost = (x - 0.5).abs()
    least = math.inf if margin > 0 else 0.0
    for k in range(1, len(x) + 1):
        for subset in map(list, itertools.combinations(range(len(x)), k)):
            if gain[subset].sum() >= margin:
                size = {"l0": k, "l2": cost[subset].norm().item(), "linf": cost[subset].max().item()}[norm]
                least = min(least, size)
    return least


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.05, 0.95), st.sampled_from(["l2", "linf", "l0"]))
@example(28294, 0.5, "linf")  # no flip gains anything, and none is needed
def test_flips_against_all_subsets(seed, share, norm):
    """Exact in l0 and linf; in l2 the relaxed knapsack lies below the optimum, and not far."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(7, generator=generator)
    x[:3] = torch.tensor([0.0, 1.0, 0.0])  # equal costs
    preprocessed = (x >= 0.5).float()
    w, bonus = torch.randn(7, generator=generator), torch.randn(1, generator=generator) * 0.05
    gain = 2 * w * (1 - 2 * preprocessed) + bonus
    margin = share * gain.clamp_min(0).sum().item()
    least = brute_force_flips(x, gain, margin, norm)
    found = minimal_perturbation(Flips(norm, x[None], preprocessed[None]), margin, w, bonus).size.item()
    if norm == "l2":
        assert found <= least + 1e-5
        assert found >= least - 0.5  # the dearest pixel costs ½
    else:
        assert found == pytest.approx(least, abs=1e-6)


@pytest.mark.parametrize("norm", ["l2", "linf", "l0"])
def test_the_applied_image_gains_at_least_the_margin(norm):
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(1, 40, generator=generator)
    w = torch.randn(40, generator=generator)
    found = minimal_perturbation(Box(norm, x), 2.0, w)
    image = Box(norm, x).apply(ONE, found.delta)
    assert (2 * w @ (image - x)[0]).item() >= 2.0 - 1e-4
    if norm == "l0":
        assert (image != x).sum() == found.size

    preprocessed = (x >= 0.5).float()
    flips = Flips(norm, x, preprocessed)
    found = minimal_perturbation(flips, 2.0, w)
    image = flips.apply(ONE, found.delta)
    changed = (image >= 0.5).float() - preprocessed
    assert (2 * w @ changed[0]).item() >= 2.0 - 1e-4
    assert torch.equal(image == x, changed == 0)
    assert ((image - x).abs() <= (x - 0.5).abs() + 1e-6).all()


def test_fill_takes_speeds_into_account():
    """Pixel 1 rises twice as fast and is full at level 1; then pixel 2 alone."""
    weight, room, speed = torch.tensor([[1.0, 1.0]]), torch.tensor([[2.0, 9.0]]), torch.tensor([[2.0, 1.0]])
    levels = [fill(torch.tensor([m]), weight, room, speed).item() for m in (1.5, 3.0, 5.0, 11.0, 11.1)]
    assert levels == [0.5, 1.0, 3.0, 9.0, math.inf]


def test_relaxed_knapsack_takes_the_last_pixel_in_part():
    gain, cost = torch.tensor([[4.0, 3.0, 0.0, -2.0]]), torch.tensor([[2.0, 3.0, 0.1, 0.1]])
    share, paid = take_in_order(torch.tensor([5.5]), gain, cost)
    assert share.tolist() == [[1.0, 0.5, 0.0, 0.0]]
    assert paid.item() == 3.5


def test_zero_pixels_are_not_minus_zero():
    assert str(whole(torch.tensor(0.0)).item()) == "0.0"


def test_rounding_adds_no_pixel():
    assert whole(torch.tensor([0.0, 3.0, 3.00001, 3.01, -0.5, math.inf])).tolist() == [
        0,
        3,
        3,
        4,
        0,
        math.inf,
    ]
