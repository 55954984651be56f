"""The attack of Brendel & Bethge: along the decision boundary, by gradients, in a shrinking trust region."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from absynth.attacks.api import for_norm
from absynth.attacks.line_search import Family, bisect_curve, bisect_to_clean
from absynth.attacks.linearised import ask_linearised, representable
from absynth.attacks.margins import margin
from absynth.attacks.noise import start_from_noise
from absynth.attacks.pixels import channels_of
from absynth.attacks.randomness import SampleRandom
from absynth.attacks.target import Target
from absynth.attacks.trust_region import Step, take_step

# As in the authors' implementation in Foolbox.
_OVERSHOOT = 0.1  # how much farther than the linearised boundary a step aims, relative to the margin
_MOMENTUM = 0.8  # the share of the former normals in a step's
_HALVINGS = 20  # of the trust region's radius, in regular intervals
_BISECTIONS = 10  # of the way from the clean image to the start


@dataclass(frozen=True)
class BrendelBethge:
    """Options as in `brendel_bethge`."""

    steps: int
    lr: float
    starts: int
    refine_steps: int

    def __call__(self, target: Target, random: SampleRandom) -> None:
        start_from_noise(target, random, self.starts)
        with target.only(target.best_distance[target.rows].isfinite()):
            if len(target.rows):
                self._walk(target, representable(_start(target), target))
        bisect_to_clean(target, self.refine_steps)

    def _walk(self, target: Target, point: Tensor) -> None:
        x = target.active[0].flatten(1).double()
        normal = torch.zeros_like(point)
        radius = torch.full_like(point[:, 0], self.lr * point.shape[1])
        interval = max(1, self.steps // _HALVINGS)
        for step in range(self.steps):
            value, gradient = ask_linearised(target, point, margin)
            normal = gradient if step == 0 else torch.lerp(gradient, normal, _MOMENTUM)
            if (step + 2) % interval == 0:
                radius = radius / 2
            beyond = (normal * point).sum(dim=1) - value - _OVERSHOOT * value.abs()
            point = take_step(Step(x, point, normal, beyond, radius, channels_of(target)), target.norm)
            point = representable(point, target)


def _start(target: Target) -> Tensor:
    """The first misclassified points (m, d) found on the curves from the clean images to the best adversarials."""
    clean, best = target.active[0].flatten(1), target.best[target.rows].flatten(1)
    curve = Family(_CURVES[target.norm], clean, (best[None],))
    low = clean.new_zeros(len(clean))
    share = bisect_curve(target, curve, low, torch.ones_like(low), bisections=_BISECTIONS)
    return curve.at(share[None])[0].double()


def _blend(share: Tensor, clean: Tensor, end: Tensor) -> Tensor:
    return torch.lerp(clean, end, share)


def _within(share: Tensor, clean: Tensor, end: Tensor) -> Tensor:
    """All changes, cut off at the share."""
    return clean + (end - clean).clamp(-share, share)


def _largest(share: Tensor, clean: Tensor, end: Tensor) -> Tensor:
    """The changes larger than 1 − share."""
    return torch.where((end - clean).abs() > 1 - share, end, clean)


_CURVES: dict[str, Callable[..., Tensor]] = {"l2": _blend, "linf": _within, "l0": _largest}


def brendel_bethge(
    norm: str, *, steps: int = 200, lr: float = 1e-2, starts: int = 10, refine_steps: int = 10
) -> BrendelBethge:
    """Brendel & Bethge (2019), l0, l2 or linf; starts from the best adversarial known, or else from noise.

    Each step asks for the margin and its gradient, and goes to the point of the linearised boundary that is nearest
    to the clean image within box and trust region (`take_step`). Normals are averaged over the steps, with weights
    that fall by a factor of 0.8; a step aims 10 % of the margin to the far side; the radius halves twenty times.
    The authors' implementation in Foolbox does the same with solvers of its own, but in l0 it counts values, not
    pixels, and takes the largest changes out of a start.

    steps: gradients; lr: first radius of the trust region, in units of the number of values (784 for 28x28)
    starts: salt-and-pepper noises tried for an image without adversarial, which is left out if all fail
    refine_steps: queries of a final bisection to the clean image; none in l0
    """
    for_norm(norm, l0=None, l2=None, linf=None)
    return BrendelBethge(steps, lr, starts, refine_steps)
