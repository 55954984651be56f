"""Cheap lower bounds on the perturbations that many rivals need, from matrix products of images.

For an image x, an own image v and rivals u, all within [0, 1], what pixel i can gain a rival is bounded by a
polynomial in u_i whose coefficients depend on x_i and v_i: so one matrix product with the rivals and one with their
squares bound the gains of all rivals (docs/derivations/prototype-abs.md derives the coefficients). With Hölder's
inequality that gives

    l2:   ‖δ‖₂ ≥ m / (2 √q)   where q ≥ Σ of w_i² over the pixels with room in the direction of w_i = u_i - v_i
    linf: ‖δ‖∞ ≥ m / (2 q)    where q ≥ Σ of |w_i| over the same
    l0:   k ≥ m² / (4 q)   where q ≥ Σ (w_i room_i)²; and k ≥ m / 2, for no pixel gains more than 2
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from absynth.models.metric import products, rounding

_TINY = 1e-30  # above what may underflow


@dataclass(frozen=True)
class Rivals:
    """M images u (M, d) with what is the same for every image x: ‖u‖² + o and ‖u‖² + 2 Σ u_i, (M,) each."""

    images: Tensor
    energy: Tensor
    extent: Tensor


@dataclass(frozen=True)
class Queries:
    """P pairs of an image x and an own image v, (P, d) each; energy (P,): ‖v - x‖² + o_v - ‖x‖², or a little more."""

    x: Tensor
    own: Tensor
    energy: Tensor


def screen(queries: Queries, rivals: Rivals, norm: str, *, few: bool = False) -> Tensor:
    """Lower bounds (P, M) of the perturbations, rounding allowed for; 0 where the margin is not positive.

    few: whether P and M are small enough to compute q from differences in linf, where its polynomial is loose for
        grey pixels
    """
    error = rounding(rivals.images)
    product = products(queries.x, rivals.images)  # (P, M)
    energy = queries.energy[:, None]
    margin = rivals.energy - 2 * product - energy
    margin -= error * (rivals.energy + 2 * product + energy.abs())
    q = _sum_of_differences(queries, rivals) if few and norm == "linf" else _bounded(queries, rivals, norm)
    gain = 2 * (q if norm == "linf" else q.sqrt())
    bound = torch.where(margin > 0, margin / gain * (1 - 4 * error), 0)  # 0 for NaN as well
    return torch.maximum(bound.square(), bound * gain / 2) if norm == "l0" else bound


def _bounded(queries: Queries, rivals: Rivals, norm: str) -> Tensor:
    """q (P, M) from the coefficients of the norm."""
    error = rounding(rivals.images)
    quadratic, linear, constant = _COEFFICIENTS[norm](queries.x, queries.own)
    q = products(linear, rivals.images)
    if quadratic is not None:
        q += products(quadratic, rivals.images.square())
    total = constant.sum(dim=1, keepdim=True)
    return (q + total + error * (rivals.extent + total)).clamp_min(_TINY)


def _sum_of_differences(queries: Queries, rivals: Rivals) -> Tensor:
    """Σ |w_i| (P, M) over the pixels with room."""
    w = rivals.images - queries.own[:, None]  # (P, M, d)
    room = torch.where(w > 0, (queries.x < 1)[:, None], (queries.x > 0)[:, None])
    return (w.abs() * room).sum(dim=2) * (1 + rounding(rivals.images)) + _TINY


# Of u² (none if None), of u, and the rest: (P, d) each, within 0…1, -2…1 and 0…1.
Coefficients = tuple[Tensor | None, Tensor, Tensor]


def _l2(x: Tensor, v: Tensor) -> Coefficients:
    """(u - v)². Where x is 0 only u > v counts: u - v ≤ u (1 - v); where it is 1 only u < v: v - u ≤ v (1 - u)."""
    black, white = x <= 0, x >= 1
    quadratic = torch.where(black, (1 - v).square(), torch.where(white, v.square(), 1))
    linear = torch.where(black, 0, torch.where(white, -2 * v.square(), -2 * v))
    return quadratic, linear, torch.where(black, 0, v.square())


def _linf(x: Tensor, v: Tensor) -> Coefficients:
    """The same without the square; elsewhere |u - v| ≤ u + v - 2uv."""
    black, white = x <= 0, x >= 1
    linear = torch.where(black, 1 - v, torch.where(white, -v, 1 - 2 * v))
    return None, linear, torch.where(black, 0, v)


def _l0(x: Tensor, v: Tensor) -> Coefficients:
    """(u (1 - v) (1 - x))² + (v (1 - u) x)², of which one bounds (w room)², as in l2."""
    up, down = ((1 - v) * (1 - x)).square(), (v * x).square()
    return up + down, -2 * down, down


_COEFFICIENTS: dict[str, Callable[[Tensor, Tensor], Coefficients]] = {"l2": _l2, "linf": _linf, "l0": _l0}
