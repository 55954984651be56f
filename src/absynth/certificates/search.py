"""Search over latents: damped Gauss–Newton steps on many pairs of an image and a class at once.

Every quantity minimised here has, to first order, the gradient of an energy at a shifted image: where a
perturbation δ is all that helps the rival, the latent that needs less is one that explains x + δ better. So
a step fits the decoder's image to the target x + δ, and δ is worked out anew after each step.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from absynth.certificates.settings import SearchSettings
from absynth.models.abs.decoders import Decoders
from absynth.models.abs.gauss_newton import adapted, initial_damping, propose
from absynth.models.abs.prior import clip_radius
from absynth.models.abs.reference import RADIUS

_TOLERANCE = 0.002  # energy that a step must promise; margins between classes are some tens
_RESTART_SPREAD = 0.6  # standard deviation of a hop; latents of one digit differ by some 1
HALVES = 2  # disjoint halves of the prior samples, whose results are compared


@dataclass(frozen=True)
class Pairs:
    """P pairs of an image and a class, sorted by class.

    sample (P,): positions of the images; label (P,): the classes; z (P, 8): a latent each
    """

    sample: Tensor
    label: Tensor
    z: Tensor

    def __getitem__(self, rows: Tensor) -> "Pairs":
        return Pairs(self.sample[rows], self.label[rows], self.z[rows])

    def at(self, z: Tensor) -> "Pairs":
        return Pairs(self.sample, self.label, z)

    def counts(self, n_classes: int) -> list[int]:
        return torch.bincount(self.label, minlength=n_classes).tolist()

    @staticmethod
    def grid(z: Tensor, wanted: Tensor) -> "Pairs":
        """From latents (n, C, S, 8) those of the image–class pairs wanted (n, C), S after S."""
        n, c, s = z.shape[:3]
        label, sample, start = wanted.T[:, :, None].expand(c, n, s).nonzero().unbind(1)
        return Pairs(sample, label, z[sample, label, start])

    @staticmethod
    def of_label(z: Tensor, label: Tensor) -> tuple["Pairs", Tensor]:
        """Latents (n, S, 8) of one class `label` (n,) an image, and where pair i · S + j stands among the pairs."""
        n, s = z.shape[:2]
        order = label.repeat_interleave(s).argsort(stable=True)
        sample = torch.arange(n, device=z.device).repeat_interleave(s)
        return Pairs(
            sample[order], label.repeat_interleave(s)[order], z.flatten(0, 1)[order]
        ), order.argsort()


# What is minimised: pairs and their images (P, 784) to a score (P,) and the target (P, 784) to be explained.
Objective = Callable[[Pairs, Tensor], tuple[Tensor, Tensor]]
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
    """Lower the score of every pair by `steps` damped Gauss–Newton steps on ‖G(z) - target‖² + prior ½‖z‖².

    Only steps that lower the score are taken, and latents stay within the model's radius. A pair is done when a
    step promises to lower that energy by less than `tolerance`, and given up when it is not promising.

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
        chosen = pairs[rows].at(z[rows])
        counts = chosen.counts(decoders.n_classes)
        image, jacobian = decoders.with_jacobian(chosen.z, counts)  # (P, 784), (P, 8, 784)
        proposal, promise = propose(chosen.z, jacobian, image - target[rows], damping[rows], prior)
        proposed = decoders(proposal, counts)
        new_score, new_target = objective(chosen.at(proposal), proposed)
        better = new_score < score[rows]
        kept = rows[better]
        z[kept], score[kept], target[kept] = proposal[better], new_score[better], new_target[better]
        damping[rows] = adapted(damping[rows], better)
        active[rows] = (promise > tolerance) & (score[rows] > 0)
    return pairs.at(z), score


