"""Which classes the adversarials of each class are taken for."""

from typing import Any

import numpy as np
import numpy.typing as npt

COLUMNS = ("model", "norm", "label", "adversarial_class", "n")


def adversarial_classes(
    label: npt.NDArray[np.int64], prediction: npt.NDArray[np.int64], distance: npt.NDArray[np.float64]
) -> list[dict[str, Any]]:
    """How many images of each class have a best adversarial that is taken for each other class.

    Takes   label, prediction, distance (n,): class of the image, class predicted for its best adversarial, and
            distance: 0 where the clean image is misclassified, inf where every attack failed; both are left out
    Returns rows with label, adversarial_class and n, in that order, for all pairs of classes that occur
    """
    found = (distance > 0) & np.isfinite(distance)
    pairs, counts = np.unique(np.stack([label[found], prediction[found]]), axis=1, return_counts=True)
    return [
        {"label": int(own), "adversarial_class": int(other), "n": int(n)}
        for own, other, n in zip(*pairs, counts, strict=True)
    ]
