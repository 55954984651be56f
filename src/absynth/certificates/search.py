"""Search over latents: damped Gauss–Newton steps on many image–class pairs at once.

To first order, every objective minimised here has the gradient of an energy of a shifted image: if a rival class
needs the perturbation δ, then the latents with which it needs a smaller one are those that reconstruct x + δ better.
So each step fits the decoded image to the target x + δ, and δ is recomputed after each step.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from absynth.certificates.pairs import Objective, Pairs, first_smallest, smallest
from absynth.certificates.settings import SearchSettings
from absynth.models.abs.decoders import Decoders
from absynth.models.abs.gauss_newton import adapted, initial_damping, propose
from absynth.models.abs.prior import clip_radius
from absynth.models.abs.reference import RADIUS

HALVES = 2  # disjoint halves of the prior samples, whose results are compared
_TOLERANCE = (
    0.002  # energy that a step must be predicted to gain; energies of two classes differ by some tens
)
_RESTART_SPREAD = (
    0.6  # standard deviation of the perturbation of a latent; latents of one digit differ by some 1
)

# The number of steps taken and scores (P,) to whether a pair may still end up the best (P,) bool.
Promising = Callable[[int, Tensor], Tensor]


def descend(
    decoders: Decoders,
    objective: Objective,
    pairs: Pairs,
    *,
    steps: int,
    prior: float,
    tolerance: float,
    promising: Promising | None = None,
) -> tuple[Pairs, Tensor]:
    """Lower the score of every pair by up to `steps` damped Gauss–Newton steps on ‖G(z) - target‖² + prior ½‖z‖².

    Only steps that lower the score are taken, and latents stay within the model's radius. A pair is done when a
    step is predicted to lower that energy by less than `tolerance`, and given up when it is not promising.

    Returns the pairs and their scores (P,)
    """
    z = pairs.z.clone()
    if not len(z):
        return pairs, z.new_empty(0)
    score, target = objective(pairs, decoders(z, pairs.counts(decoders.n_classes)))
    damping = initial_damping(score)
    active = score.isfinite() & (score > 0)
    for step in range(steps):
        if promising:
            active &= promising(step, score)
        rows = active.nonzero().squeeze(1)
        if not len(rows):
            break
        chosen = pairs[rows].with_latents(z[rows])
        counts = chosen.counts(decoders.n_classes)
        image, jacobian = decoders.with_jacobian(chosen.z, counts)  # (P, 784), (P, 8, 784)
        residual = image - target[rows]
        proposal, predicted = propose(chosen.z, jacobian, residual, damping[rows], prior=prior, radius=RADIUS)
        new_score, new_target = objective(chosen.with_latents(proposal), decoders(proposal, counts))
        better = new_score < score[rows]
        kept = rows[better]
        z[kept], score[kept], target[kept] = proposal[better], new_score[better], new_target[better]
        damping[rows] = adapted(damping[rows], better)
        active[rows] = (predicted > tolerance) & (score[rows] > 0)
    return pairs.with_latents(z), score


@dataclass(frozen=True)
class Minima:
    """For each of n images, C classes and each half of the starts the lowest score found, and its latent.

    The difference between the two halves tells whether they found the same, presumably global, minimum.

    score (n, C, HALVES): inf where the class was not searched; z (n, C, HALVES, 8)
    """

    score: Tensor
    z: Tensor

    @property
    def of_class(self) -> tuple[Tensor, Tensor]:
        """The lowest score of each class (n, C) and its latent (n, C, 8)."""
        score, half = self.score.min(dim=2)
        return score, self.z.take_along_dim(half[:, :, None, None], dim=2).squeeze(2)


@dataclass(frozen=True)
class Search:
    """A search for the latents that minimise an objective.

    prior: the weight of ½‖z‖² in the energy that steps lower, see `descend`
    """

    decoders: Decoders
    objective: Objective
    settings: SearchSettings
    prior: float

    def minimize(self, starts: Tensor, wanted: Tensor) -> Minima:
        """Descend from starts (n, C, T, 8), which belong to the two halves alternately, where wanted (n, C).

        Starts whose score exceeds the best of their image and half by more than the share `pruning_share` are given
        up; before each of the `first_steps` the share is larger, falling to `pruning_share` by the same amount each
        time.
        """
        n, c, t = starts.shape[:3]
        pairs = Pairs.from_grid(starts, wanted)
        half = torch.arange(t, device=starts.device).repeat(len(pairs.sample) // t) % HALVES
        group = pairs.sample * HALVES + half

        def promising(step: int, score: Tensor) -> Tensor:
            share = self.settings.pruning_share * max(1, self.settings.first_steps - step + 1)
            return score <= (1 + share) * smallest(score, group, n * HALVES)[group]

        pairs, score = self.descend(pairs, self.settings.first_steps + self.settings.steps, promising)
        chosen = first_smallest(score, (pairs.sample * c + pairs.label) * HALVES + half)
        place = (pairs.sample[chosen], pairs.label[chosen], half[chosen])
        return Minima(
            score.new_full((n, c, HALVES), torch.inf).index_put(place, score[chosen]),
            pairs.z.new_zeros(n, c, HALVES, pairs.z.shape[1]).index_put(place, pairs.z[chosen]),
        )

    def restart(self, minima: Minima, label: Tensor, wanted: Tensor) -> Minima:
        """Lower minima by descents from perturbed copies of the latent of class `label` (n, HALVES).

        In l0 and linf the best minimum is surrounded by many small ones. Only images and halves `wanted` (n, HALVES).

        Returns the minima, replaced where a descent from one of `perturbed_restarts` latents ends lower
        """
        if not self.settings.perturbed_restarts or not wanted.any():
            return minima
        sample, half = wanted.nonzero().unbind(1)
        order = label[sample, half].argsort(stable=True)
        sample, half = sample[order], half[order]
        place = (sample, label[sample, half], half)
        starts, origin = _perturbed(
            Pairs(sample, place[1], minima.z[place]), self.settings.perturbed_restarts
        )
        ended, score = self.descend(starts, self.settings.steps)
        best = first_smallest(score, origin)
        lower = score[best] < minima.score[place]
        best = best[lower]
        place = (place[0][lower], place[1][lower], place[2][lower])
        return Minima(minima.score.index_put(place, score[best]), minima.z.index_put(place, ended.z[best]))

    def minimize_and_restart(self, starts: Tensor, wanted: Tensor) -> Minima:
        """`minimize`, then `restart` from the best class of each image and half."""
        minima = self.minimize(starts, wanted)
        label = minima.score.argmin(dim=1)
        return self.restart(minima, label, torch.ones_like(label, dtype=torch.bool))

    def descend(self, pairs: Pairs, steps: int, promising: Promising | None = None) -> tuple[Pairs, Tensor]:
        """`descend` on this search's objective."""
        return descend(
            self.decoders,
            self.objective,
            pairs,
            steps=steps,
            prior=self.prior,
            tolerance=_TOLERANCE,
            promising=promising,
        )


def _perturbed(pairs: Pairs, count: int) -> tuple[Pairs, Tensor]:
    """`count` perturbed copies of each of Q pairs, and which pair each comes from (Q · count,).

    The random displacements are the same for all pairs, and in every call.
    """
    generator = torch.Generator().manual_seed(0)
    moves = _RESTART_SPREAD * torch.randn(count, pairs.z.shape[1], generator=generator).to(pairs.z)
    origin = torch.arange(len(pairs.z), device=pairs.z.device).repeat_interleave(count)
    moved = pairs.z[origin] + moves.repeat(len(pairs.z), 1)
    return pairs[origin].with_latents(clip_radius(moved, RADIUS)), origin
