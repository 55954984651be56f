"""The encoders of all classes: the means of q(z|x), as starting points for inference."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from absynth.inference.stacks import FoldedStacks
from absynth.models.vae import LATENT

_CHUNK = 32  # images a class encodes at a time on the CPU


class Encoders(FoldedStacks):
    """The means of the variational posteriors: images (P, 784) to latents (P, 8)."""

    @torch.no_grad()
    def forward(self, x: Tensor, counts: Sequence[int]) -> Tensor:
        """Encode pairs: x (P, 784) sorted by class, counts[c] of them for class c."""
        (means,) = self._map(lambda classes, images: (self._encode(classes, images),), x, counts, _CHUNK)
        return means

    def _encode(self, classes: slice, images: Tensor) -> Tensor:
        """images (C, m, 784) to means (C, m, 8)."""
        x = images.unflatten(2, (1, 28, 28))
        for i in range(self.depth):
            x = self._convolve(functional.conv2d, classes, i, x) + self._bias(classes, i)
            if i < self.depth - 1:
                x = functional.elu(x)
        return x.flatten(2)[:, :, :LATENT]
