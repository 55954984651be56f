"""What inference finds, and the energy it minimises."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

# Shown the Jacobian of each step: images (P,) and classes (P,) of the pairs, ∂G/∂z (P, 8, 784).
Watcher = Callable[[Tensor, Tensor, Tensor], None]


def energies(images: Tensor, x: Tensor, z: Tensor) -> Tensor:
    """E(x, z) = ‖G(z) - x‖² + ½‖z‖² (equation 3 times -2σ², with 2σ² = 1, constants dropped).

    Takes   images G(z) (…, 784), x (…, 784), z (…, 8)
    Returns (…)
    """
    return (images - x).square().sum(dim=-1) + 0.5 * z.square().sum(dim=-1)


@dataclass(frozen=True)
class Inferred:
    """For every image and class the latent found, (n, C, 8), and its image G_c(z), (n, C, 784)."""

    latents: Tensor
    images: Tensor

    def energies(self, x: Tensor) -> Tensor:
        """E_c(x, z_c): x (n, 784) to (n, C); differentiable in x at fixed latents (envelope theorem)."""
        return energies(self.images, x[:, None], self.latents)

    def __getitem__(self, rows: Tensor | slice) -> "Inferred":
        return Inferred(self.latents[rows], self.images[rows])

    @staticmethod
    def none(inputs: Tensor, n_classes: int, latent: int) -> "Inferred":
        """What is inferred for no image: inputs (0, 784)."""
        return Inferred(
            inputs.new_zeros(0, n_classes, latent), inputs.new_zeros(0, n_classes, inputs.shape[1])
        )

    @staticmethod
    def cat(parts: Sequence["Inferred"]) -> "Inferred":
        return Inferred(torch.cat([p.latents for p in parts]), torch.cat([p.images for p in parts]))
