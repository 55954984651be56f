"""The order of a data set's images: kept, or drawn at random where the first of them are no sample of all."""

import numpy as np
import numpy.typing as npt

from absynth.data.format import MOST_CLASSES
from absynth.io.log import LOGGER

Bytes = npt.NDArray[np.uint8]

# A random order exceeds either limit with a probability below 1e-6.
_REPEATS = 6.0  # standard deviations by which neighbours of one class exceed their expected number
_DRIFT = (
    3.0  # largest deviation of a class's count among the first images, in units of its standard deviation
)


def far_from_random(labels: npt.NDArray[np.integer]) -> bool:
    """Whether the order of labels (n,) is far from random: sorted by class, in blocks, or of classes that drift.

    Two statistics decide: how many neighbours are of one class, and how far the share of a class among the first k
    labels is from its share of all, for all k at once (Kolmogorov–Smirnov). Classes in turn (0, 1, …, 9, 0, 1, …)
    are no random order either, but their first n are a fair sample of all.
    """
    n, counts = len(labels), np.bincount(labels)
    if n < 2 or counts.max() == n:
        return False
    same = float((counts * (counts - 1)).sum()) / (n * (n - 1))  # that two labels drawn are equal
    repeats = int((labels[1:] == labels[:-1]).sum())
    deviation = np.sqrt((n - 1) * same * (1 - same))
    if repeats - (n - 1) * same > _REPEATS * max(deviation, 1):
        return True
    return any(_drift(labels == label) > _DRIFT for label in np.flatnonzero(counts))


def _drift(member: npt.NDArray[np.bool_]) -> float:
    n, share = len(member), member.mean()
    bridge = np.cumsum(member) - share * np.arange(1, n + 1)
    return float(np.abs(bridge).max() / np.sqrt(n * share * (1 - share)))


def arrange(
    images: Bytes, labels: Bytes, image_order: str, seed: int, name: str
) -> tuple[Bytes, Bytes, npt.NDArray[np.int64] | None]:
    """Put the images of a data set's part in the order of a run.

    image_order: "file" keeps them; "random" draws with the seed; "auto" does if the labels are `far_from_random`
    Returns images and labels in that order, and each one's position in `images` (n,), None if none was moved
    """
    far = far_from_random(labels)
    if image_order == "file" or (image_order == "auto" and not far):
        if far:
            LOGGER.warning(
                "%s: the order of the labels is far from random, and image_order: file keeps it", name
            )
        return images, labels, None
    reason = "the order of the labels is far from random" if image_order == "auto" else "image_order: random"
    LOGGER.warning("%s: %s; images are drawn at random with seed %d", name, reason, seed)
    source_index = np.random.default_rng(seed).permutation(len(labels))
    return images[source_index], labels[source_index], source_index


def lacking_classes(attacked: npt.NDArray[np.integer], known: npt.NDArray[np.integer]) -> str | None:
    """One line that names the classes among `known` labels of which none is attacked; None if there is none."""
    lacking = np.setdiff1d(known, attacked)
    if not len(lacking):
        return None
    plural = "es" if len(lacking) > 1 else ""
    return f"the {len(attacked)} images attacked hold none of class{plural} {few(lacking)}"


def few(classes: npt.NDArray[np.integer]) -> str:
    """Classes in words, of many the first ones and how many there are."""
    names = ", ".join(map(str, classes[:MOST_CLASSES]))
    return names if len(classes) <= MOST_CLASSES else f"{names}, … ({len(classes)} in all)"
