"""Per-sample minima over attacks, and the statistics that tables and figures show."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from absynth.errors import InputError
from absynth.io.records import SHARD, read_record


class Minimum:
    """The nearest adversarial of each sample over all attacks of one run, model and norm, shard by shard."""

    def __init__(self, expected: Mapping[str, str]):
        """expected: the attributes that every shard must have, say run, model and norm."""
        self.expected = dict(expected)
        self.distances: dict[str, list[float]] = {}  # by attack, in the order of the shards
        self._best: dict[int, tuple[float, int, str, np.ndarray, int]] = {}

    def add(self, attack: str, path: str | Path) -> None:
        """Take in one shard.

        Raises InputError if it is not a sound shard of this attack, or disagrees with others on a sample's
        label or on whether its clean image is misclassified.
        """
        columns, _ = read_record(path, SHARD, {**self.expected, "attack": attack})
        self.distances.setdefault(attack, []).extend(columns["distance"].tolist())
        for row, index in enumerate(columns["index"].tolist()):
            distance, label = float(columns["distance"][row]), int(columns["label"][row])
            known = self._best.get(index)
            if known and (known[1] != label or (known[0] == 0) != (distance == 0)):
                raise InputError(
                    f"{path}: disagrees with other attacks on the clean image {index}; delete it and rerun"
                )
            if known is None or distance < known[0]:
                name = attack if 0 < distance < np.inf else ""
                image = columns["adversarial"][row].copy()  # a view would keep the whole shard in memory
                prediction = int(columns["adversarial_prediction"][row])
                self._best[index] = (distance, label, name, image, prediction)

    def columns(self) -> dict[str, np.ndarray]:
        """The columns of `absynth.io.records.MINIMAL`, in the order of index: distance is 0 where the clean image
        is misclassified and inf where every attack failed, attack empty in both cases; adversarial is the clean image
        there, and adversarial_prediction what the model takes it for."""
        order = sorted(self._best)
        distance, label, attack, adversarial, prediction = zip(*(self._best[i] for i in order), strict=True)
        return {
            "index": np.array(order, dtype=np.int64),
            "label": np.array(label, dtype=np.int64),
            "distance": np.array(distance, dtype=np.float64),
            "attack": np.array(attack, dtype=object),
            "adversarial": np.stack(adversarial),
            "adversarial_prediction": np.array(prediction, dtype=np.int64),
        }


def summarise(distance: np.ndarray, threshold: float) -> dict[str, float]:
    """Median distance, accuracy under perturbations of size at most `threshold`, and sample count."""
    return {
        "median": float(np.median(distance)),
        "accuracy": float((distance > threshold).mean()),
        "n": len(distance),
    }


def accuracy_curve(distance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Accuracy as a function of the size of the perturbation allowed (Figure 2).

    Returns the distinct finite distances in rising order, from 0 on, and the share of samples beyond each
    """
    sizes = np.unique(np.concatenate([[0.0], distance[np.isfinite(distance)]]))
    return sizes, 1 - np.searchsorted(np.sort(distance), sizes, side="right") / len(distance)
