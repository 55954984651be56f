"""Distances between images in the three norms; pixels in [0, 1]."""

from collections.abc import Callable

import torch
from torch import Tensor

NORMS = ("l0", "l2", "linf")

_MEASURES: dict[str, Callable[[Tensor], Tensor]] = {
    "l0": lambda delta: (delta != 0).sum(dim=-1).to(torch.float64),
    "l2": lambda delta: delta.norm(dim=-1),
    "linf": lambda delta: delta.abs().amax(dim=-1),
}


def distance(x: Tensor, other: Tensor, norm: str) -> Tensor:
    """Distance of images (n, …) from others (n, …), computed in float64; returns (n,) float64.

    l0 is the number of changed pixels, l2 the Euclidean norm, linf the largest change.
    """
    return _MEASURES[norm]((other.double() - x.double()).flatten(1))
