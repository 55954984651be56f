"""AutoAttack's four attacks as they are known: within one fixed ε, and only on images that are not broken there.

Each looks for an adversarial within ε and leaves an image once it has one, FAB after each target class. An image that
the attacks it starts from have broken already is not attacked, so that a chain of them is AutoAttack's sequence
(Croce & Hein 2020, section 5).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from absynth.attacks.apgd import AutoPGD
from absynth.attacks.api import Attack, for_norm
from absynth.attacks.epsilon_search import first_success
from absynth.attacks.fab import FastAdaptiveBoundary
from absynth.attacks.linearised import likeliest_rivals, representable
from absynth.attacks.randomness import SampleRandom
from absynth.attacks.square import Square, draw_pattern, search_squares
from absynth.attacks.target import Target
from absynth.attacks.ties import STRETCHES
from absynth.errors import InputError

# How much less than ε attacks are given, so that the rounding of a stored image does not lead beyond ε; a thousandth
# of a small ε. Before that ε is divided by the first stretch of a nudge past the boundary (absynth.attacks.ties).
_INSIDE = 1e-6
_FAB = {"alpha_max": 0.1, "eta": 1.05, "beta": 0.9}  # AutoAttack's
_SHARE = 0.8  # p of Square in AutoAttack

Within = Callable[[Target, SampleRandom, float], None]  # attacks the active images within ε


@dataclass(frozen=True)
class AtEpsilon:
    """An attack within one ε, on those active images whose best adversarial is farther away."""

    epsilon: float
    attack: Within

    def __call__(self, target: Target, random: SampleRandom) -> None:
        with target.only(target.best_distance[target.rows] > self.epsilon):
            if len(target.rows):
                self.attack(target, random, self.epsilon)


def _inside(target: Target, epsilon: float) -> Tensor:
    """A little less than ε for each active image (m,) float64."""
    rows = target.rows
    less = epsilon / STRETCHES[0] - min(_INSIDE, epsilon / 1000)
    return torch.full((len(rows),), less, dtype=torch.float64, device=rows.device)


def _at(norm: str, epsilon: Mapping[str, float], attack: Within) -> Attack:
    for_norm(norm, l2=None, linf=None)
    if norm not in epsilon:
        raise InputError(f"epsilon: found none for norm {norm!r}")
    return AtEpsilon(epsilon[norm], attack)


def apgd_ce(norm: str, *, epsilon: Mapping[str, float], steps: int = 100, restarts: int = 1) -> Attack:
    """APGD on the cross entropy within ε, l2 or linf (APGD-CE of Croce & Hein 2020), as in `apgd` at one ε.

    epsilon: ε by norm; steps, restarts: as in `apgd`, each run from a random point, or the best adversarial known
    """
    return _at(norm, epsilon, _Ascents(AutoPGD(steps, 0, restarts, 0, 0, 0), entropy=True))


def apgd_t(
    norm: str, *, epsilon: Mapping[str, float], steps: int = 100, targets: int = 9, restarts: int = 1
) -> Attack:
    """APGD on the targeted DLR loss within ε, l2 or linf (APGD-T of Croce & Hein 2020), as in `apgd` at one ε.

    epsilon: ε by norm; steps, restarts: as in `apgd_ce`
    targets: the likeliest rivals of the clean image, one after another; all, where there are fewer
    """
    return _at(norm, epsilon, _Ascents(AutoPGD(steps, targets, restarts, 0, 0, 0), entropy=False))


@dataclass(frozen=True)
class _Ascents:
    pgd: AutoPGD
    entropy: bool

    def __call__(self, target: Target, random: SampleRandom, epsilon: float) -> None:
        attempts = self.pgd.attempts(target, random, entropy=self.entropy)
        first_success(target, attempts, _inside(target, epsilon))


def fab_t(norm: str, *, epsilon: Mapping[str, float], steps: int = 100, targets: int = 9) -> Attack:
    """Targeted FAB, l2 or linf (FAB-T of Croce & Hein 2020), as in `fab`, for one target class after another.

    It ends after a class with which there is an adversarial within ε. What it finds beyond ε is recorded as well.

    epsilon: ε by norm; steps: for each target class, with a gradient and one more query each
    targets: as in `apgd_t`
    """
    return _at(norm, epsilon, _Approaches(FastAdaptiveBoundary(steps, targets, 1, **_FAB, refine_steps=0)))


@dataclass(frozen=True)
class _Approaches:
    fab: FastAdaptiveBoundary

    def __call__(self, target: Target, random: SampleRandom, epsilon: float) -> None:
        _, rivals = likeliest_rivals(target, self.fab.targets)  # (targets, n)
        for rival in rivals:
            with target.only(target.best_distance[target.rows] > epsilon):
                if len(target.rows):
                    start = target.active[0].flatten(1).double()
                    self.fab.approach(target, representable(start, target), rival[target.rows])


def square_at_epsilon(norm: str, *, epsilon: Mapping[str, float], queries: int = 5000) -> Attack:
    """Square attack within one ε, l2 or linf (Andriushchenko et al. 2020), as in `square` without shrinking ε.

    epsilon: ε by norm; queries: as in `square`
    """
    return _at(norm, epsilon, _Squares(Square(queries, _SHARE, shrink=1.0)))


@dataclass(frozen=True)
class _Squares:
    search: Square

    def __call__(self, target: Target, random: SampleRandom, epsilon: float) -> None:
        start = target.active[0] + epsilon * draw_pattern(target, random)
        search_squares(target, random, self.search, start, _inside(target, epsilon))
