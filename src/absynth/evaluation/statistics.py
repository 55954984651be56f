"""Statistics of whole files of a run, one table row each; no torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from absynth.io.records import near_bound


def summarise_distal(columns: Mapping[str, npt.NDArray[Any]]) -> dict[str, float]:
    """One model's row of tables/distal.csv, from the columns of `absynth.io.records.DISTAL`.

    n, reached: number of ascents, and of those that reached the target confidence
    distal: how many of the latter are distal adversarials: nearer to their initial noise than to any training image
    median_steps, median_moved, median_nearest: over the ascents that reached the target, NaN if none did: steps, and
        Euclidean distances from the noise and to the nearest training image
    median_confidence: over all ascents, by the reference model
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

    n: images attacked, those already misclassified left out; found: adversarials of them
    minima: how many of the adversarials are their image's best over all attacks
    queries, gradients: summed over the images attacked
    nonfinite: queries answered with logits that are not finite
    near_bound: images that the attack left out, or was done with, near a proved bound (`stopped`, 3 and 4)
    seconds: summed over jobs, on whatever devices they ran
    """

    attack: str
    n: int = 0
    found: int = 0
    minima: int = 0
    queries: int = 0
    gradients: int = 0
    nonfinite: int = 0
    near_bound: int = 0
    seconds: float = 0.0
    devices: set[str] = field(default_factory=set)

    def add(
        self,
        columns: Mapping[str, npt.NDArray[Any]],
        seconds: float,
        device: str,
        best_attacks: Mapping[int, str],
    ) -> None:
        """Include one shard, without keeping its columns.

        columns: index, distance, queries, gradients and, if there are any, nonfinite and stopped of
            `absynth.io.records.SHARD`
        best_attacks: by index, the attack that found the image's best adversarial (see `absynth.io.records.MINIMAL`)
        """
        attacked = columns["distance"] > 0
        self.n += int(attacked.sum())
        self.found += int(np.isfinite(columns["distance"][attacked]).sum())
        self.minima += sum(
            best_attacks[index] == self.attack for index in columns["index"][attacked].tolist()
        )
        self.queries += int(columns["queries"][attacked].sum())
        self.gradients += int(columns["gradients"][attacked].sum())
        self.nonfinite += int(columns["nonfinite"].sum()) if "nonfinite" in columns else 0
        self.near_bound += int(near_bound(columns).sum())
        self.seconds += seconds
        self.devices.add(device)

    def row(self) -> dict[str, int | float | str]:
        """A row of tables/attacks.csv; its queries and gradients are means per image attacked, empty if none was."""
        return {
            "n": self.n,
            "found": self.found,
            "minima": self.minima,
            "queries": self.queries / self.n if self.n else "",
            "gradients": self.gradients / self.n if self.n else "",
            "nonfinite": self.nonfinite,
            "near_bound": self.near_bound,
            "seconds": self.seconds,
            "device": " ".join(sorted(self.devices)),
        }
