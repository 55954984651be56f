"""Exact bounds of prototype models in few dimensions, found by trying everything, in float64."""

from itertools import combinations, product
from types import SimpleNamespace

import numpy as np
import torch
from scipy.optimize import linprog
from torch import Tensor

_EXACT = 1e-12


def toy(images: Tensor, labels: Tensor, offsets: Tensor) -> SimpleNamespace:
    """What a certificate asks of a model: images (N, d), labels (N,), offsets (N,), in any order."""
    order = labels.argsort(stable=True)
    counts = torch.bincount(labels).tolist()
    return SimpleNamespace(images=images[order], offsets=offsets[order], counts=counts, channels=1)


def energies(model: SimpleNamespace, x: Tensor) -> Tensor:
    """The least energy of each class (n, C) at images (n, d), in float64."""
    differences = x.double()[:, None] - model.images.double()
    every = differences.square().sum(dim=2) + model.offsets.double()
    return torch.stack([part.amin(dim=1) for part in every.split(model.counts, dim=1)], dim=1)


def smallest(x: Tensor, own: Tensor, rival: Tensor, margin: float, norm: str) -> float:
    """The smallest δ in the box with 2 δ·(rival - own) ≥ margin; all (d,)."""
    w = rival.double() - own.double()
    room = torch.where(w > 0, 1 - x.double(), x.double())
    if margin <= 0:
        return 0.0
    if (2 * w.abs() * room).sum() < margin * (1 - _EXACT):
        return float("inf")
    return _SMALLEST[norm](w.abs().tolist(), room.tolist(), margin)


def _l2(w: list[float], room: list[float], margin: float) -> float:
    """Every choice of pixels at the end of their room, the others in proportion to w; the least in the box."""
    sizes = []
    for full in product((False, True), repeat=len(w)):
        free = sum(a * a for a, used in zip(w, full, strict=True) if not used)
        rest = margin / 2 - sum(a * r for a, r, used in zip(w, room, full, strict=True) if used)
        if free == 0 and rest > _EXACT:
            continue
        level = max(rest, 0) / free if free else 0.0
        delta = [r if used else level * a for a, r, used in zip(w, room, full, strict=True)]
        if all(change <= r + _EXACT for change, r in zip(delta, room, strict=True)):
            sizes.append(sum(change * change for change in delta) ** 0.5)
    return min(sizes)


def _linf(w: list[float], room: list[float], margin: float) -> float:
    """The piece, between two rooms, in which the sum of what pixels gain crosses the margin."""
    low = 0.0
    for high in sorted(set(room)):
        gained = sum(2 * a * min(r, low) for a, r in zip(w, room, strict=True))
        slope = sum(2 * a for a, r in zip(w, room, strict=True) if r > low)
        if slope > 0 and gained + slope * (high - low) >= margin * (1 - _EXACT):
            return low + (margin - gained) / slope
        low = high
    return low


def _l0(w: list[float], room: list[float], margin: float) -> float:
    """Every set of pixels."""
    gains = [2 * a * r for a, r in zip(w, room, strict=True)]
    sizes = range(len(w) + 1)
    return next(float(k) for k in sizes if max(map(sum, combinations(gains, k))) >= margin * (1 - _EXACT))


_SMALLEST = {"l2": _l2, "linf": _linf, "l0": _l0}


def bound(model: SimpleNamespace, x: Tensor, label: int, norm: str, neighbors: int) -> float:
    """The minimum over rivals of the maximum over the `neighbors` own images of least energy; x (d,)."""
    labels = torch.arange(len(model.counts)).repeat_interleave(torch.tensor(model.counts))
    energy = (model.images.double() - x.double()).square().sum(dim=1) + model.offsets.double()
    own = (labels == label).nonzero().flatten()
    own = own[energy[own].argsort(stable=True)[:neighbors]].tolist()
    return min(
        max(smallest(x, model.images[v], model.images[u], (energy[u] - energy[v]).item(), norm) for v in own)
        for u in (labels != label).nonzero().flatten().tolist()
    )


def distance(model: SimpleNamespace, x: Tensor, label: int, norm: str) -> float:
    """The distance to the points of the box at which some rival image beats all own images; x (d,)."""
    labels = torch.arange(len(model.counts)).repeat_interleave(torch.tensor(model.counts))
    energy = (model.images.double() - x.double()).square().sum(dim=1) + model.offsets.double()
    own = labels == label
    found = [
        _REGION[norm](
            2 * (u.double() - model.images[own].double()).numpy(),
            (e - energy[own]).numpy(),
            x.double().numpy(),
        )
        for u, e in zip(model.images[~own], energy[~own], strict=True)
    ]
    return min(found)


def _region_l2(rows: np.ndarray, margins: np.ndarray, x: np.ndarray) -> float:
    """min ‖δ‖₂ with rows δ ≥ margins: every set of constraints, of the inequalities and the box, with equality."""
    d = len(x)
    every = np.vstack([rows, np.eye(d), -np.eye(d)])
    limits = np.concatenate([margins, -x, x - 1])
    best = np.inf
    for count in range(d + 1):
        for chosen in map(list, combinations(range(len(every)), count)):
            delta = np.linalg.pinv(every[chosen]) @ limits[chosen] if chosen else np.zeros(d)
            if (every @ delta >= limits - 1e-9).all():
                best = min(best, float(np.linalg.norm(delta)))
    return best


def _region_linf(rows: np.ndarray, margins: np.ndarray, x: np.ndarray) -> float:
    """min t with |δ_i| ≤ t, rows δ ≥ margins, as a linear program in δ and t."""
    d = len(x)
    ones = np.ones((d, 1))
    table = np.vstack(
        [
            np.hstack([-rows, np.zeros((len(rows), 1))]),
            np.hstack([np.eye(d), -ones]),
            np.hstack([-np.eye(d), -ones]),
        ]
    )
    limits = np.concatenate([-margins, np.zeros(2 * d)])
    box = [*zip(-x, 1 - x, strict=True), (0, None)]
    found = linprog(np.eye(d + 1)[d], A_ub=table, b_ub=limits, bounds=box, method="highs")
    return found.fun if found.status == 0 else np.inf


def _region_l0(rows: np.ndarray, margins: np.ndarray, x: np.ndarray) -> float:
    """The size of the smallest set of pixels whose changes can exceed every margin, up to 1e-7 less than it."""
    d = len(x)
    for count in range(d + 1):
        for chosen in map(list, combinations(range(d), count)):
            table = np.hstack([-rows[:, chosen], np.ones((len(rows), 1))])
            box = [*((-x[i], 1 - x[i]) for i in chosen), (None, 1.0)]
            found = linprog(-np.eye(count + 1)[count], A_ub=table, b_ub=-margins, bounds=box, method="highs")
            if found.status == 0 and found.x[-1] >= -1e-7:
                return float(count)
    return np.inf


_REGION = {"l2": _region_l2, "linf": _region_linf, "l0": _region_l0}
