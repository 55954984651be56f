"""The certificate of ABS and Binary ABS: explanations are latents, and rivals are searched for.

For an image x of class y with an explanation (z_y, v = G_y(z_y)) the decision changes only where some rival
(c, z) explains x + δ no worse. The bound is the smallest such δ over all rival classes and latents; see
docs/derivations/certificates.md for what "all" assumes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from absynth.certificates.class_pair import Bound, ClassPair, Reconstruction, PaperBounds, minimal_perturbation
from absynth.certificates.paper import FORMULAS, Own, paper_bounds
from absynth.certificates.perturbations import Box, Flips, Perturbations
from absynth.certificates.search import Minima, Objective, Pairs, Search, descend, rivals_of
from absynth.certificates.settings import SearchSettings
from absynth.certificates.starts import best_of_halves, joint_ratio, nearest_samples
from absynth.errors import InputError
from absynth.models.abs.energy import Inferred, energies
from absynth.models.abs.model import ABS
from absynth.models.abs.prior import Prototypes

_FIT_TOLERANCE = 2e-4  # energy that a step must promise
_REFIT_STEPS = 4  # where a latent is known for a nearby image


class SearchedBounds:
    """Bounds for images (n, 1, 28, 28) that an ABS model gives the labels y (n,)."""

    def __init__(self, model: ABS, settings: SearchSettings):
        if not model.binary and model.gamma.unique().numel() > 1:
            raise InputError("gamma: classes scaled differently can be certified only for binarised input")
        self.model, self.settings, self.decoders = model, settings, model.decoders

    @torch.no_grad()
    def bound(self, x: Tensor, y: Tensor, norm: str) -> Bound:
        """The joint bound: the least over rival classes of the most that any of several own explanations demands.

        The first explains x best. The next ones explain images on the way to x + δ best, half of it, three
        quarters and so on, δ being what the bound so far allows: there the rival catches up first. Against these
        only classes within the share `margin` of the nearest are searched; the others demand what they did.
        """
        inferred, perturbations = self._inferred(x, y), self.perturbations(x, norm)
        rows = torch.arange(len(y), device=y.device)
        own, wanted = self.own_latents(x, y, inferred), rivals_of(y, self.decoders.n_classes)
        sides = [self._side(perturbations, own, y, inferred, wanted)]
        for turn in range(1, self.settings.own):
            pair = self._closest(sides, y)
            delta = minimal_perturbation(perturbations, rows, pair.own, pair.rival).delta
            own = self.fit(perturbations.seen + (1 - 0.5**turn) * delta, y, own[:, None], self.settings.steps)
            demand = _most([side.score.amin(dim=2) for side in sides])
            near = wanted & (demand <= (1 + self.settings.pruning_share) * demand.amin(dim=1, keepdim=True))
            sides.append(self._side(perturbations, own, y, inferred, near))
        sides = _restarted(sides)
        pair = self._closest(sides, y)
        found = minimal_perturbation(perturbations, rows, pair.own, pair.rival)
        low, high = _most([side.score for side in sides]).amin(dim=1).aminmax(dim=1)  # of the two halves
        return Bound(found.size, found.score, pair.label, torch.where(high > low, (high - low) / low, 0))

    @torch.no_grad()
    def class_pairs(self, x: Tensor, y: Tensor, norm: str, count: int) -> list[ClassPair]:
        """The `count` rival classes that need the smallest perturbations, nearest first."""
        inferred = self._inferred(x, y)
        own = self.own_latents(x, y, inferred)
        wanted = rivals_of(y, self.decoders.n_classes)
        (side,) = _restarted([self._side(self.perturbations(x, norm), own, y, inferred, wanted)])
        score, z = side.minima.of_class
        order = score.argsort(dim=1)[:, : min(count, self.decoders.n_classes - 1)]
        rows = torch.arange(len(y), device=y.device)
        return [self._class_pair(y, own, label, z[rows, label]) for label in order.T]

    @torch.no_grad()
    def refit(self, pair: ClassPair, y: Tensor, points: Tensor) -> ClassPair:
        """Both sides' explanations fitted to perturbed images (n, 784), as seen by the model."""
        own, rival = pair.latents.unbind(1)
        own = self.fit(points, y, own[:, None], _REFIT_STEPS)
        return self._class_pair(
            y, own, pair.label, self.fit(points, pair.label, rival[:, None], _REFIT_STEPS)
        )

    def paper(self, norm: str) -> Iterator[PaperBounds]:
        """For each seed of the prior samples, the model's own first, what computes the paper's bounds.

        The paper has none in l0. Of a binarised image it bounds the distance of binarised images, which says
        something in l2 only.
        """
        defined = ("l2",) if self.model.binary else FORMULAS
        n, first = len(self.model.prototypes.latents), self.model.prior_seed
        for seed in range(first, first + self.settings.seeds) if norm in defined else ():
            prototypes = self.model.prototypes if seed == first else Prototypes(self.decoders, n, seed)
            yield partial(self._paper, norm, prototypes)

    @torch.no_grad()
    def _paper(self, norm: str, prototypes: Prototypes, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        seen = self.model.preprocess(x)
        samples = nearest_samples(prototypes, seen, y, self.settings.starts)
        own = self.explain(self.fit(seen, y, samples, self.settings.steps), y)
        return paper_bounds(
            self.decoders,
            prototypes,
            norm,
            Own(seen, own.image, own.offset, own.factor),
            y,
            self.model.gamma,
            self.settings,
        )

    @torch.no_grad()
    def margin(self, points: Tensor, y: Tensor, clean: Tensor) -> Tensor:
        """Energy (n,) by which class y explains `points` better than any other, each inferred from many starts.

        Among them, for images near `clean` (n, 1, 28, 28), what explains those best.
        """
        inferred, seen, n_classes = self.model.infer(points), self.model.preprocess(points), self.decoders.n_classes
        own = self.own_latents(clean, y, self._inferred(clean, y))
        samples = [
            nearest_samples(self.model.prototypes, seen, torch.full_like(y, c), self.settings.starts)
            for c in range(n_classes)
        ]
        known = torch.stack([inferred.latents, own[:, None].expand(-1, n_classes, -1)], dim=2)
        starts = torch.cat([torch.stack(samples, dim=1), known], dim=2)  # (n, C, S, 8)

        def energy(pairs: Pairs, images: Tensor) -> tuple[Tensor, Tensor]:
            return self._explanation(pairs, images).energy(seen[pairs.sample]), seen[pairs.sample]

        every = torch.ones(len(y), n_classes, dtype=torch.bool, device=y.device)
        found = self._search(energy).best(starts, every).of_class[0]
        of_own = found.gather(1, y[:, None])[:, 0]
        return found.scatter(1, y[:, None], torch.inf).amin(dim=1) - of_own

    def perturbations(self, x: Tensor, norm: str) -> Perturbations:
        seen = self.model.preprocess(x)
        return Flips(norm, x.flatten(1), seen) if self.model.binary else Box(norm, seen)

    def _inferred(self, x: Tensor, y: Tensor) -> Inferred:
        """What fast inference finds for images that are read as y, their rivals searched: one more start each."""
        model = self.model
        return model.fast.infer(model.decoders, model.prototypes, model.preprocess(x), model.gamma, y)

    def own_latents(self, x: Tensor, y: Tensor, inferred: Inferred) -> Tensor:
        """The latents (n, 8) with which the images' own classes explain them best."""
        seen = self.model.preprocess(x)
        known = inferred.latents[torch.arange(len(y), device=y.device), y]
        samples = nearest_samples(self.model.prototypes, seen, y, self.settings.starts)
        return self.fit(seen, y, torch.cat([known[:, None], samples], dim=1), self.settings.steps)

    def fit(self, target: Tensor, label: Tensor, starts: Tensor, steps: int) -> Tensor:
        """The latents (n, 8) with which classes (n,) best explain targets (n, 784), as seen by the model.

        starts (n, S, 8)
        """

        def energy(pairs: Pairs, images: Tensor) -> tuple[Tensor, Tensor]:
            wanted = target[pairs.sample]
            return energies(images, wanted, pairs.z), wanted

        pairs, place = Pairs.of_label(starts, label)
        found, score = descend(self.decoders, energy, pairs, steps=steps, prior=1.0, tolerance=_FIT_TOLERANCE)
        best = score[place].view(starts.shape[:2]).argmin(dim=1)
        return found.z[place].view_as(starts)[torch.arange(len(best), device=best.device), best]

    def explain(self, z: Tensor, label: Tensor) -> Reconstruction:
        """Explanations by latents z (n, 8) of classes `label` (n,), in any order."""
        pairs, place = Pairs.of_label(z[:, None], label)
        return self._explanation(pairs, self.decoders(pairs.z, pairs.counts(self.decoders.n_classes)))[place]

    def _search(self, objective: Objective) -> Search:
        return Search(self.decoders, objective, self.settings, prior=1.0)

    def _side(
        self, perturbations: Perturbations, own: Tensor, y: Tensor, inferred: Inferred, wanted: Tensor
    ) -> "_Side":
        """For every image and rival class wanted (n, C) the latent that needs least against `own` (n, 8)."""
        explanation, prototypes = self.explain(own, y), self.model.prototypes
        search = self._search(self._objective(perturbations, explanation))
        starts = best_of_halves(
            prototypes,
            search.objective,
            joint_ratio(prototypes, perturbations.seen, explanation, self.model.gamma),
            wanted,
            screened=self.settings.screened,
            starts=self.settings.starts,
        )
        starts = torch.cat([starts, inferred.latents[:, :, None]], dim=2)
        return _Side(own, wanted, search, search.classes(starts, wanted))

    def _closest(self, sides: "list[_Side]", y: Tensor) -> ClassPair:
        """The own explanation and the rival that hold the bound of each image."""
        rows = torch.arange(len(y), device=y.device)
        scores = [side.score.amin(dim=2) for side in sides]  # (n, C) each
        label = _most(scores).argmin(dim=1)
        holder = torch.stack([score[rows, label] for score in scores]).argmax(dim=0)
        own = torch.stack([side.own for side in sides])[holder, rows]
        rival = torch.stack([side.minima.of_class[1] for side in sides])[holder, rows, label]
        return self._class_pair(y, own, label, rival)

    def _objective(self, perturbations: Perturbations, own: Reconstruction) -> Objective:
        def objective(pairs: Pairs, images: Tensor) -> tuple[Tensor, Tensor]:
            rival = self._explanation(pairs, images)
            found = minimal_perturbation(perturbations, pairs.sample, own[pairs.sample], rival)
            return found.score, perturbations.seen[pairs.sample] + found.delta

        return objective

    def _explanation(self, pairs: Pairs, images: Tensor) -> Reconstruction:
        return Reconstruction(images, 0.5 * pairs.z.square().sum(dim=1), self.model.gamma[pairs.label])

    def _class_pair(self, y: Tensor, own: Tensor, label: Tensor, rival: Tensor) -> ClassPair:
        latents = torch.stack([own, rival], dim=1)
        return ClassPair(self.explain(own, y), self.explain(rival, label), label, latents)


@dataclass(frozen=True)
class _Side:
    """The rivals of n images against one own explanation each: who was searched, how, and what they need.

    own (n, 8); wanted (n, C)
    """

    own: Tensor
    wanted: Tensor
    search: Search
    minima: Minima

    @property
    def score(self) -> Tensor:
        """What each class needs by each half of the starts: (n, C, HALVES), -inf where it was not searched."""
        return torch.where(self.wanted[:, :, None], self.minima.score, -torch.inf)


def _restarted(sides: list[_Side]) -> list[_Side]:
    """Sides hopped around what holds each half's bound, until all that hold it are hopped around.

    Hopping lowers scores only: the class that holds a bound keeps it, but another side may demand more of it.
    """
    sides = list(sides)
    label = _most([side.score for side in sides]).argmin(dim=1)  # (n, HALVES)
    done = [torch.zeros_like(label, dtype=torch.bool) for _ in sides]
    for _ in done:
        held = [side.score.take_along_dim(label[:, None], dim=1).squeeze(1) for side in sides]
        holder = torch.stack(held).argmax(dim=0)  # (n, HALVES)
        for turn, side in enumerate(sides):
            due = (holder == turn) & ~done[turn]
            done[turn] |= due
            sides[turn] = replace(side, minima=side.search.restart(side.minima, label, due))
    return sides


def _most(scores: Sequence[Tensor]) -> Tensor:
    """The largest of the sides' scores, (n, C, …) each.

    inf for the own class, which none asks; a class that no perturbation helps has the largest finite number.
    """
    most = torch.stack(list(scores)).amax(dim=0)
    return torch.where(most == -torch.inf, torch.inf, most.clamp(max=torch.finfo(most.dtype).max))
