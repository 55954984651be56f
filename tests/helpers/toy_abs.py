"""A stand-in for ABS with linear decoders, whose decision boundaries are known on paper."""

from types import SimpleNamespace

import torch
from torch import Tensor

from absynth.models.abs.energy import Inferred
from absynth.models.abs.prior import Prototypes
from absynth.models.binarize import binarize


class LinearDecoders:
    """G_c(z) = pictures[c] + z · slopes[c]: pictures (C, 784), slopes (C, 8, 784)."""

    device, dtype = torch.device("cpu"), torch.float32

    def __init__(self, pictures: Tensor, slopes: Tensor):
        self.pictures, self.slopes, self.n_classes = pictures, slopes, len(pictures)

    def _labels(self, counts: list[int]) -> Tensor:
        return torch.arange(self.n_classes).repeat_interleave(torch.tensor(counts))

    def __call__(self, z: Tensor, counts: list[int]) -> Tensor:
        label = self._labels(counts)
        return self.pictures[label] + torch.einsum("pk,pkd->pd", z, self.slopes[label])

    def with_jacobian(self, z: Tensor, counts: list[int]) -> tuple[Tensor, Tensor]:
        return self(z, counts), self.slopes[self._labels(counts)]


class ToyABS:
    """What a certificate asks of ABS; inference, fast or not, is the best prior sample."""

    prior_seed = 1
    fast = SimpleNamespace(infer=lambda decoders, prototypes, seen, gamma, without: prototypes.lowest(seen))

    def __init__(self, pictures: Tensor, slopes: Tensor | None = None, *, binary: bool = False, gamma=None):
        slopes = torch.zeros(len(pictures), 8, 784) if slopes is None else slopes
        self.decoders = LinearDecoders(pictures, slopes)
        self.prototypes = Prototypes(self.decoders, 200, self.prior_seed)
        self.binary, self.gamma = binary, torch.ones(len(pictures)) if gamma is None else torch.tensor(gamma)

    def preprocess(self, x: Tensor) -> Tensor:
        return (binarize(x) if self.binary else x).flatten(1)

    def infer(self, x: Tensor) -> Inferred:
        return self.prototypes.lowest(self.preprocess(x))


def blocks(*values: float) -> Tensor:
    """A picture (784,) of equal blocks of pixels, one a value."""
    return torch.tensor(values).repeat_interleave(784 // len(values))
