"""Checks of images and labels that belong together."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from absynth.data.format import DataFormat
from absynth.errors import InputError

Array = npt.NDArray[Any]


def image_shape(images: Array) -> tuple[int, int, int]:
    """The shape (C, H, W) of images (n, H, W), which are grey, or (n, C, H, W)."""
    channels, height, width = (1, *images.shape[1:]) if images.ndim == 3 else images.shape[1:]
    return channels, height, width


def check_pair(images: Array, labels: Array, name: str, expected: DataFormat | None = None) -> None:
    """Check that images (n, H, W) or (n, C, H, W), uint8 or float32, and labels (n,) from 0 belong together, n ≥ 1.

    expected: the shape that the images must have, and the number of classes; None where these are yet to be known
    Raises `InputError`, naming `name`, with what was found and what is allowed.
    """
    if images.ndim not in (3, 4) or (expected and image_shape(images) != expected.shape):
        raise InputError(f"{name}: images of shape {images.shape}; {_shapes(expected)} is allowed")
    if not math.prod(images.shape[1:]):
        raise InputError(f"{name}: images of shape {images.shape}; at least one pixel is needed")
    if labels.ndim != 1:
        raise InputError(f"{name}: labels of shape {labels.shape}; (n,) is allowed")
    if len(images) != len(labels):
        raise InputError(
            f"{name}: {len(images)} images but {len(labels)} labels; one label per image is allowed"
        )
    if len(images) == 0:
        raise InputError(f"{name}: no images; at least one is needed")
    highest = expected.n_classes - 1 if expected else math.inf
    if labels.min() < 0 or labels.max() > highest:
        wrong = labels.max() if labels.max() > highest else labels.min()
        raise InputError(
            f"{name}: label {wrong} found; {f'0 to {highest}' if expected else '0, 1, …'} are allowed"
        )


def _shapes(expected: DataFormat | None) -> str:
    if expected is None:
        return "(n, rows, columns) or (n, channels, rows, columns)"
    grey = expected.shape[0] == 1
    return f"(n, {', '.join(map(str, expected.shape[grey:]))})"


def check_intensities(images: Array, name: str) -> None:
    """Raise `InputError`, naming `name`, for pixels that are no intensities.

    These are uint8 images of 0 and 1 alone, pixels of [0, 1] that were cast, and floats outside of [0, 1].
    """
    if images.dtype == np.uint8:
        if images.max() <= 1:
            raise InputError(
                f"{name}: images hold only {' and '.join(map(str, np.unique(images)))}, and as uint8 black is 0 and "
                "white 255; multiply pixels of [0, 1] by 255 and round them before they become uint8"
            )
        return
    low, high = float(images.min()), float(images.max())
    if np.isnan(images).any():
        bad = np.flatnonzero(np.isnan(images.reshape(len(images), -1)).any(axis=1))
        raise InputError(
            f"{name}: {len(bad)} of {len(images)} images hold NaN (first at {bad[0]}); 0 to 1 is allowed"
        )
    if not (low >= 0 and high <= 1):
        hint = "; divide them by 255" if 1 < high <= 255 and low >= 0 else ""
        raise InputError(f"{name}: float pixels from {low:g} to {high:g}; 0 to 1 is allowed{hint}")
