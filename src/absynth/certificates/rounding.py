"""Smallest perturbations of a margin, rounded down by a proven margin (docs/derivations/prototype-abs.md).

All values are float64. The level that an iteration ends with is only a guess here: what is returned follows from an
inequality that holds at any level, evaluated with an allowance for rounding.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from absynth.certificates.minimal_perturbation import fill

RELATIVE = 1e-12  # more than the (4096 + 50) 2⁻⁵³ of sums of 4096 terms


def relative(terms: int) -> float:
    """A bound on the relative error of what is computed below, sums of at most so many terms of one sign."""
    return max(RELATIVE, 2 * (terms + 50) * 2.0**-53)


def guaranteed_l2(margin: Tensor, gain: Tensor, room: Tensor) -> Tensor:
    """A lower bound (P,) of ‖δ‖₂ where Σ gain_i |δ_i| ≥ margin and |δ_i| ≤ room_i; inf where no δ gains as much.

    Weak duality: for any μ ≥ 0, ‖δ‖² ≥ μ margin + Σ_i min over 0 ≤ t ≤ room_i of (t² - μ gain_i t). Where μ
    is the level of water filling both sides are equal.

    Takes   margin (P,), a lower bound of the true one; gain, room (P, d), none of them negative
    """
    speed = gain / 2
    level = _reached(fill(margin, gain, room, speed))  # δ_i = min(room_i, level speed_i), gain_i = 2 speed_i
    change = torch.minimum(room, level[:, None] * speed)
    lost = (change * (2 * level[:, None] * speed - change)).sum(dim=1)
    gained = level * margin
    error = relative(gain.shape[1])
    squared = gained - lost - error * (gained + lost)
    return _result(margin, gain, room, squared.clamp_min(0).sqrt() * (1 - error))


def guaranteed_linf(margin: Tensor, gain: Tensor, room: Tensor) -> Tensor:
    """The same of ‖δ‖∞. For any set S of pixels, ‖δ‖∞ ≥ (margin - Σ_S gain_i room_i) / (the other pixels' Σ gain_i).

    At S, the pixels whose room is used up at the smallest level, both sides are equal.
    """
    level = _reached(fill(margin, gain, room, torch.ones_like(room)))
    error = relative(gain.shape[1])
    used = room < level[:, None] * (1 - error)
    fixed = (gain * room * used).sum(dim=1) * (1 + error)
    slope = (gain * ~used).sum(dim=1) * (1 + error)
    size = torch.where(slope > 0, (margin - fixed) / slope, 0) * (1 - error)
    return _result(margin, gain, room, size.clamp_min(0))


def guaranteed_l0(margin: Tensor, gain: Tensor, room: Tensor) -> Tensor:
    """The same of the number of pixels with δ_i ≠ 0: the smallest whose best so many gain the margin."""
    total = (gain * room).sort(dim=1, descending=True).values.cumsum(dim=1)
    short = total * (1 + relative(gain.shape[1])) < margin[:, None]
    return _result(margin, gain, room, short.sum(dim=1).double() + 1)


GUARANTEED: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "l2": guaranteed_l2,
    "linf": guaranteed_linf,
    "l0": guaranteed_l0,
}


def _reached(level: Tensor) -> Tensor:
    """The level where there is one; where it is infinite no perturbation gains enough, and any other serves."""
    return level.nan_to_num(nan=0.0, posinf=0.0)


def _result(margin: Tensor, gain: Tensor, room: Tensor, size: Tensor) -> Tensor:
    """`size` (P,), but 0 where the margin is not positive (or NaN) and inf where all pixels together gain less."""
    total = (gain * room).sum(dim=1) * (1 + relative(gain.shape[1]))
    size = torch.where(total < margin, torch.inf, size)
    return torch.where(margin > 0, size, 0)  # false for NaN
