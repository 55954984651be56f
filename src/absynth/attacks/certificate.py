"""The certificate attack: what bounds the distance from below also says where to go.

The bound's minimiser is a reconstruction of the image x by a rival class, with the smallest perturbation δ of x for
which its energy falls to that of the label's reconstruction. At x + δ both classes may have reconstructions of lower
energy; refitted there, they call for another δ from x, and so on until δ no longer changes: then x + δ lies on the
decision boundary, at a point that is locally closest to x.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from absynth.attacks.api import for_norm
from absynth.attacks.line_search import bisect_to_clean
from absynth.attacks.randomness import SampleRandom
from absynth.attacks.target import Target
from absynth.certificates.class_pair import ClassPair, minimal_perturbation
from absynth.certificates.lower_bounds import LowerBounds, lower_bounds
from absynth.certificates.settings import SearchSettings

_SURPLUS = 0.02  # energy by which the rival shall win, at first and at least after a failure
_FURTHER = 0.001  # by which share a perturbation is longer than the bound's minimiser, at first
# Their factors after a query that is correctly classified, and after one that is misclassified.
_MORE, _LESS = 2.0, 0.5


@dataclass(frozen=True)
class CertificateAttack:
    """Options as in `certificate_attack`."""

    class_pairs: int
    steps: int
    settings: SearchSettings
    refine_steps: int

    def __call__(self, target: Target, random: SampleRandom) -> None:
        method = lower_bounds(target.model, self.settings)
        positions = torch.arange(len(target.rows), device=target.rows.device)
        for part in positions.split(self.settings.batch_size):
            with target.only(part):
                self._overshoot(target, method)
                for pair in method.class_pairs(*target.active, target.norm, self.class_pairs):
                    self._pursue(target, method, pair)
        bisect_to_clean(target, self.refine_steps)

    def _overshoot(self, target: Target, method: LowerBounds) -> None:
        """Where the bound's minimiser is known, go a little further in its direction, by less and less."""
        x, y = target.active
        delta = method.minimisers(x, y, target.norm)
        if delta is None:
            return
        if target.norm == "l0":
            self._change_pixels(target, method, delta)
            return
        further = delta.new_full((len(x), 1), _FURTHER)
        for _ in range(self.steps):
            images = (x.flatten(1) + (1 + further) * delta).clamp(0, 1)
            misclassified = target.adversarial(images.view_as(x))[:, None]
            further = torch.where(misclassified, _LESS * further, _MORE * further)

    def _change_pixels(self, target: Target, method: LowerBounds, delta: Tensor) -> None:
        """In l0: change pixels as the bound's minimiser does, and where that is not enough, all the way."""
        x, _ = target.active
        images = (x.flatten(1) + delta).clamp(0, 1)
        missed = ~target.adversarial(images.view_as(x))
        if missed.any():
            rows = missed.nonzero().squeeze(1)
            images = method.perturbations(x, target.norm).apply(rows, delta[rows])
            with target.only(rows):
                target.adversarial(images.view(len(rows), *x.shape[1:]))

    def _pursue(self, target: Target, method: LowerBounds, pair: ClassPair) -> None:
        """Follow one rival of each active image."""
        x, y = target.active
        perturbations = method.perturbations(x, target.norm)
        rows = torch.arange(len(x), device=x.device)
        surplus = torch.full_like(pair.own.offset, _SURPLUS)
        for _ in range(self.steps):
            delta = minimal_perturbation(perturbations, rows, pair.own, pair.rival, surplus).delta
            images = perturbations.apply(rows, delta)
            misclassified = target.adversarial(images.view_as(x))
            surplus = torch.where(misclassified, _LESS * surplus, (_MORE * surplus).clamp_min(_SURPLUS))
            pair = method.refit(pair, y, perturbations.preprocess(images))


def certificate_attack(
    norm: str,
    *,
    class_pairs: int = 3,
    steps: int = 30,
    starts: int = 2,
    refine_steps: int = 10,
    mixtures: int = 0,
) -> CertificateAttack:
    """The certificate attack, l2, linf or l0; for models with lower bounds.

    class_pairs: rival classes pursued, those of the smallest bounds first
    steps: queries for each; between them reconstructions are refitted, which counts as no query
    starts: prior samples a half from which the bound's minimiser is searched (see docs/reference/config.md)
    refine_steps: queries of a final bisection to the clean image; none in l0
    mixtures: nearest neighbour and prototype ABS: how many images of the label the bound may combine; if any, its
        minimiser comes first, with `steps` queries: it lies on the boundary where no more are needed
    """
    for_norm(norm, l2=None, linf=None, l0=None)
    settings = SearchSettings(starts=starts, own=1, mixtures=mixtures)
    return CertificateAttack(class_pairs, steps, settings, refine_steps)
