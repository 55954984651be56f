"""Which samples a figure shows: drawn at random, the same for every model, and the same for the same seed."""

from collections.abc import Mapping

import numpy as np


def one_per_class(
    index: np.ndarray, label: np.ndarray, distances: Mapping[str, np.ndarray], seed: int
) -> list[int]:
    """One sample of each class there is, of those that most models were fooled on, at random.

    Takes   index, label (n,): the samples; distances: by model, each (n,): 0 where it misclassifies the clean image,
            inf where no attack succeeded
    Returns positions within `index`, in the order of their labels
    """
    order = np.random.default_rng(seed).permutation(len(index))
    fooled = np.zeros(len(index), dtype=int)  # on how many models there is an adversarial to show
    for distance in distances.values():
        fooled += (distance > 0) & np.isfinite(distance)
    return [
        int(max(order[label[order] == c], key=lambda i: fooled[i]))  # the first drawn of the best
        for c in np.unique(label)
    ]


def by_quantile(distance: np.ndarray, n: int, seed: int, bins: int = 4) -> list[list[int]]:
    """Up to n samples from each of equal parts of the distances, from small to large (Figures 5 to 7).

    Samples without an adversarial (distance 0 or inf) are left out. Ties are parted by their order.
    Returns positions within `distance`, for each part in the order of distance; a part may be empty
    """
    usable = np.flatnonzero((distance > 0) & np.isfinite(distance))
    ranked = usable[np.argsort(distance[usable], kind="stable")]
    rng = np.random.default_rng(seed)
    return [
        part[np.sort(rng.choice(len(part), min(n, len(part)), replace=False))].tolist()
        for part in np.array_split(ranked, bins)
    ]