@dataclass(frozen=True)
class Minima:
    """For each of n images, C classes and each half of the starts the lowest score found, and its latent.

    What two halves differ by is the evidence for having found the global minimum.

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
    """A search for the latents that lower an objective.

    prior: the weight of ½‖z‖² in the energy that steps lower, see `descend`
    """

    decoders: Decoders
    objective: Objective
    settings: SearchSettings
    prior: float

    def classes(self, starts: Tensor, wanted: Tensor) -> Minima:
        """Descend from starts (n, C, T, 8), which belong to the halves by turns, where wanted (n, C).

        Starts beyond the share `margin` of their image's and half's best are given up; the share is larger before
        each of the `first_steps`, and falls to `margin` by as much each time.
        """
        n, c, t = starts.shape[:3]
        pairs = Pairs.grid(starts, wanted)
        half = torch.arange(t, device=starts.device).repeat(len(pairs.sample) // t) % HALVES
        group = pairs.sample * HALVES + half

        def promising(step: int, score: Tensor) -> Tensor:
            share = self.settings.pruning_share * max(1, self.settings.first_steps - step + 1)
            return score <= (1 + share) * smallest(score, group, n * HALVES)[group]

        pairs, score = self.descend(pairs, self.settings.first_steps + self.settings.steps, promising)
        chosen = _first_of(score, (pairs.sample * c + pairs.label) * HALVES + half)
        place = (pairs.sample[chosen], pairs.label[chosen], half[chosen])
        return Minima(
            score.new_full((n, c, HALVES), torch.inf).index_put(place, score[chosen]),
            pairs.z.new_zeros(n, c, HALVES, pairs.z.shape[1]).index_put(place, pairs.z[chosen]),
        )

    def restart(self, minima: Minima, label: Tensor, wanted: Tensor) -> Minima:
        """The minima, lower where descents from `restarts` latents around that of class `label` (n, HALVES) end lower.

        In l0 and linf the best has many small minima around it. Only images and halves `wanted` (n, HALVES).
        """
        if not self.settings.perturbed_restarts or not wanted.any():
            return minima
        sample, half = wanted.nonzero().unbind(1)
        order = label[sample, half].argsort(stable=True)
        sample, half = sample[order], half[order]
        place = (sample, label[sample, half], half)
        restarts, origin = _around(Pairs(sample, place[1], minima.z[place]), self.settings.perturbed_restarts)
        ended, hopped = self.descend(restarts, self.settings.steps)
        best = _first_of(hopped, origin)
        lower = hopped[best] < minima.score[place]
        place, best = tuple(index[lower] for index in place), best[lower]
        return Minima(minima.score.index_put(place, hopped[best]), minima.z.index_put(place, ended.z[best]))

    def best(self, starts: Tensor, wanted: Tensor) -> Minima:
        """`classes`, and then `hop` around the best of each image and half."""
        minima = self.classes(starts, wanted)
        label = minima.score.argmin(dim=1)
        return self.restart(minima, label, torch.ones_like(label, dtype=torch.bool))

    def descend(self, pairs: Pairs, steps: int, promising: Promising | None = None) -> tuple[Pairs, Tensor]:
        """`descend` to this search's objective."""
        return descend(
            self.decoders,
            self.objective,
            pairs,
            steps=steps,
            prior=self.prior,
            tolerance=_TOLERANCE,
            promising=promising,
        )


def rivals_of(label: Tensor, n_classes: int) -> Tensor:
    """Every class but the images' own, `label` (n,): (n, C) bool."""
    return torch.arange(n_classes, device=label.device) != label[:, None]


def _around(pairs: Pairs, count: int) -> tuple[Pairs, Tensor]:
    """`count` latents around each of Q pairs, the same displacements for all, and of which each is (Q · count,)."""
    generator = torch.Generator().manual_seed(0)
    moves = _RESTART_SPREAD * torch.randn(count, pairs.z.shape[1], generator=generator).to(pairs.z)
    origin = torch.arange(len(pairs.z), device=pairs.z.device).repeat_interleave(count)
    moved = pairs.z[origin] + moves.repeat(len(pairs.z), 1)
    return pairs[origin].at(clip_radius(moved, RADIUS)), origin


def smallest(values: Tensor, group: Tensor, groups: int) -> Tensor:
    """The smallest of the values (P,) of each group, inf where it has none."""
    return values.new_full((groups,), torch.inf).scatter_reduce_(0, group, values, "amin")


def _first_of(score: Tensor, key: Tensor) -> Tensor:
    """The position of the lowest score (P,) for each key (P,) that occurs."""
    order = score.argsort(stable=True)
    order = order[key[order].argsort(stable=True)]
    return order[torch.cat([order.new_ones(1), key[order].diff()]).bool()]
