"""The three norms: how far apart images are, how large a distance can be, and how it is written.

Imported by everything, also where torch is not needed, so it imports nothing at run time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Norm:
    """One norm of perturbations of images with pixels in [0, 1].

    title: as people write it
    order: p of the p-norm; dual: q with 1/p + 1/q = 1, None in l0
    largest: distance between opposite corners of the box for images of 784 pixels
    decimals: of a distance in tables; median_decimals: the same of a median, which may lie between two images
    measure: perturbations (n, d) float64 to their norms (n,) float64
    """

    title: str
    order: float
    dual: float | None
    largest: float
    decimals: int
    median_decimals: int
    measure: Callable[[Tensor], Tensor]

    def format(self, distance: float) -> str:
        """A distance as tables show it."""
        return f"{distance:.{self.decimals}f}"

    def format_median(self, median: float) -> str:
        """A median of distances as tables show it."""
        return f"{median:.{self.median_decimals}f}"


NORMS: dict[str, Norm] = {
    "l0": Norm("L0", 0, None, 784.0, 0, 1, lambda delta: (delta != 0).sum(dim=-1).double()),
    "l2": Norm("L2", 2, 2, 28.0, 2, 2, lambda delta: delta.norm(dim=-1)),
    "linf": Norm("L∞", float("inf"), 1, 1.0, 3, 3, lambda delta: delta.abs().amax(dim=-1)),
}


def distance(x: Tensor, other: Tensor, norm: str) -> Tensor:
    """Distance of images (n, …) from others (n, …), computed in float64; returns (n,) float64.

    l0 is the number of changed pixels, l2 the Euclidean norm, linf the largest change.
    """
    return NORMS[norm].measure((other.double() - x.double()).flatten(1))
