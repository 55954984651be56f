"""What an image is explained by, and what it takes for one explanation to be preferred to another."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from absynth.certificates.minimal_perturbation import MinimalPerturbation
from absynth.certificates.perturbations import Perturbations


@dataclass(frozen=True)
class Reconstruction:
    """P explanations, each by an image u of its class: that class's energy at x is at most γ (‖u - x‖² + offset).

    image (P, 784); offset (P,): ½‖z‖² of a latent, 0 of a training image; factor γ (P,)
    """

    image: Tensor
    offset: Tensor
    factor: Tensor

    def energy(self, x: Tensor) -> Tensor:
        """That energy (P,) at images x (P, 784)."""
        return self.factor * ((self.image - x).square().sum(dim=1) + self.offset)

    def __getitem__(self, rows: Tensor) -> "Reconstruction":
        return Reconstruction(self.image[rows], self.offset[rows], self.factor[rows])


@dataclass(frozen=True)
class ClassPair:
    """For each of n images an explanation by its own class and one by a rival class, `label` (n,).

    latents (n, 2, 8): of both, where they have latents
    """

    own: Reconstruction
    rival: Reconstruction
    label: Tensor
    latents: Tensor | None = None


# Images (n, 1, 28, 28) and labels (n,) to the paper's bounds (n,), with and without ½‖z_y‖².
PaperBounds = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Bound:
    """Lower bounds of n images.

    size, score (n,): see `MinimalPerturbation`; rival (n,): the class that comes nearest
    disagreement (n,): difference of the bounds from two halves of the starts, relative to the smaller
    """

    size: Tensor
    score: Tensor
    rival: Tensor
    disagreement: Tensor

    def where(self, chosen: Tensor, other: "Bound") -> "Bound":
        """These bounds where `chosen` (n,) bool, the others elsewhere."""
        columns = ("size", "score", "rival", "disagreement")
        return Bound(*(torch.where(chosen, getattr(self, name), getattr(other, name)) for name in columns))


def minimal_perturbation(
    perturbations: Perturbations,
    sample: Tensor,
    own: Reconstruction,
    rival: Reconstruction,
    surplus: float | Tensor = 0.0,
) -> MinimalPerturbation:
    """The smallest perturbations of images `sample` (P,) with which rivals explain them no worse than their own.

    Whatever the own class's best explanation is, its energy is no higher than that of `own`; so where `rival` is
    the rivals' best one, no smaller perturbation changes the decision.

    surplus (P,): energy by which rivals are to explain them better
    """
    x = perturbations.seen[sample]
    margin = rival.energy(x) - own.energy(x) + surplus
    w = rival.factor[:, None] * (rival.image - x) - own.factor[:, None] * (own.image - x)
    return perturbations(sample, margin, w, own.factor - rival.factor)
