"""Search over latents: damped Gauss–Newton steps on many pairs of an image and a class at once.

Every quantity minimised here has, to first order, the gradient of an energy at a shifted image: where a
perturbation δ is all that helps the rival, the latent that needs less is one that explains x + δ better. So
a step fits the decoder's image to the target x + δ, and δ is worked out anew after each step.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from absynth.certificates.settings import Settings
from absynth.inference.decoders import Decoders
from absynth.inference.prior import clip_radius
from absynth.inference.reference import RADIUS

_TOLERANCE = 0.002  # energy that a step must promise; margins between classes are some tens
_HOP = 0.6  # standard deviation of a hop; latents of one digit differ by some 1
HALVES = 2  # disjoint halves of the prior samples, whose results are compared
_SLOWER, _FASTER = 8.0, 0.3  # factors of the damping after a step that failed, and after one that helped


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


def descend(
    decoders: Decoders, objective: Objective, pairs: Pairs, *, steps: int, prior: float, tolerance: float
) -> tuple[Pairs, Tensor]:
    """Lower the score of every pair by `steps` damped Gauss–Newton steps on ‖G(z) - target‖² + prior ½‖z‖².

    Only steps that lower the score are taken, and latents stay within the model's radius. A pair is done when a
    step promises to lower that energy by less than `tolerance`.

    Returns the pairs and their scores (P,)
    """
    z = pairs.z.clone()
    if not len(z):
        return pairs, z.new_empty(0)
    score, target = objective(pairs, decoders(z, pairs.counts(decoders.n_classes)))
    damping = torch.full_like(score, 0.01)
    active = score.isfinite() & (score > 0)
    for _ in range(steps):
        rows = active.nonzero().squeeze(1)
        if not len(rows):
            break
        chosen = pairs[rows].at(z[rows])
        proposal, promise = _propose(decoders, chosen, target[rows], damping[rows], prior)
        proposed = decoders(proposal, chosen.counts(decoders.n_classes))
        new_score, new_target = objective(chosen.at(proposal), proposed)
        better = new_score < score[rows]
        kept = rows[better]
        z[kept], score[kept], target[kept] = proposal[better], new_score[better], new_target[better]
        damping[rows] *= torch.where(better, _FASTER, _SLOWER)
        active[rows] = (promise > tolerance) & (score[rows] > 0)
    return pairs.at(z), score


def _propose(
    decoders: Decoders, pairs: Pairs, target: Tensor, damping: Tensor, prior: float
) -> tuple[Tensor, Tensor]:
    """The next latents (P, 8), and the decrease of the energy that each step promises (P,)."""
    z = pairs.z
    image, jacobian = decoders.with_jacobian(z, pairs.counts(decoders.n_classes))  # (P, 784), (P, 8, 784)
    gradient = 2 * (jacobian @ (image - target)[:, :, None]).squeeze(2) + prior * z
    identity = torch.eye(z.shape[1], device=z.device, dtype=z.dtype)
    hessian = 2 * jacobian @ jacobian.mT + max(prior, 1e-3) * identity
    damped = hessian + torch.diag_embed(damping[:, None] * hessian.diagonal(dim1=1, dim2=2))
    move = torch.linalg.solve(damped, -gradient)
    curvature = (move * (hessian @ move[:, :, None]).squeeze(2)).sum(dim=1)
    return clip_radius(z + move, RADIUS), -(gradient * move).sum(dim=1) - 0.5 * curvature


@dataclass(frozen=True)
class Minima:
    """For each of n images and C classes the latent of the lowest score found.

    score (n, C): inf where the class was not searched; z (n, C, 8)
    halves (n, HALVES): the lowest score over all classes from each half of the starts; what they differ by is the
        evidence for having found the global minimum
    """

    score: Tensor
    z: Tensor
    halves: Tensor

    @property
    def label(self) -> Tensor:
        """The class (n,) of the lowest score."""
        return self.score.argmin(dim=1)

    @property
    def latent(self) -> Tensor:
        """Its latent (n, 8)."""
        return self.z[torch.arange(len(self.z), device=self.z.device), self.label]

    @property
    def disagreement(self) -> Tensor:
        """Difference of the two halves' scores relative to the smaller (n,): 0 where both are 0."""
        low, high = self.halves.amin(dim=1), self.halves.amax(dim=1)
        return torch.where(high > low, (high - low) / low, 0)


def search_classes(
    decoders: Decoders,
    objective: Objective,
    starts: Tensor,
    wanted: Tensor,
    settings: Settings,
    *,
    prior: float,
) -> Minima:
    """Descend from starts (n, C, T, 8), which belong to the halves by turns, where wanted (n, C).

    After `first_steps` only those within the share `margin` of their image's and half's best go on, for `steps`.
    In l0 and linf the best has many small minima around it: so each half ends with `hops` from its best.
    """
    n, c, t = starts.shape[:3]
    pairs = Pairs.grid(starts, wanted)
    half = torch.arange(t, device=starts.device).repeat(len(pairs.sample) // t) % HALVES
    group = pairs.sample * HALVES + half
    options = {"prior": prior, "tolerance": _TOLERANCE}
    pairs, score = descend(decoders, objective, pairs, steps=settings.first_steps, **options)
    bar = (1 + settings.margin) * _smallest(score, group, n * HALVES)
    going = (score <= bar[group]).nonzero().squeeze(1)
    ended, lower = descend(decoders, objective, pairs[going], steps=settings.steps, **options)
    pairs, score = pairs.at(pairs.z.index_copy(0, going, ended.z)), score.index_copy(0, going, lower)

    best = _first_of(score, group)
    hops, origin = _around(pairs[best], settings.hops)
    hops, hopped = descend(decoders, objective, hops, steps=settings.steps, **options)
    sample, label, z = (
        torch.cat([getattr(p, name) for p in (pairs, hops)]) for name in ("sample", "label", "z")
    )
    score, group = torch.cat([score, hopped]), torch.cat([group, group[best][origin]])

    chosen = _first_of(score, sample * c + label)
    place = (sample[chosen], label[chosen])
    return Minima(
        score.new_full((n, c), torch.inf).index_put(place, score[chosen]),
        z.new_zeros(n, c, z.shape[1]).index_put(place, z[chosen]),
        _smallest(score, group, n * HALVES).view(n, HALVES),
    )


def _around(pairs: Pairs, count: int) -> tuple[Pairs, Tensor]:
    """`count` latents around each of Q pairs, the same displacements for all, and of which each is (Q · count,)."""
    generator = torch.Generator().manual_seed(0)
    moves = _HOP * torch.randn(count, pairs.z.shape[1], generator=generator).to(pairs.z)
    origin = torch.arange(len(pairs.z), device=pairs.z.device).repeat_interleave(count)
    origin = origin[pairs.label[origin].argsort(stable=True)]
    moved = pairs.z[origin] + moves.repeat(len(pairs.z), 1)
    return pairs[origin].at(clip_radius(moved, RADIUS)), origin


def _smallest(values: Tensor, group: Tensor, groups: int) -> Tensor:
    """The smallest of the values (P,) of each group, inf where it has none."""
    return values.new_full((groups,), torch.inf).scatter_reduce_(0, group, values, "amin")


def _first_of(score: Tensor, key: Tensor) -> Tensor:
    """The position of the lowest score (P,) for each key (P,) that occurs."""
    order = score.argsort(stable=True)
    order = order[key[order].argsort(stable=True)]
    return order[torch.cat([order.new_ones(1), key[order].diff()]).bool()]
