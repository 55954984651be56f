"""The decoders of all classes, with forward-mode Jacobians."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from absynth.inference.stacks import FoldedStacks
from absynth.models.vae import LATENT

PIXELS = 784
_CHUNK = 48  # images a class decodes at a time on the CPU, so that 48 × 10,000 activations stay in cache
_JACOBIAN_CHUNK = 12  # the same with eight tangents each


class Decoders(FoldedStacks):
    """The decoders G_c: latents (P, 8) to images (P, 784)."""

    def forward(self, z: Tensor, counts: Sequence[int]) -> Tensor:
        """Decode pairs: z (P, 8) sorted by class, counts[c] of them for class c; returns (P, 784).

        Differentiable with respect to z.
        """
        (images,) = self._map(lambda classes, latents: (self._decode(classes, latents),), z, counts, _CHUNK)
        return images

    @torch.no_grad()
    def with_jacobian(self, z: Tensor, counts: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Images (P, 784) and their Jacobians ∂G/∂z (P, 8, 784), latent index first."""
        return self._map(self._decode_with_jacobian, z, counts, _JACOBIAN_CHUNK)

    def _decode(self, classes: slice, z: Tensor) -> Tensor:
        """z (C, m, 8) to images (C, m, 784)."""
        x = functional.elu(self._first(classes, z))
        for i in range(1, self.depth - 1):
            x = functional.elu(self._convolve(functional.conv_transpose2d, classes, i, x) + self._bias(classes, i))
        return torch.sigmoid(self._last(classes, x) + self._bias(classes, self.depth - 1).flatten(2))

    def _decode_with_jacobian(self, classes: slice, z: Tensor) -> tuple[Tensor, Tensor]:
        """z (C, m, 8) to images (C, m, 784) and Jacobians (C, m, 8, 784), by eight tangents in one batch.

        The derivative of ELU at its output y is min(1, y + 1), that of the sigmoid y (1 - y).
        """
        c, m = z.shape[:2]
        x = functional.elu(self._first(classes, z))
        weight = self._weight(classes, 0)
        tangents = weight[:, None] * (x.clamp(max=0) + 1)[:, :, None]  # (C, m, 8, 32, 4, 4)
        for i in range(1, self.depth - 1):
            x = functional.elu(self._convolve(functional.conv_transpose2d, classes, i, x) + self._bias(classes, i))
            slopes = (x.clamp(max=0) + 1)[:, :, None]
            pushed = self._convolve(functional.conv_transpose2d, classes, i, tangents.flatten(1, 2))
            tangents = pushed.unflatten(1, (m, LATENT)).mul_(slopes)
        image = torch.sigmoid(self._last(classes, x) + self._bias(classes, self.depth - 1).flatten(2))
        pushed = self._last(classes, tangents.flatten(1, 2)).view(c, m, LATENT, PIXELS)
        return image, pushed.mul_((image * (1 - image))[:, :, None])

    def _first(self, classes: slice, z: Tensor) -> Tensor:
        """The first layer, a matrix product: z (C, m, 8) to (C, m, 32, 4, 4), bias added."""
        weight = self._weight(classes, 0)
        return torch.bmm(z, weight.flatten(2)).view(*z.shape[:2], *weight.shape[2:]) + self._bias(classes, 0)

    def _last(self, classes: slice, x: Tensor) -> Tensor:
        """The last layer, to one channel: x (C, m, in, h, h) to (C, m, 784), no bias.

        One product with all taps and shifted sums take a third of the time of a convolution to one channel.
        """
        weight = self._weight(classes, self.depth - 1)  # (C, in, 1, k, k)
        c, m, _, h = x.shape[:4]
        size = weight.shape[-1]
        planes = x.transpose(1, 2).flatten(2)  # (C, in, m · h · h), a view of what oneDNN leaves
        taps = torch.matmul(weight.flatten(2).mT, planes).view(c, size, size, m, h, h)
        rows = x.new_zeros(c, size, m, h, h + size - 1)
        for j in range(size):
            rows[..., j : j + h] += taps[:, :, j]
        image = x.new_zeros(c, m, h + size - 1, h + size - 1)
        for i in range(size):
            image[:, :, i : i + h] += rows[:, i]
        return image.flatten(2)
