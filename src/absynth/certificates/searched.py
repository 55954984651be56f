"""Lower bounds for ABS and Binary ABS: rival reconstructions are decoded latents, which are searched for.

For an image x of class y with the reconstruction v = G_y(z_y), the decision changes only where some rival class c
has a latent z whose energy at x + δ is no higher. The bound is the smallest such δ over all rival classes and
latents. It is a lower bound as far as the search finds the minimum: see docs/derivations/certificates.md.
"""

from collections.abc import Iterator, Sequence
from functools import partial

import torch
from torch import Tensor

from absynth.certificates.class_pair import (
    Bound,
    ClassPair,
    PaperBounds,
    Reconstruction,
    minimal_perturbation,
)
from absynth.certificates.minimal_perturbation import MinimalPerturbation
from absynth.certificates.own_mixtures import OwnMixtures, likeliest
from absynth.certificates.pairs import Objective, Pairs, rivals_of
from absynth.certificates.paper import FORMULAS, Own, paper_bounds
from absynth.certificates.perturbations import Box, Flips, Perturbations
from absynth.certificates.reconstructor import Reconstructor
from absynth.certificates.rivals import RivalSearch, closest, largest, restarted
from absynth.certificates.search import Search
from absynth.certificates.settings import SearchSettings
from absynth.certificates.starts import best_of_halves, best_samples, joint_ratio
from absynth.errors import InputError
from absynth.models.abs.energy import Inferred
from absynth.models.abs.model import ABS
from absynth.models.abs.prior import Prototypes

_ON_THE_WAY = (0.5, 1)  # shares of the perturbation after which own reconstructions are fitted
_GAIN = 1e-3  # relative, by which a mixture must promise a larger bound to be searched against
_REFIT_STEPS = 4  # where a latent is known for a nearby image


