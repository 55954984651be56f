"""Weights with which inequalities of several own images are added up (docs/derivations/prototype-abs.md).

A perturbation δ that makes a rival win fulfils 2 δ·w_k ≥ m_k for every own image k, and so for any weights λ_k ≥ 0
also 2 δ·Σ λ_k w_k ≥ Σ λ_k m_k: an inequality as of one own image. The best weights are dual solutions. They come
from solvers that nobody needs to trust: the inequality follows from any.
"""

from collections.abc import Callable

import numpy as np
import torch
from scipy.optimize import linprog  # type: ignore[attr-defined]  # it does not say what it exports
from torch import Tensor

from absynth.certificates.minimal_perturbation import fill
from absynth.certificates.rounding import relative

Array = np.ndarray
_NEWTON_STEPS, _HALVINGS = 50, 30
_ACCURACY = 1e-9  # of margins that the best weights leave over
_TINY = 1e-12


def mixture(margin: Tensor, w: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """m̄ and w̄ (d,), of which 2 δ·w̄ ≥ m̄ follows for every δ, |δ_i| ≤ 1, with 2 δ·w_k ≥ m_k for all k.

    All float64: margin m (K,), w (K, d), weights (K,) ≥ 0 of sum 1. m̄ is lowered by what the rounding of both
    sums may gain.
    """
    lost = (weights * margin.abs()).sum() + 2 * (weights @ w.abs()).sum()
    return weights @ margin - relative(w.shape[1]) * lost, weights @ w


def best_mixture(margin: Tensor, w: Tensor, x: Tensor, norm: str) -> tuple[Tensor, Tensor]:
    """Weights (K,) whose mixture needs about the largest perturbation of x (d,), see `mixture`, and a perturbation.

    That one (d,) fulfils all K inequalities, if any does, and in l2 and linf is about as small as any that does; in
    l0 some pixels change in part.
    """
    found, change = _BEST[norm](margin.numpy(), w.numpy(), x.numpy())
    found = found.clip(0)
    total = found.sum()
    if not np.isfinite(total) or total <= 0:
        found, total = np.ones_like(found), float(len(found))
    return torch.from_numpy(found / total), torch.from_numpy(change)


def _best_l2(margin: Array, w: Array, x: Array) -> tuple[Array, Array]:
    """Dual values of the smallest ‖δ‖₂ in the box, and δ."""
    return _dual_maximum(margin, w, -x, 1 - x)[:2]


def _best_linf(margin: Array, w: Array, x: Array) -> tuple[Array, Array]:
    """The smallest box around x, of size t, in which the inequalities can be fulfilled.

    As long as they cannot, there are weights that show it: with a dual value that no perturbation in the box has.
    Their mixture's size is the next t.
    """
    weights, size, change = np.ones(len(margin)), 0.0, np.zeros_like(x)
    for _ in range(_NEWTON_STEPS):
        low, high = np.maximum(-x, -size * (1 + _ACCURACY)), np.minimum(1 - x, size * (1 + _ACCURACY))
        found, change, contradiction = _dual_maximum(margin, w, low, high)
        if not contradiction:
            break
        weights, size = found, _size_linf(found @ margin, found @ w, x)
        if not np.isfinite(size):
            break
    return weights, change


def _size_linf(margin: float, w: Array, x: Array) -> float:
    room = np.where(w > 0, 1 - x, x)
    values = (torch.from_numpy(row[None]) for row in (2 * np.abs(w), room, np.ones_like(w)))
    return fill(torch.tensor([margin], dtype=torch.float64), *values).item()


def _best_l0(margin: Array, w: Array, x: Array) -> tuple[Array, Array]:
    """The smallest number of pixels that change all the way, shares of a pixel allowed: a linear program."""
    useful = np.hstack([(w > 0).any(axis=0), (w < 0).any(axis=0)])
    room = np.concatenate([1 - x, -x])
    gain = 2 * np.hstack([w, w]) * room
    limits = np.stack([np.zeros(len(room)), np.where(useful, 1.0, 0.0)], axis=1)
    found = linprog(np.ones(len(room)), A_ub=-gain, b_ub=-margin, bounds=limits, method="highs")
    if found.status != 0:  # no perturbation gains all margins
        return _best_l2(margin, w, x)
    return -found.ineqlin.marginals, (found.x * room).reshape(2, -1).sum(axis=0)


_BEST: dict[str, Callable[[Array, Array, Array], tuple[Array, Array]]] = {
    "l2": _best_l2,
    "linf": _best_linf,
    "l0": _best_l0,
}


def _dual_maximum(margin: Array, w: Array, low: Array, high: Array) -> tuple[Array, Array, bool]:
    """Weights λ ≥ 0 that maximise Σ λ_k m_k + Σ_i min over low_i ≤ t ≤ high_i of (t² - 2 t Σ λ_k w_ki).

    That is the smallest ‖δ‖² within these limits with 2 δ·w_k ≥ m_k for all k. If there is no such δ, the maximum is
    infinite; the search ends at weights with a value larger than any ‖δ‖² within the limits.

    Returns weights (K,), δ (d,), and whether there is no such δ

    Newton's steps on the weights that are not held at 0, projected (Bertsekas 1982, Projected Newton methods for
    optimization problems with simple constraints, SIAM J. Control Optim. 20).
    """
    weights = margin.clip(0) / (2 * (w * w).sum(axis=1)).clip(_TINY) / len(margin)
    value, change, inside = _dual(weights, margin, w, low, high)
    largest = (np.maximum(-low, high) ** 2).sum() * (1 + _ACCURACY) + _TINY
    for _ in range(_NEWTON_STEPS):
        slope = margin - 2 * w @ change
        free = (weights > _TINY) | (slope > 0)
        if value > largest or (np.abs(slope[free]) <= _ACCURACY * np.abs(margin).max()).all():
            break
        curvature = 2 * (w[free] * inside) @ w[free].T
        curvature += np.eye(len(curvature)) * (_TINY + 1e-9 * (w[free] ** 2).sum())
        step = np.zeros_like(weights)
        step[free] = np.linalg.solve(curvature, slope[free])
        for _ in range(_HALVINGS):
            moved = (weights + step).clip(0)
            found = _dual(moved, margin, w, low, high)
            if found[0] > value:
                break
            step /= 2
        else:
            break
        weights, (value, change, inside) = moved, found
    return weights, change, bool(value > largest)


def _dual(weights: Array, margin: Array, w: Array, low: Array, high: Array) -> tuple[float, Array, Array]:
    """The dual's value, the perturbation at which it is taken (d,), and which pixels are within their limits (d,)."""
    pull = weights @ w
    change = np.clip(pull, low, high)
    return weights @ margin + change @ (change - 2 * pull), change, change == pull
