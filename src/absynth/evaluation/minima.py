"""The best adversarial of each sample over all attacks, and the statistics that tables and figures show."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from absynth.errors import InputError
from absynth.io.records import SHARD, near_bound, read_record


class Minimum:
    """The best adversarial of each sample over all attacks of one run, model and norm, gathered shard by shard."""

    def __init__(self, expected: Mapping[str, str]):
        """expected: the attributes that every shard must have, for example run, model and norm."""
        self.expected = dict(expected)
        self.distances: dict[str, list[float]] = {}  # by attack, in the order of the shards
        self.near_bound: dict[
            str, set[int]
        ] = {}  # by attack, images that it was done with near a proved bound
        self._source: dict[int, str | Path] = {}  # the first shard that holds an image
        self._best: dict[int, tuple[float, int, str, npt.NDArray[np.float32], int]] = {}

    def add(self, attack: str, path: str | Path) -> None:
        """Include one shard.

        Raises InputError if it is no valid shard of this attack, or disagrees with others on a sample's
        label or on whether its clean image is misclassified.
        """
        columns, _ = read_record(path, SHARD, {**self.expected, "attack": attack})
        self.distances.setdefault(attack, []).extend(columns["distance"].tolist())
        self.near_bound.setdefault(attack, set()).update(columns["index"][near_bound(columns)].tolist())
        for row, index in enumerate(columns["index"].tolist()):
            distance, label = float(columns["distance"][row]), int(columns["label"][row])
            known = self._best.get(index)
            if known and (known[1] != label or (known[0] == 0) != (distance == 0)):
                raise InputError(
                    f"{path}: disagrees with {self._source[index]} on the clean image {index}; delete both and rerun"
                )
            self._source.setdefault(index, path)
            if known is None or distance < known[0]:
                name = attack if 0 < distance < np.inf else ""
                image = columns["adversarial"][row].copy()  # a view would keep the whole shard in memory
                prediction = int(columns["adversarial_prediction"][row])
                self._best[index] = (distance, label, name, image, prediction)

    def columns(self) -> dict[str, npt.NDArray[Any]]:
        """The columns of `absynth.io.records.MINIMAL`, in the order of index.

        distance: 0 where the clean image is misclassified, inf where every attack failed; attack: empty in both cases
        adversarial: the clean image in both cases; adversarial_prediction: the model's prediction for it
        """
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


def summarise(distance: npt.NDArray[np.float64], epsilon: float) -> dict[str, float]:
    """Median distance, accuracy under perturbations of size at most `epsilon`, and the number of samples."""
    return {
        "median": float(np.median(distance)),
        "accuracy": float((distance > epsilon).mean()),
        "n": len(distance),
    }
