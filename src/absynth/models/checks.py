"""Checks of what a model is given, before any work starts."""

from collections.abc import Sequence

import torch
from torch import Tensor

from absynth.errors import InputError


def check_images(x: Tensor, shape: Sequence[int] | None) -> None:
    """Raise InputError unless x is (n, C, H, W), of shape (C, H, W) if given, floating, finite and within [0, 1]."""
    if x.ndim != 4 or (shape is not None and tuple(x.shape[1:]) != tuple(shape)):
        expected = ", ".join(map(str, shape)) if shape is not None else "channels, rows, columns"
        raise InputError(f"images have shape {tuple(x.shape)}, expected (n, {expected})")
    if not x.is_floating_point():
        raise InputError(f"images have dtype {x.dtype}, expected a floating one with pixels in [0, 1]")
    if not x.numel():
        return
    low, high = (value.item() for value in x.detach().aminmax())
    if low != low or high != high:
        raise InputError("images hold NaN")
    if low < 0 or high > 1:
        cure = "; divide them by 255" if low >= 0 and 2 < high <= 255 else ""
        raise InputError(f"images have pixels from {_shown(low)} to {_shown(high)}, allowed is [0, 1]{cure}")


def _shown(value: float) -> str:
    """A pixel in few digits, unless they would put it into [0, 1] where it is not."""
    short = f"{value:g}"
    return short if (0 <= float(short) <= 1) == (0 <= value <= 1) else repr(value)


def check_latents(z: Tensor, n: int, n_classes: int, size: int) -> None:
    """Raise InputError unless z is (n, n_classes, size), floating and finite."""
    if tuple(z.shape) != (n, n_classes, size):
        raise InputError(f"latents have shape {tuple(z.shape)}, expected {(n, n_classes, size)}")
    if not z.is_floating_point() or not torch.isfinite(z).all():
        raise InputError("latents must be floating and finite")
