"""Accuracy as a function of the size of the perturbations allowed (Figure 2)."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd


def accuracy_curve(distance: npt.NDArray[np.float64], **identity: Any) -> pd.DataFrame:
    """The accuracy-distortion curve of images whose decisions change at `distance` (n,), 0 if misclassified.

    For distances of the best adversarials it is the accuracy under attack, for lower bounds a lower bound of it.

    Returns the columns of `identity`, each of one value, then distance: the distinct finite distances in rising
    order, from 0 on; accuracy: the share of images beyond each
    """
    sizes = np.unique(np.concatenate([[0.0], distance[np.isfinite(distance)]]))
    accuracy = 1 - np.searchsorted(np.sort(distance), sizes, side="right") / len(distance)
    return pd.DataFrame({**identity, "distance": sizes, "accuracy": accuracy})
