"""The three norms: how far apart images are, how large a distance can be, and how it is written.

Imported by everything, also where torch is not needed, so it imports nothing at run time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Norm:
    """One norm of perturbations of images with pixels in [0, 1].

    title: in text and tables; label: in figures, TeX
    quantity: what it measures, as on an axis; unit: the same in full, as datasets of a file state it
    order: p of the p-norm; dual: q with 1/p + 1/q = 1, None in l0
    largest: shape (C, H, W) of images to the distance between opposite corners of the box
    decimals: of a distance in tables; median_decimals: the same of a median, which may lie between two images
    measure: perturbations (n, C, H, W) float64, or flat ones of one channel (n, d), to their norms (n,) float64
    """

    title: str
    label: str
    quantity: str
    unit: str
    order: float
    dual: float | None
    largest: Callable[[Sequence[int]], float]
    decimals: int
    median_decimals: int
    measure: Callable[[Tensor], Tensor]

    def format(self, distance: float) -> str:
        """A distance as tables show it."""
        return _written(distance, self.decimals)

    def format_median(self, median: float) -> str:
        """A median of distances as tables show it."""
        return _written(median, self.median_decimals)


def told_apart(first: float, second: float) -> tuple[str, str]:
    """Two distances with four digits, or as many more as it takes to see that they differ."""
    enough = (digits for digits in range(4, 18) if f"{first:.{digits}g}" != f"{second:.{digits}g}")
    digits = 4 if first == second else next(enough)
    return _infinite(f"{first:.{digits}g}"), _infinite(f"{second:.{digits}g}")


def _written(distance: float, decimals: int) -> str:
    return _infinite(f"{distance:z.{decimals}f}")


def _infinite(number: str) -> str:
    return number.replace("inf", "∞")


def _changed_pixels(delta: Tensor) -> Tensor:
    """How many pixels change, each once however many of its channels do."""
    changed = delta != 0
    changed = changed.any(dim=1).flatten(1) if changed.ndim > 2 else changed
    return changed.sum(dim=1).double()


# In the order of the paper's tables.
NORMS: dict[str, Norm] = {
    "l2": Norm(
        title="L2",
        label="$L_2$",
        quantity="Euclidean distance",
        unit="Euclidean norm of the change, pixels in [0, 1]",
        order=2,
        dual=2,
        largest=lambda shape: math.sqrt(math.prod(shape)),
        decimals=2,
        median_decimals=2,
        measure=lambda delta: delta.flatten(1).norm(dim=-1),
    ),
    "linf": Norm(
        title="L∞",
        label=r"$L_\infty$",
        quantity="largest change of a pixel",
        unit="largest change of a pixel in [0, 1]",
        order=float("inf"),
        dual=1,
        largest=lambda shape: 1.0,
        decimals=3,
        median_decimals=3,
        measure=lambda delta: delta.flatten(1).abs().amax(dim=-1),
    ),
    "l0": Norm(
        title="L0",
        label="$L_0$",
        quantity="changed pixels",
        unit="changed pixels; a pixel is changed if any of its channels is",
        order=0,
        dual=None,
        largest=lambda shape: float(math.prod(shape[1:])),
        decimals=0,
        median_decimals=1,
        measure=_changed_pixels,
    ),
}


def distance(x: Tensor, other: Tensor, norm: str) -> Tensor:
    """Distance of images (n, C, H, W) from others, computed in float64; returns (n,) float64.

    l0 is the number of changed pixels, each counted once however many of its channels change; l2 the Euclidean norm,
    linf the largest change.
    """
    return NORMS[norm].measure(other.double() - x.double())
