"""How much the scalar product of any change of a query with any of many images can be: Cauchy's inequality, scaled.

For δ and w = u - m, with the images' mean m, and axes V (d, k) whose largest singular value is at most 1,

    |δ·w| ≤ |Vᵀδ·Vᵀw| + √(‖δ‖² - ‖Vᵀδ‖²) √(‖w‖² - ‖Vᵀw‖²)

Along each axis the factor of δ is scaled by √s, that of w by 1/√s. With the principal axes of the images and their
standard deviations s, noise counts little along axes along which images hardly differ. The bound holds with any axes
and s > 0; these only make it tight. See docs/derivations/shortlists.md.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

_AXES = 256  # at most
_SAMPLE = 1000  # images, evenly spaced, whose principal axes are taken
_FLOOR = 0.01  # the least standard deviation, as a share of the largest
_SHRUNK = 1 - 1e-4  # the axes' length, so that no rounding of theirs makes a singular value exceed 1
_LEAST = 1e-12  # the least square of a spread, as lists divide by spreads
_ROWS = 4096  # images measured at a time


def products(x: Tensor, images: Tensor) -> Tensor:
    """Scalar products (n, N) of x (n, d) and images (N, d) of one dtype, each within a known error.

    That is at most `rounding` times the product of the absolute values, whatever the order of summation (Higham 2002,
    section 3.1). Where torch was told to multiply less precisely, float64 is used; autocast has no effect.
    """
    with torch.autocast(x.device.type, enabled=False):
        if _multiplies_exactly():
            return x @ images.T
        return (x.double() @ images.T.double()).to(x.dtype)


def _multiplies_exactly() -> bool:
    """Whether float32 is multiplied as such; torch does not say where single backends are set otherwise."""
    try:
        return torch.get_float32_matmul_precision() == "highest"
    except RuntimeError:
        return False


def rounding(images: Tensor) -> float:
    """A bound on the relative error of sums of d products in the dtype of images (…, d), 250 operations to spare."""
    return (images.shape[-1] + 250) * torch.finfo(images.dtype).eps / 2


@dataclass(frozen=True)
class Metric:
    """Bounds |δ·(u - m)| ≤ `length(δ)` · `spread` for each of N images u.

    mean (d,): m; axes (k, d): Vᵀ; deviations (k,): s; floor: that of all directions without an axis
    spread (N,) float64: the factors of the images
    """

    mean: Tensor
    axes: Tensor
    deviations: Tensor
    floor: float
    spread: Tensor

    def length(self, changes: Tensor) -> Tensor:
        """The factors (q,) float64 of changes (q, d) of one dtype with the images."""
        along = products(changes, self.axes).double()
        norm = changes.double().norm(dim=1)
        squares = self.floor * norm.square() + along.square() @ (self.deviations - self.floor)
        return squares.sqrt() + self.deviations.max().sqrt() * self._error * norm

    @property
    def _error(self) -> float:
        """A bound on the error of coordinates along all axes, as a share of the norm."""
        return len(self.axes) ** 0.5 * rounding(self.axes)

    @classmethod
    @torch.no_grad()
    def of(cls, images: Tensor) -> "Metric":
        """That of images (N, d)."""
        sample = images[:: -(-len(images) // _SAMPLE)]
        mean = sample.mean(dim=0)
        _, values, axes = torch.linalg.svd((sample - mean).double(), full_matrices=False)
        deviations = values / len(sample) ** 0.5
        k, d = min(_AXES, len(values)), images.shape[1]
        rest = (deviations[k:].square().sum() / max(1, d - k)).sqrt()
        floor = max(rest.item(), _FLOOR * deviations[0].item(), torch.finfo(images.dtype).eps)
        axes = (_SHRUNK * axes[:k]).to(images.dtype)
        found = cls(mean, axes, deviations[:k].clamp_min(floor), floor, images)
        spread = torch.cat([found._spread(part) for part in images.split(_ROWS)])
        return cls(mean, axes, found.deviations, floor, spread)

    def _spread(self, images: Tensor) -> Tensor:
        """The factors (n,) of images (n, d): they fall with the coordinates, which are known within an error."""
        apart = images - self.mean
        along, norm = products(apart, self.axes).double(), apart.double().norm(dim=1)
        scaled = (along * (1 / self.floor - 1 / self.deviations).sqrt()).norm(dim=1)
        scaled = (scaled - self._error * norm / self.floor**0.5).clamp_min(0)
        return (
            (norm.square() * (1 + rounding(images)) / self.floor - scaled.square()).clamp_min(_LEAST).sqrt()
        )
