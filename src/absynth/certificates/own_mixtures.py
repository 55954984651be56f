"""Mixtures of an image's own reconstructions that no rival latent found so far gets the better of.

Where a rival wins at x + δ, its energy is at most that of every own reconstruction v_k, and so at most the weighted
mean of theirs, for any weights of sum 1. That mean is the energy of one reconstruction again, the mean of the v_k,
with a larger offset: a mixture gives a bound as each of them does, and the best one a larger bound than any of them
(docs/derivations/certificates.md).
"""

import torch
from torch import Tensor

from absynth.certificates.class_pair import Reconstruction, minimal_perturbation
from absynth.certificates.perturbations import Perturbations
from absynth.certificates.search import HALVES, Minima

_FACED = 3  # rival classes of each half of a search
_SHARES = (1, 0.75, 0.5, 0.35, 0.25, 0.15, 0.1, 0.05)  # of a reconstruction that joins a mixture
_ROUNDS = 2  # in which each reconstruction is offered


def mixed(first: Reconstruction, second: Reconstruction, share: float) -> Reconstruction:
    """The reconstructions whose energy is the mean of both, `share` that of the second, everywhere."""
    apart = (first.image - second.image).square().sum(dim=1)
    return Reconstruction(
        torch.lerp(first.image, second.image, share),
        torch.lerp(first.offset, second.offset, share) + share * (1 - share) * apart,
        first.factor,
    )


class OwnMixtures:
    """Own reconstructions of n images, and the rivals that have been found against them or their mixtures."""

    def __init__(self, perturbations: Perturbations):
        self._perturbations = perturbations
        self._own: list[Reconstruction] = []
        self._rivals: list[tuple[Reconstruction, Tensor]] = []  # and for which images they count (n,)

    def add(self, own: Reconstruction) -> None:
        """Let mixtures contain reconstructions, one of each image."""
        self._own.append(own)

    def face(self, rival: Reconstruction, counts: Tensor) -> None:
        """Hold mixtures against rival reconstructions, one of each image, where it `counts` (n,)."""
        self._rivals.append((rival, counts))

    def best(self) -> tuple[Reconstruction, Tensor]:
        """A mixture for each image, and the score (n,) that the rivals known need against it.

        No reconstruction alone scores higher; other mixtures may.
        """
        rivals = Reconstruction(
            torch.cat([rival.image for rival, _ in self._rivals]),
            torch.cat([rival.offset for rival, _ in self._rivals]),
            torch.cat([rival.factor for rival, _ in self._rivals]),
        )
        counts = torch.stack([counts for _, counts in self._rivals])
        best, score = self._own[0], self._score(self._own[0], rivals, counts)
        for own in self._own * _ROUNDS:
            for share in _SHARES:
                tried = mixed(best, own, share)
                reached = self._score(tried, rivals, counts)
                best, score = _where(reached > score, tried, best), torch.maximum(reached, score)
        return best, score

    def _score(self, own: Reconstruction, rivals: Reconstruction, counts: Tensor) -> Tensor:
        """What the rival that needs least against `own` needs (n,).

        rivals: k of each image, all images' first before the second; counts (k, n): which of them are considered
        """
        rows = torch.arange(counts.shape[1], device=counts.device).repeat(len(counts))
        score = minimal_perturbation(self._perturbations, rows, own[rows], rivals).score
        return torch.where(counts, score.view_as(counts), torch.inf).amin(dim=0)


def likeliest(minima: Minima, wanted: Tensor) -> list[tuple[Tensor, Tensor, Tensor]]:
    """The rivals that a search found to need least: classes (n,), latents (n, 8) and whether they count (n,) each.

    Takes   minima of n images' classes, of which only those wanted (n, C) were searched
    """
    rows = torch.arange(len(wanted), device=wanted.device)
    found = []
    for half in range(HALVES):
        score = torch.where(wanted, minima.score[:, :, half], torch.inf)
        for label in score.argsort(dim=1, stable=True)[:, :_FACED].T:
            found.append((label, minima.z[rows, label, half], score[rows, label].isfinite()))
    return found


def _where(chosen: Tensor, first: Reconstruction, second: Reconstruction) -> Reconstruction:
    """The first one of images chosen (n,), the second one of the others."""
    return Reconstruction(
        torch.where(chosen[:, None], first.image, second.image),
        torch.where(chosen, first.offset, second.offset),
        first.factor,
    )
