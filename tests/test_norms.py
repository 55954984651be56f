"""Distances in the three norms."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from absynth.norms import NORMS, distance, told_apart


def pair(changes: dict[int, float], base: float = 0.25) -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.full((1, 1, 28, 28), base)
    other = x.clone()
    for position, value in changes.items():
        other.view(-1)[position] = value
    return x, other


@pytest.mark.parametrize(("norm", "expected"), [("l0", 2.0), ("l2", 1.25), ("linf", 1.0)])
def test_on_paper(norm, expected):
    """Two pixels, 0.75 up and 1 down: the sides of a right triangle."""
    x, other = pair({0: 1.0, 783: 0.0}, base=0.25)
    x.view(-1)[783] = 1.0
    found = distance(x, other, norm)
    assert (found.item(), found.dtype, found.shape) == (expected, torch.float64, (1,))


@pytest.mark.parametrize("norm", NORMS)
def test_image_is_at_distance_zero_from_itself(norm):
    x = torch.rand(3, 1, 28, 28)
    assert distance(x, x.clone(), norm).tolist() == [0, 0, 0]


def test_smallest_change_of_a_float_counts():
    x, other = pair({5: torch.nextafter(torch.tensor(0.25), torch.tensor(1.0)).item()})
    assert distance(x, other, "l0").item() == 1
    assert distance(x, other, "l2").item() == distance(x, other, "linf").item() == 2.0**-25


def test_difference_is_taken_in_double_precision():
    """In float32, 1 - 2⁻³⁰ is 1."""
    x, other = pair({5: 1.0}, base=2.0**-30)
    assert distance(x, other, "linf").item() == distance(x, other, "l2").item() == 1 - 2.0**-30


def test_sum_is_taken_in_double_precision():
    """784 equal changes: in float32 the root of their sum of squares is off in the seventh digit."""
    x = torch.zeros(1, 1, 28, 28)
    other = torch.full_like(x, 0.1)
    assert distance(x, other, "l2").item() == pytest.approx(28 * other[0, 0, 0, 0].item(), rel=1e-14)


@given(
    st.dictionaries(st.integers(0, 783), st.floats(0, 1, width=32), max_size=8),
    st.sampled_from(sorted(NORMS)),
)
def test_norms_bound_one_another_and_ignore_the_order(changes, norm):
    x, other = pair(changes)
    l0, l2, linf = (distance(x, other, name).item() for name in ("l0", "l2", "linf"))
    assert linf <= l2 <= linf * l0**0.5 + 1e-12
    assert distance(x, other, norm).item() == distance(other, x, norm).item()


def test_each_image_has_its_own_distance():
    x = torch.zeros(3, 1, 28, 28)
    other = x.clone()
    other[1, 0, 0, :4] = 0.5
    other[2, 0, 3, 3] = 1
    assert distance(x, other, "l0").tolist() == [0, 4, 1]
    assert distance(x, other, "l2").tolist() == [0, 1, 1]
    assert distance(x, other, "linf").tolist() == [0, 0.5, 1]


def test_unknown_norm_is_an_error():
    with pytest.raises(KeyError):
        distance(torch.zeros(1, 4), torch.zeros(1, 4), "l1")


def test_numbers_of_tables_are_never_minus_zero_and_infinite_ones_are_marked():
    assert NORMS["l2"].format(-0.001) == NORMS["l2"].format_median(-0.0) == "0.00"
    assert NORMS["linf"].format(float("inf")) == NORMS["l0"].format_median(float("inf")) == "∞"


def test_two_distances_are_written_with_the_digits_that_tell_them_apart():
    assert told_apart(1.5, 1.5) == ("1.5", "1.5")
    assert told_apart(1.25, 2.0) == ("1.25", "2")
    assert told_apart(1.0, 1.0000021) == ("1", "1.000002")
    assert told_apart(1.5, float("inf")) == ("1.5", "∞")
