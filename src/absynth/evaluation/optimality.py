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
    An attack has no part in what others found on images that it was not run on, since what it starts from was near a
    proved bound (`stopped`, 3): these are left out of its `optimality` and `excess`, which are empty where no other
    image is left, and of `spread`; and it is not among those that come close on them.
    """
    distances = {name: outcome.distance for name, outcome in outcomes.items()}
    best = np.min(list(distances.values()), axis=0)
    compared = (best > 0) & np.isfinite(best)  # (n,)
    if not compared.any():
        return []
    distances, best = {name: values[compared] for name, values in distances.items()}, best[compared]
    run_on = {name: ~outcome.taken_over[compared] for name, outcome in outcomes.items()}
    close = {name: (values <= (1 + tolerance) * best) & run_on[name] for name, values in distances.items()}
    times = np.sum(list(close.values()), axis=0)  # by how many attacks each image's best is reached, (n,)
    needed, spread = smallest_selection(close), spreads(distances, roles or {}, run_on)
    return [
        {
            "attack": name,
            **_standing(values[run_on[name]], best[run_on[name]]),
            "alone": int((close[name] & (times == 1)).sum()),
            "needed": int(name in needed),
            "spread": spread.get(name, ""),
        }
        for name, values in distances.items()
    ]


def _standing(distance: Distances, best: Distances) -> dict[str, float | str]:
    """The columns `optimality` and `excess` of `optimality_rows`, empty if there is no image."""
    if not len(best):
        return {"optimality": "", "excess": ""}
    return {
        "optimality": local_optimality(distance, best),
        "excess": float(np.median(distance / best - 1)),
    }


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


def spreads(
    distances: Mapping[str, Distances],
    roles: Mapping[str, Role],
    run_on: Mapping[str, npt.NDArray[np.bool_]] | None = None,
) -> dict[str, float]:
    """The column `spread` of `optimality_rows`, of those attacks that have it; NaN where no median is finite.

    run_on (n,): by attack, which images count, if not all; those count that do for all companions
    """
    groups: dict[str, list[str]] = {}
    for name in distances:
        if name in roles and roles[name].repeats:
            groups.setdefault(roles[name].repeats, []).append(name)
    found: dict[str, float] = {}
    for names in groups.values():
        masks = [run_on[name] if run_on else np.ones(len(distances[name]), dtype=bool) for name in names]
        common = np.all(masks, axis=0)
        if len(names) > 1 and common.any():
            medians = [float(np.median(distances[name][common])) for name in names]
            spread = max(medians) / min(medians) - 1 if np.isfinite(min(medians)) else float("nan")
            found |= dict.fromkeys(names, spread)
    return found
