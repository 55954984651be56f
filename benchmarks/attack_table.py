"""Distances and costs of attacks as a Markdown table."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

COLUMNS = (
    "attack", "norm", "median", "CPU s/image", "wall s/image", "queries/image", "gradients/image",
    "queries/CPU s", "minima held",
)  # fmt: skip
_COSTS = ("seconds", "cpu_seconds", "queries", "gradients")


def table(results: Mapping[str, Mapping[str, Any]]) -> str:
    """Results by "attack/norm" as a Markdown table, with the minimum over all attacks after each norm."""
    lines = [COLUMNS, (":--", ":--", *["--:"] * (len(COLUMNS) - 2))]
    for norm in dict.fromkeys(key.rpartition("/")[2] for key in results):
        chosen = {key.rpartition("/")[0]: value for key, value in results.items() if key.endswith(f"/{norm}")}
        distances = {attack: distances_of(result) for attack, result in chosen.items()}
        least = np.min(list(distances.values()), axis=0)  # (n,)
        found = np.isfinite(least) & (least > 0)
        for attack, result in chosen.items():
            held = int((found & (distances[attack] == least)).sum())
            lines.append((attack, norm, f"{np.median(distances[attack]):.4g}", *_costs(result), str(held)))
        lines.append(("all", norm, f"{np.median(least):.4g}", *_costs(_total(chosen)), str(int(found.sum()))))
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def distances_of(result: Mapping[str, Any]) -> np.ndarray:
    """The distances (n,), inf where the attack failed."""
    return np.array([math.inf if value is None else value for value in result["distance"]])


def _total(results: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The summed costs of several attacks."""
    sums = {key: np.sum([result[key] for result in results.values()], axis=0) for key in _COSTS}
    return {**sums, "distance": next(iter(results.values()))["distance"]}


def _costs(result: Mapping[str, Any]) -> list[str]:
    n, attacked = len(result["distance"]), int((distances_of(result) > 0).sum())
    means = [np.sum(result[key]) / attacked if attacked else math.nan for key in ("queries", "gradients")]
    rate = np.sum(result["queries"]) / max(result["cpu_seconds"], 1e-9)
    return [
        *(f"{result[key] / n:.3g}" for key in ("cpu_seconds", "seconds")),
        *(f"{mean:.0f}" for mean in means),
        f"{rate:.0f}",
    ]
