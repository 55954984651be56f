"""The Fast Adaptive Boundary attack, towards one rival class at a time (FAB-T)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from absynth.attacks.api import for_norm
from absynth.attacks.halfspace import nearest_point
from absynth.attacks.line_search import bisect_to_clean
from absynth.attacks.linearised import ask_linearised, likeliest_rivals, margin_to, representable
from absynth.attacks.randomness import SampleRandom
from absynth.attacks.target import Target
from absynth.norms import NORMS


@dataclass(frozen=True)
class FastAdaptiveBoundary:
    """Steps to the linearised boundary, biased towards the clean image; options as in `fab`."""

    steps: int
    targets: int
    restarts: int
    alpha_max: float
    eta: float
    beta: float
    refine_steps: int

    def __call__(self, target: Target, random: SampleRandom) -> None:
        _, rivals = likeliest_rivals(target, self.targets)  # (targets, n)
        for restart in range(self.restarts):
            for rival in rivals:
                x = target.active[0].flatten(1).double()
                start = _random_start(target, random) if restart else x
                self.approach(target, representable(start, target), rival[target.rows])
        bisect_to_clean(target, self.refine_steps)

    def approach(self, target: Target, point: Tensor, rival: Tensor) -> None:
        """Algorithm 1 of Croce & Hein (2020) from `point` (m, d) to the boundary of classes `rival` (m,)."""
        x, shape = target.active[0].flatten(1).double(), target.active[0].shape
        loss = margin_to(rival)
        for _ in range(self.steps):
            value, normal = ask_linearised(target, point, loss)
            bound = (normal * point).sum(dim=1) - value
            at_point = _to_hyperplane(point, normal, bound, target.norm)
            at_clean = _to_hyperplane(x, normal, bound, target.norm)
            alpha = self._share_of_clean(at_point - point, at_clean - x, target.norm)
            from_point = point + self.eta * (at_point - point)
            from_clean = x + self.eta * (at_clean - x)
            point = representable(torch.lerp(from_point, from_clean, alpha), target)
            fooled = target.adversarial(point.to(target.x.dtype).view(shape))[:, None]
            point = representable(torch.where(fooled, torch.lerp(x, point, self.beta), point), target)

    def _share_of_clean(self, moved: Tensor, moved_clean: Tensor, norm: str) -> Tensor:
        """The weight (m, 1) of the projection of the clean image against that of the point: α of algorithm 1."""
        length, clean = (NORMS[norm].measure(move)[:, None] for move in (moved, moved_clean))
        return (length / (length + clean).clamp_min(1e-12)).clamp_max(self.alpha_max)


def _to_hyperplane(point: Tensor, normal: Tensor, bound: Tensor, norm: str) -> Tensor:
    """The nearest point of [0, 1] to `point` (m, d) on the hyperplane normal · z = bound, or as close as it gets."""
    side = torch.where((normal * point).sum(dim=1) >= bound, 1.0, -1.0).to(point.dtype)
    low, high = torch.zeros_like(point), torch.ones_like(point)
    return nearest_point(point, side[:, None] * normal, side * bound, low, high, norm)[0]


def _random_start(target: Target, random: SampleRandom) -> Tensor:
    """A random point (m, d) at half the distance of the best adversarial, or of the largest there can be."""
    x = target.active[0].flatten(1).double()
    if target.norm == "l2":
        direction = random.normal(target.rows, x.shape[1]).double()
    else:
        direction = 2 * random.uniform(target.rows, x.shape[1]).double() - 1
    length = NORMS[target.norm].measure(direction).clamp_min(1e-12)
    radius = target.best_distance[target.rows].clamp_max(NORMS[target.norm].largest(target.x.shape[1:])) / 2
    return x + direction * (radius / length)[:, None]


def fab(
    norm: str,
    *,
    steps: int = 50,
    targets: int = 4,
    restarts: int = 1,
    alpha_max: float = 0.1,
    eta: float = 1.05,
    beta: float = 0.9,
    refine_steps: int = 10,
) -> FastAdaptiveBoundary:
    """Fast Adaptive Boundary attack, targeted, l2 or linf (Croce & Hein 2020; as FAB-T in AutoAttack).

    steps: for each target class and restart, with a gradient and one more query each
    targets: the likeliest rivals of the clean image, one after another
    restarts: the first from the clean image, others from random points at half the best distance
    alpha_max: largest weight of the clean image's projection against the point's
    eta: how far a step goes, relative to the projection; beta: how much of its distance an adversarial keeps
    refine_steps: queries of a final bisection to the clean image
    """
    for_norm(norm, l2=None, linf=None)
    return FastAdaptiveBoundary(steps, targets, restarts, alpha_max, eta, beta, refine_steps)
