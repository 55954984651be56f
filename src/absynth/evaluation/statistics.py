"""Statistics of whole files of a run, one row of a table each; no torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np


def summarise_distal(columns: Mapping[str, np.ndarray]) -> dict[str, float]:
    """One model's row of tables/distal.csv, from the columns of `absynth.io.records.DISTAL`.

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


@dataclass
class AttackTotals:
    """What one attack on one model in one norm found, and what it cost, added up shard by shard.

    n: images attacked, those already misclassified left out; found: of those, how many adversarials
    minima: how many of them are their image's nearest over all attacks
    queries, gradients: of all images attacked; seconds: in all, on whatever devices the jobs had
    """

    attack: str
    n: int = 0
    found: int = 0
    minima: int = 0
    queries: int = 0
    gradients: int = 0
    seconds: float = 0.0
    devices: set[str] = field(default_factory=set)

    def add(
        self, columns: Mapping[str, np.ndarray], seconds: float, device: str, nearest: Mapping[int, str]
    ) -> None:
        """Take in one shard, of which nothing is kept.

        columns: index, distance, queries and gradients of `absynth.io.records.SHARD`
        nearest: of every test image, which attack found its nearest adversarial (see `absynth.io.records.MINIMAL`)
        """
        attacked = columns["distance"] > 0
        self.n += int(attacked.sum())
        self.found += int(np.isfinite(columns["distance"][attacked]).sum())
        self.minima += sum(nearest[index] == self.attack for index in columns["index"][attacked].tolist())
        self.queries += int(columns["queries"][attacked].sum())
        self.gradients += int(columns["gradients"][attacked].sum())
        self.seconds += seconds
        self.devices.add(device)

    def row(self) -> dict[str, int | float | str]:
        """A row of tables/attacks.csv: queries and gradients are means per image attacked, NaN if none was."""
        return {
            "n": self.n,
            "found": self.found,
            "minima": self.minima,
            "queries": self.queries / self.n if self.n else float("nan"),
            "gradients": self.gradients / self.n if self.n else float("nan"),
            "seconds": self.seconds,
            "device": " ".join(sorted(self.devices)),
        }
