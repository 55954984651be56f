"""What the intensities of a data set's images say of how the images were made: what is refused, and what is odd."""

from typing import Any

import numpy as np
import numpy.typing as npt

from absynth.errors import InputError

Images = npt.NDArray[Any]

_DARK = 0.5  # share of white that the brightest pixel of sound images reaches
_SHOWN = 3  # positions that a warning names


def check_varied(images: Images, name: str) -> None:
    """Raise InputError, naming `name`, if no two pixels of images (n, …), n ≥ 1, differ, or no two images.

    On images that are all the same nothing can be classified, attacked or learned.
    """
    low, high = images.min(), images.max()
    if low == high:
        kind = {0: "black", _white(images): "white"}.get(low.item(), f"of the one intensity {low:g}")
        cast = images.dtype == np.uint8 and high <= 1
        hint = "multiply pixels of [0, 1] by 255 and round them before they become uint8, or " if cast else ""
        raise InputError(f"{name}: all {len(images)} images are {kind}; {hint}check how the file was written")
    if len(images) > 1 and (images == images[:1]).all():
        raise InputError(
            f"{name}: all {len(images)} images are the same image; check how the file was written"
        )


def odd_intensities(images: Images) -> list[str]:
    """What is odd about the pixels of images (n, …), uint8 from 0 to 255 or floats from 0 to 1: one line each."""
    if not images.size:
        return []
    found, white = [], _white(images)
    brightest = images.max().item()
    if brightest < _DARK * white:
        found.append(
            f"the brightest pixel of {len(images)} images is {brightest / white:.3g}, where white is 1 "
            f"(as uint8 {round(255 * brightest / white)} of 255): perturbations are measured on that scale; if white "
            "is meant to be that pixel, rescale the images"
        )
    flat = images.reshape(len(images), -1)
    constant = np.flatnonzero((flat == flat[:, :1]).all(axis=1))
    if flat.shape[1] > 1 and len(constant):
        places = ", ".join(map(str, constant[:_SHOWN])) + (", …" if len(constant) > _SHOWN else "")
        found.append(
            f"{len(constant)} of {len(images)} images show nothing, all their pixels are equal (at {places}); if "
            "they were not made so, check how the file was written"
        )
    return found


def _white(images: Images) -> int:
    """The intensity of white: floats are from 0 to 1."""
    return 1 if np.issubdtype(images.dtype, np.floating) else 255
