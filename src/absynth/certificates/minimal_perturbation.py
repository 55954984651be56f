"""The cheapest way to gain a margin from pixels that each gain at a given rate and up to a limit."""

from dataclasses import dataclass

import torch
from torch import Tensor

_NEWTON_STEPS = 100  # more than the finitely many that `fill` ever takes in practice
_ROUNDING = 1e-6


@dataclass(frozen=True)
class MinimalPerturbation:
    """For each of P pairs of an image and a rival's reconstruction:

    size (P,): norm of the smallest perturbation; 0 if the margin is not positive, inf if no perturbation gains it
    score (P,): the same without rounding to whole pixels, for a search to lower
    delta (P, d): that perturbation; its last pixel may be changed in part
    """

    size: Tensor
    score: Tensor
    delta: Tensor


def fill(margin: Tensor, weight: Tensor, room: Tensor, speed: Tensor) -> Tensor:
    """The smallest level λ ≥ 0 (P,) with Σ_i weight_i min(room_i, λ speed_i) ≥ margin; inf if there is none.

    The sum is concave and piecewise linear in λ: Newton's steps from below never overshoot, and end exactly.

    Takes   margin (P,); weight, room, speed (P, d), none of them negative
    """
    level = torch.zeros_like(margin)
    for _ in range(_NEWTON_STEPS):
        rising = level[:, None] * speed
        gain = (weight * torch.minimum(rising, room)).sum(dim=1)
        slope = (weight * speed * (rising < room)).sum(dim=1)
        missing = margin - gain
        short = missing > _ROUNDING * margin.abs()
        if not short.any():
            break
        level = torch.where(short, level + missing / slope, level)  # inf where nothing is left to gain
    return level


def attainable(margin: Tensor, total: Tensor) -> Tensor:
    """Whether (P,) all pixels together, which gain `total` (P,), gain the margin (P,), up to rounding."""
    return margin <= total * (1 + _ROUNDING)


def whole(score: Tensor) -> Tensor:
    """Scores (P,) rounded up to whole pixels; a score that is whole up to rounding errors stays as it is."""
    return (score - 1e-4).ceil().clamp_min(0) + 0.0  # no negative zero


def take_in_order(margin: Tensor, gain: Tensor, cost: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Take pixels, best gain per cost first, until they gain the margin, of the last one only a share.

    This solves the relaxed knapsack problem: no choice of whole pixels that gains as much costs less.

    Takes   margin (P,); gain (P, d), only pixels with a positive one are taken; cost (P, d), 1 each if None
    Returns the share taken of each pixel (P, d) and their cost (P,): 0 if the margin is not positive, inf if
            all pixels together do not gain it
    """
    rate = gain if cost is None else gain / cost.clamp_min(1e-12)
    order = rate.argsort(dim=1, descending=True)
    sorted_gain = gain.gather(1, order).clamp_min(0)
    total = sorted_gain.cumsum(dim=1)
    before = total - sorted_gain
    part = torch.where(sorted_gain > 0, (margin[:, None] - before) / sorted_gain, 0).clamp_(0, 1)
    paid = part if cost is None else part * cost.gather(1, order)
    enough = attainable(margin, total[:, -1])
    score = torch.where(enough, paid.sum(dim=1), torch.inf)
    return torch.zeros_like(gain).scatter_(1, order, part), score
