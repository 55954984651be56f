"""Weights with which inequalities of several own images are added up (docs/derivations/prototype-abs.md).

A perturbation δ that makes a rival win fulfils 2 δ·w_k ≥ m_k for every own image k, and so for any weights λ_k ≥ 0 also
2 δ·Σ λ_k w_k ≥ Σ λ_k m_k: an inequality as of one own image. The best weights are dual solutions. They come from
solvers that nobody needs to trust: the inequality follows from any.
"""

from collections.abc import Callable

import numpy as np
import torch
from scipy.optimize import linprog, minimize
from scipy.sparse import csr_array, hstack, vstack
from torch import Tensor

from absynth.certificates.rounding import RELATIVE

Array = np.ndarray
_NEGLIGIBLE = 1e-6  # pixels that gain less than this, per unit of change, are left out of linear programs


def mixture(margin: Tensor, w: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """m̄ and w̄ (d,), of which 2 δ·w̄ ≥ m̄ follows for every δ, |δ_i| ≤ 1, with 2 δ·w_k ≥ m_k for all k.

    All float64: margin m (K,), w (K, d), weights (K,) ≥ 0 of sum 1. m̄ is lowered by what the rounding of both
    sums may gain.
    """
    lost = (weights * margin.abs()).sum() + 2 * (weights @ w.abs()).sum()
    return weights @ margin - RELATIVE * lost, weights @ w


def best_weights(margin: Tensor, w: Tensor, x: Tensor, norm: str) -> Tensor:
    """Weights (K,) whose mixture needs about the largest perturbation of x (d,); see `mixture`.

    In l2 and linf that is the distance to the points at which the rival beats all K own images.
    """
    found = _WEIGHTS[norm](margin.numpy(), w.numpy(), x.numpy()).clip(0)
    total = found.sum()
    if not np.isfinite(total) or total <= 0:
        found, total = np.ones_like(found), float(len(found))
    return torch.from_numpy(found / total)


def _weights_l2(margin: Array, w: Array, x: Array) -> Array:
    """The maximum over λ ≥ 0 of Σ λ_k m_k + Σ_i min over -x_i ≤ t ≤ 1 - x_i of (t² - 2 t Σ λ_k w_ki)."""

    def negative(weights: Array) -> tuple[float, Array]:
        pull = weights @ w
        change = np.clip(pull, -x, 1 - x)
        value = weights @ margin + (change * (change - 2 * pull)).sum()
        return -value, 2 * w @ change - margin

    start = margin.clip(0) / (2 * (w * w).sum(axis=1)).clip(1e-12) / len(margin)
    options = {"maxiter": 200, "ftol": 1e-13, "gtol": 1e-7}
    bounds = [(0, None)] * len(margin)
    return minimize(negative, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options).x


def _weights_linf(margin: Array, w: Array, x: Array) -> Array:
    """The least t with |δ_i| ≤ t: a linear program in the changes up and down, and t."""
    pixel, gain, room = _changes(w, x)
    kinds, place = np.unique(pixel, return_inverse=True)
    changes = csr_array((np.ones(len(pixel)), (place, np.arange(len(pixel)))), (len(kinds), len(pixel)))
    at_most = hstack([changes, -np.ones((len(kinds), 1))])  # the changes of a pixel together, less t
    rows = vstack([np.hstack([-gain, np.zeros((len(gain), 1))]), at_most])
    limits = np.concatenate([-margin, np.zeros(len(kinds))])
    cost = np.concatenate([np.zeros(len(pixel)), np.ones(1)])
    return _dual(cost, rows, limits, [*((0, r) for r in room), (0, 1)], margin, w, x)


def _weights_l0(margin: Array, w: Array, x: Array) -> Array:
    """The least number of pixels that change all the way, where shares of a pixel are allowed."""
    _, gain, room = _changes(w, x)
    return _dual(np.ones(len(room)), -gain * room, -margin, [(0, 1)] * len(room), margin, w, x)


_WEIGHTS: dict[str, Callable[[Array, Array, Array], Array]] = {
    "l2": _weights_l2,
    "linf": _weights_linf,
    "l0": _weights_l0,
}


def _changes(w: Array, x: Array) -> tuple[Array, Array, Array]:
    """Pixels that may change up or down to some own image's loss: pixel (c,), gain 2 ±w (K, c), room (c,)."""
    up = ((w > _NEGLIGIBLE).any(axis=0) & (x < 1)).nonzero()[0]
    down = ((w < -_NEGLIGIBLE).any(axis=0) & (x > 0)).nonzero()[0]
    gain = 2 * np.hstack([w[:, up], -w[:, down]])
    return np.concatenate([up, down]), gain, np.concatenate([1 - x[up], x[down]])


def _dual(
    cost: Array, rows: Array, limits: Array, bounds: list[tuple[float, float]], margin: Array, w: Array, x: Array
) -> Array:
    """The dual values of the first K rows of a linear program; where nothing is feasible, weights that show it."""
    if len(bounds) and np.isfinite(limits).all():
        found = linprog(cost, A_ub=rows, b_ub=limits, bounds=bounds, method="highs")
        if found.status == 0:
            return -found.ineqlin.marginals[: len(margin)]
    return _weights_l2(margin, w, x)
