"""How near each attack alone comes to the best of all, and which attacks the minima need."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from absynth.evaluation.audit import Outcomes, Role

Distances = npt.NDArray[np.float64]

COLUMNS = ("model", "norm", "attack", "optimality", "excess", "alone", "needed", "spread")


def optimality_rows(
    outcomes: Outcomes, tolerance: float, roles: Mapping[str, Role] | None = None
) -> list[dict[str, Any]]:
    """A row for each attack on one model in one norm, without model and norm; none if no image was attacked.

    optimality: the local optimality of AttackBench (Cinà et al. 2025, https://arxiv.org/abs/2404.19460): the area
        above the attack's curve of accuracy over perturbation size, as a share of that of all attacks together, up
        to the size at which these fool the model on every image that any of them does; 1 is best
    excess: the median over attacked images by what share the attack's distance exceeds the best; inf where it failed
    alone: the attacked images on which no other attack comes within `tolerance` of this one
    needed: 1 for the attacks of a selection whose best is everywhere within `tolerance` of that of all, 0 for those
        that could be left out; found greedily, so that a still smaller one may exist
    spread: of attacks that `roles` says differ in their random numbers alone, by what share the largest of their
        median distances over attacked images exceeds the smallest; empty for an attack without such companions
    """
    distances = {name: outcome.distance for name, outcome in outcomes.items()}
    best = np.min(list(distances.values()), axis=0)
    compared = (best > 0) & np.isfinite(best)  # (n,)
    if not compared.any():
        return []
    distances, best = {name: values[compared] for name, values in distances.items()}, best[compared]
    close = {name: values <= (1 + tolerance) * best for name, values in distances.items()}
    times = np.sum(list(close.values()), axis=0)  # by how many attacks each image's best is reached, (n,)
    needed, spread = smallest_selection(close), spreads(distances, roles or {})
    return [
        {
            "attack": name,
            "optimality": local_optimality(values, best),
            "excess": float(np.median(values / best - 1)),
            "alone": int((close[name] & (times == 1)).sum()),
            "needed": int(name in needed),
            "spread": spread.get(name, ""),
        }
        for name, values in distances.items()
    ]


def local_optimality(distance: Distances, best: Distances) -> float:
    """The local optimality (0 to 1) of distances (n,), of which inf are failures, against the best (n,), all finite.

    Where all best distances are equal there is no area to compare; it is then the share of images that reach them.
    """
    largest = best.max()
    area = float((largest - best).sum())
    if area == 0:
        return float((distance <= best).mean())
    return float(np.clip(largest - distance, 0, None).sum()) / area


def smallest_selection(close: Mapping[str, npt.NDArray[np.bool_]]) -> set[str]:
    """Attacks that together come close wherever any does: those that reach most images still missing, one by one."""
    chosen: set[str] = set()
    missing = np.any(list(close.values()), axis=0)
    while missing.any():
        name = max(close, key=lambda attack: int((close[attack] & missing).sum()))
        chosen.add(name)
        missing &= ~close[name]
    return chosen


def spreads(distances: Mapping[str, Distances], roles: Mapping[str, Role]) -> dict[str, float]:
    """The column `spread` of `optimality_rows`, of those attacks that have it; NaN where no median is finite."""
    groups: dict[str, list[str]] = {}
    for name in distances:
        if name in roles and roles[name].repeats:
            groups.setdefault(roles[name].repeats, []).append(name)
    found: dict[str, float] = {}
    for names in groups.values():
        medians = [float(np.median(distances[name])) for name in names]
        if len(names) > 1:
            spread = max(medians) / min(medians) - 1 if np.isfinite(min(medians)) else float("nan")
            found |= dict.fromkeys(names, spread)
    return found
