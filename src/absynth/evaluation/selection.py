"""The samples that a figure shows: drawn at random, the same for every model and determined by the seed."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from absynth.data.format import MOST_CLASSES


def one_per_class(
    index: npt.NDArray[Any], label: npt.NDArray[Any], distances: Mapping[str, npt.NDArray[Any]], seed: int
) -> list[int]:
    """One random sample of each class that occurs, among those on which attacks succeeded on most models.

    Of more than `MOST_CLASSES` classes so many are drawn.

    Takes   index, label (n,): the samples; distances: by model, each (n,): 0 where it misclassifies the clean image,
            inf where no attack succeeded
    Returns positions within `index`, in the order of their labels
    """
    order = np.random.default_rng(seed).permutation(len(index))
    fooled = np.zeros(len(index), dtype=int)  # models with an adversarial to show, (n,)
    for distance in distances.values():
        fooled += (distance > 0) & np.isfinite(distance)
    classes = np.unique(label)
    if len(classes) > MOST_CLASSES:
        _, first = np.unique(label[order], return_index=True)  # each class's place among the samples drawn
        classes = np.sort(classes[np.argsort(first)[:MOST_CLASSES]])
    return [
        int(max(order[label[order] == c], key=lambda i: fooled[i]))  # the first drawn among the best
        for c in classes
    ]


def by_quantile(distance: npt.NDArray[np.float64], n: int, seed: int, bins: int = 4) -> list[list[int]]:
    """Up to n random samples from each of `bins` quantiles of the distances (Figures 5 to 7).

    Samples without an adversarial (distance 0 or inf) are left out. Equal distances are ordered by position.
    Returns positions within `distance`, for each quantile in the order of distance; a quantile may be empty
    """
    usable = np.flatnonzero((distance > 0) & np.isfinite(distance))
    ranked = usable[np.argsort(distance[usable], kind="stable")]
    rng = np.random.default_rng(seed)
    return [
        part[np.sort(rng.choice(len(part), min(n, len(part)), replace=False))].tolist()
        for part in np.array_split(ranked, bins)
    ]
