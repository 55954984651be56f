"""Lower bounds on the energies of many images from products of eight-bit integers: cheap, and exact where images are.

Images and queries, with pixels in [0, 1], are rounded to multiples of 1/255, and pixels at which the images hardly
differ from their least value are left out. What both may have added to a product is taken off an image's
energy beforehand, or a query's. See docs/derivations/shortlists.md.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor

from absynth.models.metric import products

if TYPE_CHECKING:
    from absynth.models.least_energy import LeastEnergy

LEVELS = 255  # steps from 0 to 1
UNIT = 1 / LEVELS**2  # of integer bounds, in units of energies
BLOCK = 32  # the number of bounds is a multiple of it
_ZERO = 128  # what the code of an intensity of 0 is below 0
_OMITTED = 0.002  # the share of the images' intensities, above each pixel's least one, that may be left out
_ROUNDED = 64  # numbers of pixels that are multiples of it are multiplied fastest
_ROWS = 4096  # images rounded at a time
_MOST = 2**30  # bounds are not raised above this


@dataclass(frozen=True)
class Quantized:
    """Integers F_u(q) and reals c(q) with E_u(q) ≥ UNIT F_u(q) + c(q), for N images u and queries q (n, d) in [0, 1].

    pixels (k,), omitted (d - k,): positions of the pixels that are multiplied, and of the others
    codes (M, k): of the images, M ≥ N the next multiple of BLOCK; integers, as int8 where that is fast, or floating
    start (M,) int32 or int64: F without the product
    low, high (d,) float64: the least and the largest value of each pixel
    """

    pixels: Tensor
    omitted: Tensor
    codes: Tensor
    start: Tensor
    low: Tensor
    high: Tensor

    @classmethod
    @torch.no_grad()
    def of(cls, model: "LeastEnergy") -> Self:
        """Those of a model's images. The bounds from the N-th on are above every threshold."""
        images = model.images
        low, high = images.amin(dim=0).double(), images.amax(dim=0).double()
        ink = sum(((part.double() - low).sum(dim=0) for part in images.split(_ROWS)), torch.zeros_like(low))
        order, dropped = ink.argsort(), ink.sort().values.cumsum(0)
        few = int((dropped <= _OMITTED * dropped[-1]).sum())
        kept = min(len(ink), -(-max(1, len(ink) - few) // _ROUNDED) * _ROUNDED)
        pixels, omitted = order[len(ink) - kept :].sort().values, order[: len(ink) - kept].sort().values
        dtype = _dtype(images.device, kept)
        parts = [
            _quantize(part, offsets, pixels, omitted, low)
            for part, offsets in zip(images.split(_ROWS), model.offsets.split(_ROWS), strict=True)
        ]
        start = torch.cat([part for _, part in parts]).clamp(max=_MOST)
        largest = 2 * kept * _ZERO**2  # of twice a product
        fits = largest <= _MOST // 2 and start.min() > largest - 2**31
        missing = -len(images) % BLOCK
        codes = torch.cat([part.to(dtype) for part, _ in parts])
        codes = torch.nn.functional.pad(codes, (0, 0, 0, missing))
        start = start.to(torch.int32 if fits else torch.int64)
        start = torch.nn.functional.pad(start, (0, missing), value=torch.iinfo(start.dtype).max)
        return cls(pixels, omitted, codes, start, low, high)

    def of_queries(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The codes (n, k) of queries x (n, d) in [0, 1], and c (n,) float64."""
        kept = x[:, self.pixels].double()
        codes = (LEVELS * kept).round() - _ZERO
        error = kept - (codes + _ZERO) / LEVELS
        most = torch.maximum(error * self.low[self.pixels], error * self.high[self.pixels]).sum(dim=1)
        most += x[:, self.omitted].double() @ self.low[self.omitted]
        shift = _ZERO * codes.sum(dim=1) + _ZERO**2 * len(self.pixels)
        square = x.double().square().sum(dim=1)
        return codes.to(self.codes.dtype), square - 2 * UNIT * shift - 2 * most

    def bounds(self, queries: Tensor, out: Tensor | None = None) -> Tensor:
        """F (n, M) of queries with codes (n, k); `out` (n, M) int32 may be written to, if given."""
        return less_products(self.start, integer_products(queries, self.codes, out))

    def threshold(self, energy: Tensor, constant: Tensor) -> Tensor:
        """Integers (n,) that F of no image with an energy of at most `energy` (n,) is above; constant (n,): c.

        Float64 is off by less than the two that are added.
        """
        steps = ((energy - constant) / UNIT).floor() + 2
        most = 2.0**31 - 2**8 if self.start.dtype == torch.int32 else 2.0**61  # above it there are no images
        return steps.clamp(-(2.0**31), most).to(self.start.dtype)


def less_products(start: Tensor, product: Tensor) -> Tensor:
    """start - 2 · product, in place of the products if they have its dtype."""
    same = start.dtype == product.dtype
    return torch.sub(start, product, alpha=2, out=product) if same else start - 2 * product.long()


def integer_products(queries: Tensor, images: Tensor, out: Tensor | None = None) -> Tensor:
    """The scalar products (n, N) int32 of codes (n, k) and (N, k), exactly; `out` is written to, if given."""
    if out is None:
        out = torch.empty(len(queries), len(images), dtype=torch.int32, device=queries.device)
    if queries.dtype == torch.int8:
        return torch._int_mm(queries, images.T, out=out)
    return out.copy_(products(queries, images))


def _dtype(device: torch.device, k: int) -> torch.dtype:
    """In what the products of k codes are exact, and fast: torch has fast ones of int8 on CPUs with VNNI."""
    # Those of one number each are wrong in torch 2.13.
    capabilities: Callable[[], dict[str, Any]] = getattr(torch.cpu, "get_capabilities", dict)
    if k > 1 and device.type == "cpu" and capabilities().get("avx512_vnni", False):
        return torch.int8
    return torch.float32 if k * _ZERO**2 <= 2**24 else torch.float64


def _quantize(
    images: Tensor, offsets: Tensor, pixels: Tensor, omitted: Tensor, low: Tensor
) -> tuple[Tensor, Tensor]:
    """The codes (n, k) of images (n, d), float64, and where their bounds start (n,) int64."""
    exact = images.double()
    kept = exact[:, pixels]
    codes = ((LEVELS * kept).round() - _ZERO).clamp(-_ZERO, LEVELS - _ZERO)
    most = (kept - (codes + _ZERO) / LEVELS).clamp_min(0).sum(dim=1)
    most += (exact[:, omitted] - low[omitted]).sum(dim=1)
    energy = exact.square().sum(dim=1) + offsets.double() - 2 * most
    start = energy / UNIT - 2 * _ZERO * codes.sum(dim=1)
    return codes, start.floor().clamp(max=_MOST).long() - 1
