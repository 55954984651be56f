"""Descent along the decision boundary, to the point of the linearised boundary that is nearest to the clean image."""

from dataclasses import dataclass

import torch
from torch import Tensor

from absynth.attacks.api import for_norm
from absynth.attacks.halfspace import nearest_point
from absynth.attacks.line_search import bisect_to_clean
from absynth.attacks.linearised import (
    Loss,
    ask_linearised,
    likeliest_rivals,
    margin_to,
    representable,
)
from absynth.attacks.margins import margin
from absynth.attacks.randomness import SampleRandom
from absynth.attacks.target import Target

_SHRINKAGE = 1 / 80  # of the trust region's radius, from the first step of a walk to its last
_SMOOTHING = 0.5  # the share of the former normals in a step's, which averages over the sides of a kink


@dataclass(frozen=True)
class BoundaryDescent:
    """Walks along the boundary, each from the best adversarial so far; options as in `boundary_descent`."""

    steps: int
    walks: int
    rivals: int
    noise: float
    radius: float
    overshoot: float
    refine_steps: int

    def __call__(self, target: Target, random: SampleRandom) -> None:
        _, rivals = likeliest_rivals(target, self.rivals)  # (rivals, n)
        for walk in range(self.walks):
            towards = walk - 1 if 0 < walk <= len(rivals) else None
            loss = margin if towards is None else margin_to(rivals[towards][target.rows])
            self._walk(target, self._start(target, random, keep=walk == 0), loss)
        bisect_to_clean(target, self.refine_steps)

    def _start(self, target: Target, random: SampleRandom, *, keep: bool) -> Tensor:
        """Where the next walk begins (m, d): at the best adversarials, moved by noise unless they are to be kept.

        An image without adversarial always begins at a noisy clean image.
        """
        known = target.best[target.rows].flatten(1).double()
        noisy = known + self.noise * random.normal(target.rows, known.shape[1]).double()
        kept = target.best_distance[target.rows].isfinite() & keep
        return representable(torch.where(kept[:, None], known, noisy), target)

    def _walk(self, target: Target, point: Tensor, loss: Loss) -> None:
        x = target.active[0].flatten(1).double()
        normal = torch.zeros_like(point)
        for step in range(self.steps):
            radius = self.radius * _SHRINKAGE ** (step / max(1, self.steps - 1))
            value, gradient = ask_linearised(target, point, loss)
            normal = gradient if step == 0 else torch.lerp(gradient, normal, _SMOOTHING)
            bound = (normal * point).sum(dim=1) - value
            beyond = value.abs() + radius * (normal * (point - x)).abs().sum(dim=1)
            center, low, high = _trust_region(x, point, radius, target.norm)
            point, _ = nearest_point(center, normal, bound - self.overshoot * beyond, low, high, target.norm)
            point = representable(point, target)
        target.adversarial(point.to(target.x.dtype).view_as(target.active[0]))


def _trust_region(x: Tensor, point: Tensor, radius: float, norm: str) -> tuple[Tensor, Tensor, Tensor]:
    """What a step from `point` (m, d) is nearest to, and the box it stays in, (m, d) each.

    l2: nearest to a point that lies a share `radius` of the way to x: ‖z − x‖² is minimised plus (1/radius − 1)
        ‖z − point‖², a trust region whose multiplier is given. linf: nearest to x, and no pixel moves by more than
        that share of the distance.
    """
    if norm == "l2":
        return torch.lerp(point, x, radius), torch.zeros_like(x), torch.ones_like(x)
    reach = radius * (point - x).abs().amax(dim=1, keepdim=True)
    return x, (point - reach).clamp_min(0), (point + reach).clamp_max(1)


def boundary_descent(
    norm: str,
    *,
    steps: int = 50,
    walks: int = 10,
    rivals: int = 3,
    noise: float = 0.25,
    radius: float = 0.8,
    overshoot: float = 0.1,
    refine_steps: int = 10,
) -> BoundaryDescent:
    """Walks along the decision boundary by exact steps to its linearisation, l2 or linf.

    Each step asks for the margin and its gradient, and goes to the point of the box [0, 1] that is nearest to the
    clean image, within a trust region around the current point, beyond the linearised boundary (`nearest_point`): the
    trust region of Brendel et al. (2019) with the projection of Croce & Hein (2020, FAB). Steps are taken whether or
    not they succeed: a walk that waits for success stalls at the first kink of the boundary. The first walk begins at
    the best adversarial known, or else at the noisy clean image; later ones at the best adversarial, moved by noise.
    The boundary is that of all other classes, but in walks 2 to 1 + rivals that of one rival each: where the first
    walk led to a class that is not the nearest, one of these does. See docs/derivations/boundary-descent.md.

    steps: gradients of one walk; walks: how many
    rivals: the likeliest rivals of the clean image that have a walk of their own, if there are as many walks
    noise: standard deviation of the Gaussian that moves each pixel at the beginning of a walk
    radius: of the trust region at the first step of a walk, as a share of the distance to the clean image
        (`_trust_region`); it falls geometrically
    overshoot: how far beyond the linearised boundary a step aims, relative to how much the margin would change by the
        radius, plus what is left of the margin
    refine_steps: queries of a final bisection to the clean image
    """
    for_norm(norm, l2=None, linf=None)
    return BoundaryDescent(steps, walks, rivals, noise, radius, overshoot, refine_steps)
