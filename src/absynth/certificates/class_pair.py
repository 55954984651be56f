"""Reconstructions of an image by its own and a rival class, and the perturbation that makes the rival's win."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from absynth.certificates.minimal_perturbation import MinimalPerturbation
from absynth.certificates.perturbations import Perturbations


@dataclass(frozen=True)
class Reconstruction:
    """P reconstructions u, one image of a class each: at x, the class's energy is at most γ (‖u - x‖² + offset).

    image (P, d): u, a decoded MAP latent or a training image
    offset (P,): ½‖z‖² of the latent, 0 for a training image; factor (P,): γ
    """

    image: Tensor
    offset: Tensor
    factor: Tensor

    def energy(self, x: Tensor) -> Tensor:
        """That energy (P,) at images x (P, d)."""
        return self.factor * ((self.image - x).square().sum(dim=1) + self.offset)

    def __getitem__(self, rows: Tensor) -> "Reconstruction":
        return Reconstruction(self.image[rows], self.offset[rows], self.factor[rows])


@dataclass(frozen=True)
class ClassPair:
    """For each of n images one reconstruction by its label and one by a rival class.

    label (n,): the rival class; latents (n, 2, 8): of the own and the rival reconstruction, if they have latents
    """

    own: Reconstruction
    rival: Reconstruction
    label: Tensor
    latents: Tensor | None = None


# Images (n, c, h, w) and labels (n,) to the paper's bounds (n,), with and without ½‖z_y‖².
PaperBounds = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Bound:
    """Lower bounds of n images.

    size, score (n,): see `MinimalPerturbation`; rival (n,): the class that needs the smallest perturbation
    disagreement (n,): difference of the bounds from two halves of the starts, relative to the smaller
    solved (n,): how many rivals were solved exactly, of those that are enumerated; None where a search finds them
    """

    size: Tensor
    score: Tensor
    rival: Tensor
    disagreement: Tensor
    solved: Tensor | None = None


def minimal_perturbation(
    perturbations: Perturbations,
    sample: Tensor,
    own: Reconstruction,
    rival: Reconstruction,
    surplus: float | Tensor = 0.0,
) -> MinimalPerturbation:
    """The smallest perturbations of images `sample` (P,) at which the rival's energy is no higher than the own one.

    The own class's energy is at most that of `own`, whatever its best reconstruction is; so if `rival` is the best
    of all rivals, no smaller perturbation changes the decision.

    surplus (P,): energy by which the rival's is to be lower
    """
    x = perturbations.preprocessed[sample]
    margin = rival.energy(x) - own.energy(x) + surplus
    w = rival.factor[:, None] * (rival.image - x) - own.factor[:, None] * (own.image - x)
    return perturbations(sample, margin, w, own.factor - rival.factor)
