"""How many whole pixels several inequalities need, and that it is proved."""

import ctypes
from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog
from torch import Tensor

from absynth.certificates import whole_pixels
from absynth.certificates.whole_pixels import PixelProgram

D = 5


@st.composite
def programs(draw) -> PixelProgram:
    """Up to four inequalities, some of one sign in no pixel, and an image with pixels at the ends of the box."""
    rows = draw(st.integers(1, 4))
    w = draw(st.lists(st.lists(st.floats(-1, 1), min_size=D, max_size=D), min_size=rows, max_size=rows))
    margin = draw(st.lists(st.floats(0.01, 3), min_size=rows, max_size=rows))
    x = draw(st.lists(st.sampled_from((0.0, 0.25, 1.0)), min_size=D, max_size=D))
    return PixelProgram(*(torch.tensor(values, dtype=torch.float64) for values in (margin, w, x)))


def excess(program: PixelProgram, pixels: tuple[int, ...]) -> float:
    """By how much these pixels can exceed the least exceeded margin at most."""
    chosen = list(pixels)
    gain = 2 * program.w.numpy()[:, chosen]
    x = program.x.numpy()[chosen]
    found = linprog(
        np.append(np.zeros(len(chosen)), -1.0),
        A_ub=np.hstack([-gain, np.ones((len(gain), 1))]),
        b_ub=-program.margin.numpy(),
        bounds=[*zip(-x, 1 - x, strict=True), (None, None)],
        method="highs",
    )
    return float(found.x[-1])


def fewest(program: PixelProgram, tolerance: float) -> float:
    """By trying every set of pixels."""
    counts = (k for k in range(D + 1) for s in combinations(range(D), k) if excess(program, s) >= tolerance)
    return next(counts, float("inf"))


@settings(max_examples=60, deadline=None)
@given(program=programs())
def test_it_is_the_number_that_trying_every_set_gives(program):
    least, most = fewest(program, -1e-5), fewest(program, 1e-5)
    delta = program.fewest()
    if delta is None:
        assert most == float("inf")
    else:
        assert least <= delta.count_nonzero()
        if most < float("inf"):
            assert delta.count_nonzero() <= most
            assert (2 * program.w @ delta >= program.margin - 1e-6).all()
        assert (program.x + delta).clamp(0, 1).sub(program.x + delta).abs().max() <= 1e-6


@settings(max_examples=60, deadline=None)
@given(program=programs())
def test_what_is_proved_is_so_and_what_is_so_is_proved(program):
    least = fewest(program, 0)
    for count in range(D):
        if program.needs_more(count):
            assert least > count
        else:
            assert fewest(program, -1e-5) <= count, "but for ties"


def halves(number: int) -> PixelProgram:
    """Every pixel gains 2 of what is needed, 2 number - 1, and the second inequality is easy."""
    w = torch.stack([torch.ones(8), 0.5 * torch.ones(8)]).double()
    return PixelProgram(torch.tensor([2.0 * number - 1, 0.1]).double(), w, torch.zeros(8).double())


def test_nothing_that_the_solver_prints_is_seen(monkeypatch, capfd):
    """HiGHS prints to standard output what it has no option to silence."""
    original = whole_pixels.milp

    def loud(*given, **options):
        ctypes.CDLL(None).puts(b"HighsMipSolverData::transformNewIntegerFeasibleSolution")
        return original(*given, **options)

    monkeypatch.setattr(whole_pixels, "milp", loud)
    assert halves(3).fewest().count_nonzero() == 3
    ctypes.CDLL(None).fflush(None)
    assert capfd.readouterr().out == ""


def test_shares_of_pixels_do_not_count():
    program = halves(3)
    assert program.fewest().count_nonzero() == 3
    assert program.needs_more(2)
    assert not program.needs_more(3)


def test_a_pixel_may_have_to_change_in_part():
    """The first inequality wants the pixel brighter, the second not too bright."""
    program = PixelProgram(
        torch.tensor([0.5, -1.0]).double(), torch.tensor([[1.0], [-1.0]]).double(), torch.zeros(1).double()
    )
    delta = program.fewest()
    assert 0.25 < delta.item() < 0.5
    assert program.needs_more(0)


@pytest.mark.parametrize("weights", [torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])])
def test_any_weights_leave_the_proof_sound(weights, monkeypatch):
    """The solver is not trusted: at worst nothing is proved."""
    program = halves(3)
    monkeypatch.setattr(PixelProgram, "_relaxed", lambda *_: (weights.double(), np.full(8, 0.5)))
    assert not program.needs_more(3)
    assert not program.needs_more(5)


def test_a_proof_that_takes_too_long_is_none(monkeypatch):
    monkeypatch.setattr(whole_pixels, "_PROVED", 0)
    assert not halves(3).needs_more(2)


def test_a_proof_that_drops_a_branch_is_caught(monkeypatch):
    """As if a set of pixels did not have to change those it is said to: then too much is proved."""
    original = PixelProgram._too_few

    def careless(self: PixelProgram, weights: Tensor, changed: list[int], kept: list[int], count: int):
        return original(self, weights, [], [*changed, *kept], count - len(changed))

    monkeypatch.setattr(PixelProgram, "_too_few", careless)
    w = torch.tensor([[1.0, 0.6, 0.6, 0.1], [0.1, 0.6, 0.6, 1.0]]).double()
    program = PixelProgram(torch.tensor([2.2, 2.2]).double(), w, torch.zeros(4).double())
    assert fewest_of(program) == 2
    assert program.needs_more(2)


def fewest_of(program: PixelProgram) -> int:
    sets = (s for k in range(5) for s in combinations(range(4), k) if excess(program, s) >= 0)
    return len(next(sets))