class SearchedBounds:
    """Lower bounds for images (n, 1, 28, 28) that an ABS model classifies as y (n,)."""

    def __init__(self, model: ABS, settings: SearchSettings):
        if not model.binary and model.gamma.unique().numel() > 1:
            raise InputError("gamma: classes scaled differently have lower bounds only for binarised input")
        self.model, self.settings, self.decoders = model, settings, model.decoders
        self.reconstructor = Reconstructor(model, settings)

    @torch.no_grad()
    def bound(self, x: Tensor, y: Tensor, norm: str) -> Bound:
        """The joint bound: the minimum over rival classes of the maximum over several own reconstructions.

        The first own reconstruction is the best one of x. The next ones are mixtures of it and of the best ones of
        images on the way to x + δ, where the rival is closest to winning, δ being the perturbation that the bound so
        far allows: each time the mixture against which the rivals found so far need most. Against these only classes
        within the share `pruning_share` of the smallest score are searched; the others keep their scores.
        """
        perturbations, rivals = self.perturbations(x, norm), rivals_of(y, self.decoders.n_classes)
        inferred = self.reconstructor.infer(x, y)
        latents = [self.reconstructor.own_latents(x, y, inferred)]
        own, wanted = self.reconstructor.decode(latents[0], y), rivals
        mixtures = OwnMixtures(perturbations)
        mixtures.add(own)
        searches: list[RivalSearch] = []
        for turn in range(self.settings.own):
            if turn:
                for label, z, counts in likeliest(searches[-1].minima, wanted):
                    mixtures.face(self.reconstructor.decode(z, label), counts)
                _, bound = self._attained(perturbations, searches)
                for share in _ON_THE_WAY:
                    target = perturbations.preprocessed + share * bound.delta
                    starts = torch.stack([latents[0], latents[-1]], dim=1)
                    latents.append(self.reconstructor.fit(target, y, starts, self.settings.steps))
                    mixtures.add(self.reconstructor.decode(latents[-1], y))
                own, reached = mixtures.best()
                needed = largest([search.score.amin(dim=2) for search in searches])  # (n, C)
                limit = (1 + self.settings.pruning_share) * needed.amin(dim=1, keepdim=True)
                wanted = rivals & (needed <= limit) & (reached > (1 + _GAIN) * bound.score)[:, None]
                if not wanted.any():
                    break
            searches.append(self._search_rivals(perturbations, own, y, inferred, wanted, searches[-1:]))
        searches = restarted(searches)
        rival, found = self._attained(perturbations, searches)
        low, high = largest([search.score for search in searches]).amin(dim=1).aminmax(dim=1)  # of the halves
        return Bound(found.size, found.score, rival, torch.where(high > low, (high - low) / low, 0))

    def minimisers(self, x: Tensor, y: Tensor, norm: str) -> Tensor | None:
        """They are not known: a search found the bound's latents, and the attack goes on from there."""
        return None

    @torch.no_grad()
    def class_pairs(self, x: Tensor, y: Tensor, norm: str, count: int) -> list[ClassPair]:
        """The `count` rival classes that need the smallest perturbations, that of the smallest first."""
        inferred = self.reconstructor.infer(x, y)
        own = self.reconstructor.own_latents(x, y, inferred)
        wanted = rivals_of(y, self.decoders.n_classes)
        reconstruction = self.reconstructor.decode(own, y)
        search = self._search_rivals(self.perturbations(x, norm), reconstruction, y, inferred, wanted)
        (found,) = restarted([search])
        score, z = found.minima.of_class
        order = score.argsort(dim=1)[:, : min(count, self.decoders.n_classes - 1)]
        rows = torch.arange(len(y), device=y.device)
        return [self._class_pair(y, label, own, z[rows, label]) for label in order.T]

    @torch.no_grad()
    def refit(self, pair: ClassPair, y: Tensor, points: Tensor) -> ClassPair:
        """Both reconstructions fitted to perturbed, preprocessed images (n, 784)."""
        if pair.latents is None:
            raise ValueError("refit needs the latents of the pair")
        own, rival = pair.latents.unbind(1)
        own = self.reconstructor.fit(points, y, own[:, None], _REFIT_STEPS)
        rival = self.reconstructor.fit(points, pair.label, rival[:, None], _REFIT_STEPS)
        return self._class_pair(y, pair.label, own, rival)

    def paper_bounds(self, norm: str) -> Iterator[PaperBounds]:
        """For each seed of the prior samples, the model's own first, the function that computes the paper's bounds.

        The paper has none in l0. For a binarised image its formulas bound the distance between binarised images,
        which is meaningful in l2 only.
        """
        defined = ("l2",) if self.model.binary else FORMULAS
        n, first = len(self.model.prototypes.latents), self.model.prior_seed
        for seed in range(first, first + self.settings.seeds) if norm in defined else ():
            prototypes = self.model.prototypes if seed == first else Prototypes(self.decoders, n, seed)
            yield partial(self._paper_bounds, norm, prototypes)

    @torch.no_grad()
    def _paper_bounds(self, norm: str, prototypes: Prototypes, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        preprocessed = self.model.preprocess(x)
        samples = best_samples(prototypes, preprocessed, y, self.settings.starts)
        z = self.reconstructor.fit(preprocessed, y, samples, self.settings.steps)
        v = self.reconstructor.decode(z, y)
        own = Own(preprocessed, v.image, v.offset, v.factor)
        return paper_bounds(self.decoders, prototypes, norm, own, y, self.model.gamma, self.settings)

    @torch.no_grad()
    def margin(self, points: Tensor, y: Tensor, clean: Tensor) -> Tensor:
        """How much lower (n,) the energy of class y is at `points` than that of any other, searched from many starts.

        Among the starts are, for images near `clean` (n, 1, 28, 28), the latents of `clean` under class y.
        """
        inferred, preprocessed = self.model.infer(points), self.model.preprocess(points)
        n_classes = self.decoders.n_classes
        own = self.reconstructor.own_latents(clean, y, self.reconstructor.infer(clean, y))
        samples = [
            best_samples(self.model.prototypes, preprocessed, torch.full_like(y, c), self.settings.starts)
            for c in range(n_classes)
        ]
        known = torch.stack([inferred.latents, own[:, None].expand(-1, n_classes, -1)], dim=2)
        starts = torch.cat([torch.stack(samples, dim=1), known], dim=2)  # (n, C, S, 8)

        def energy(pairs: Pairs, images: Tensor) -> tuple[Tensor, Tensor]:
            target = preprocessed[pairs.sample]
            return self.reconstructor.of_pairs(pairs, images).energy(target), target

        every = torch.ones(len(y), n_classes, dtype=torch.bool, device=y.device)
        found, _ = self._search(energy).minimize_and_restart(starts, every).of_class
        of_own = found.gather(1, y[:, None])[:, 0]
        return found.scatter(1, y[:, None], torch.inf).amin(dim=1) - of_own

    def perturbations(self, x: Tensor, norm: str) -> Perturbations:
        """The perturbations that `minimal_perturbation` chooses from."""
        preprocessed = self.model.preprocess(x)
        return Flips(norm, x.flatten(1), preprocessed) if self.model.binary else Box(norm, preprocessed)

    def _search(self, objective: Objective) -> Search:
        return Search(self.decoders, objective, self.settings, prior=1.0)

    def _search_rivals(
        self,
        perturbations: Perturbations,
        own: Reconstruction,
        y: Tensor,
        inferred: Inferred,
        wanted: Tensor,
        known: Sequence[RivalSearch] = (),
    ) -> RivalSearch:
        """For every image and rival class wanted (n, C) the latent that needs least against `own`, one of each image.

        Among the starts are the latents inferred, and those that searches `known` ended at.
        """
        prototypes, search = self.model.prototypes, self._search(self._needed(perturbations, own))
        starts = best_of_halves(
            prototypes,
            search.objective,
            joint_ratio(prototypes, perturbations.preprocessed, own, self.model.gamma),
            wanted,
            screened=self.settings.screened,
            starts=self.settings.starts,
        )
        # Each search's two latents go to the halves that they come from.
        ends = [one.minima.z for one in known]
        starts = torch.cat([starts, *ends, inferred.latents[:, :, None]], dim=2)
        return RivalSearch(own, wanted, search, search.minimize(starts, wanted))

    def _attained(
        self, perturbations: Perturbations, searches: Sequence[RivalSearch]
    ) -> tuple[Tensor, MinimalPerturbation]:
        """The rival class (n,) that determines the bound of each image, and the perturbation that it needs."""
        label, own, z = closest(searches)
        rows = torch.arange(len(label), device=label.device)
        return label, minimal_perturbation(perturbations, rows, own, self.reconstructor.decode(z, label))

    def _needed(self, perturbations: Perturbations, own: Reconstruction) -> Objective:
        """The objective: the size of the perturbation that a rival needs, and the image perturbed by it."""

        def objective(pairs: Pairs, images: Tensor) -> tuple[Tensor, Tensor]:
            rival = self.reconstructor.of_pairs(pairs, images)
            found = minimal_perturbation(perturbations, pairs.sample, own[pairs.sample], rival)
            return found.score, perturbations.preprocessed[pairs.sample] + found.delta

        return objective

    def _class_pair(self, y: Tensor, label: Tensor, own: Tensor, rival: Tensor) -> ClassPair:
        """From the latents (n, 8) of class y and of the rival class `label`."""
        decode = self.reconstructor.decode
        return ClassPair(decode(own, y), decode(rival, label), label, torch.stack([own, rival], dim=1))
