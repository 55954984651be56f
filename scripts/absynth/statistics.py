"""Statistics of whole files of a run, one row of a table each; no torch."""

from collections.abc import Mapping, Sequence

import numpy as np


def summarise_distal(columns: Mapping[str, np.ndarray]) -> dict[str, float]:
    """One model's row of tables/distal.csv, from the columns of `absynth.records.DISTAL`.

    n, reached: ascents, and how many ended at the confidence asked for
    distal: how many of those ended nearer to their noise than to any training image: sure, and of no digit
    median_steps, median_moved, median_nearest: over those that reached it, NaN if none did; steps, and Euclidean
        distances from the noise and to the nearest training image
    median_confidence: over all, by the reference
    """
    reached = columns["reached"] == 1

    def median(name: str) -> float:
        return float(np.median(columns[name][reached])) if reached.any() else float("nan")

    return {
        "n": len(reached),
        "reached": int(reached.sum()),
        "distal": int((reached & (columns["moved"] < columns["nearest"])).sum()),
        "median_steps": median("steps"),
        "median_confidence": float(np.median(columns["final_confidence"])),
        "median_moved": median("moved"),
        "median_nearest": median("nearest"),
    }


def summarise_attack(
    attack: str,
    shards: Sequence[Mapping[str, np.ndarray]],
    seconds: Sequence[float],
    nearest: Mapping[int, str],
) -> dict[str, float]:
    """What one attack on one model in one norm found, and what it cost, from its shards.

    shards: columns of `absynth.records.SHARD`; seconds: what each took
    nearest: of every test image, which attack found its nearest adversarial (see `absynth.records.MINIMAL`)
    n: images attacked, those already misread left out; found: of those, how many adversarials
    minima: how many of them are their image's nearest over all attacks
    queries, gradients: mean per image attacked; seconds: in all, on whatever device the jobs had
    """
    joined = {name: np.concatenate([shard[name] for shard in shards]) for name in shards[0]}
    attacked = joined["distance"] > 0
    n = int(attacked.sum())

    def mean(name: str) -> float:
        return float(joined[name][attacked].mean()) if n else float("nan")

    return {
        "n": n,
        "found": int(np.isfinite(joined["distance"][attacked]).sum()),
        "minima": sum(nearest[index] == attack for index in joined["index"][attacked].tolist()),
        "queries": mean("queries"),
        "gradients": mean("gradients"),
        "seconds": float(sum(seconds)),
    }
