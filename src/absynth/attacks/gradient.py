"""Attacks that follow the loss gradient: FGM, FGSM, BIM, MIM and DeepFool, each as a minimum-norm attack.

All but DeepFool ascend log Σ_{c≠y} exp(l_c) − l_y, whose gradient is that of the cross entropy over 1 − p_y:
the same direction, and they use no more, but not rounded to zero where the confidence is high. The logits l are
scaled for each image (`FoolboxView`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import eagerpy
import torch
from foolbox.attacks.deepfool import L2DeepFoolAttack, LinfDeepFoolAttack
from foolbox.attacks.gradient_descent_base import BaseGradientDescent
from foolbox.criteria import Misclassification
from torch import Tensor

from absynth.attacks.api import for_norm
from absynth.attacks.descent import (
    UNIT_BALL,
    L2Iterations,
    LinfIterations,
    MomentumIterations,
    misclassification_loss,
)
from absynth.attacks.epsilon_search import first_success, search_epsilon
from absynth.attacks.foolbox.bridge import FoolboxMinimization, as_foolbox
from absynth.attacks.foolbox.view import FoolboxView
from absynth.attacks.line_search import bisect_to_clean, search_line
from absynth.attacks.randomness import SampleRandom
from absynth.attacks.target import Target


@dataclass(frozen=True)
class FastGradient:
    """One step along the gradient at the clean image, as far as needed; options as in `fgm`."""

    doublings: int
    per_doubling: int
    bisections: int

    def __call__(self, target: Target, random: SampleRandom) -> None:
        search_line(
            target,
            steepest_direction(target),
            doublings=self.doublings,
            per_doubling=self.per_doubling,
            bisections=self.bisections,
        )


def steepest_direction(target: Target) -> Tensor:
    """The direction (m, c, h, w) of length 1, in the target's norm, in which the loss rises fastest
    from each active image; 0 where the gradient is 0."""
    x, y = target.active
    x = x.clone().requires_grad_()
    with torch.enable_grad():
        (gradient,) = torch.autograd.grad(misclassification_loss(FoolboxView(target)(x), y), x)
    return steepest(gradient, target.norm)


def steepest(gradient: Tensor, norm: str) -> Tensor:
    """The direction of length 1 in the norm of steepest ascent by a gradient (m, c, h, w); 0 where that is 0."""
    return _STEEPEST[norm](gradient.flatten(1)).view_as(gradient)


def _along_gradient(gradient: Tensor) -> Tensor:
    gradient = gradient / gradient.abs().amax(dim=1, keepdim=True).clamp_min(1e-30)  # squares stay normal
    return gradient / gradient.norm(dim=1, keepdim=True).clamp_min(1e-30)


_STEEPEST: dict[str, Callable[[Tensor], Tensor]] = {"l2": _along_gradient, "linf": torch.sign}


def fgm(norm: str, *, doublings: int = 8, per_doubling: int = 4, bisections: int = 10) -> FastGradient:
    """Fast Gradient Method, l2: x + ε ∇/‖∇‖₂, clipped to [0, 1] (Goodfellow et al. 2015).

    doublings, per_doubling: the coarse search grows ε to the largest distance in that many doublings, each of
        that many steps, up to its first success
    bisections: halvings of the step in which it succeeds; like the coarse search's, each is one query
    """
    return for_norm(norm, l2=FastGradient)(doublings, per_doubling, bisections)


def fgsm(norm: str, *, doublings: int = 8, per_doubling: int = 4, bisections: int = 10) -> FastGradient:
    """Fast Gradient Sign Method, linf: x + ε sign(∇), clipped to [0, 1] (Goodfellow et al. 2015).

    Options as in `fgm`.
    """
    return for_norm(norm, linf=FastGradient)(doublings, per_doubling, bisections)


@dataclass(frozen=True)
class IteratedGradient:
    """Projected gradient steps within ε, searched over ε; options as in `bim`."""

    kind: type[BaseGradientDescent]
    kind_options: Mapping[str, Any]
    step_sizes: tuple[float, ...]
    restarts: int
    doublings: int
    bisections: int
    refine_steps: int

    def __call__(self, target: Target, random: SampleRandom) -> None:
        attempts = [
            partial(self._iterate, step_size=step_size, random=random if restart else None)
            for restart in range(self.restarts)
            for step_size in self.step_sizes
        ]
        search_epsilon(
            target,
            lambda target, epsilon: first_success(target, attempts, epsilon),
            doublings=self.doublings,
            bisections=self.bisections,
        )
        bisect_to_clean(target, self.refine_steps)

    def _iterate(
        self, target: Target, epsilon: Tensor, *, step_size: float, random: SampleRandom | None
    ) -> None:
        x, y = target.active
        start = random and UNIT_BALL[target.norm](random, target.rows, x.shape[1:])
        attack = self.kind(start, rel_stepsize=step_size, **self.kind_options)
        epsilon = eagerpy.astensor(epsilon.to(x.dtype).view(-1, 1, 1, 1))
        target.adversarial(attack.run(as_foolbox(target), x, Misclassification(y), epsilon=epsilon))


def bim(
    norm: str,
    *,
    steps: int = 20,
    step_sizes: Sequence[float] = (0.1, 0.4),
    restarts: int = 1,
    doublings: int = 5,
    bisections: int = 8,
    refine_steps: int = 10,
) -> IteratedGradient:
    """Basic Iterative Method, projected gradient descent in l2 or linf (Kurakin et al. 2017).

    steps: gradients of one run
    step_sizes: each tried where those before it failed; relative to ε
    restarts: runs for each step size, the first from the clean image, others from random points of the ball
    doublings, bisections: of the search over ε (`search_epsilon`); up to restarts · len(step_sizes) runs each
    refine_steps: queries of a final bisection to the clean image
    """
    kind = for_norm(norm, l2=L2Iterations, linf=LinfIterations)
    options = {"steps": steps}
    return IteratedGradient(kind, options, tuple(step_sizes), restarts, doublings, bisections, refine_steps)


def mim(
    norm: str,
    *,
    steps: int = 20,
    step_sizes: Sequence[float] = (0.1, 0.4),
    momentum: float = 1.0,
    restarts: int = 1,
    doublings: int = 5,
    bisections: int = 8,
    refine_steps: int = 10,
) -> IteratedGradient:
    """Momentum Iterative Method, linf (Dong et al. 2018); momentum: μ. Other options as in `bim`."""
    kind = for_norm(norm, linf=MomentumIterations)
    options = {"steps": steps, "momentum": momentum}
    return IteratedGradient(kind, options, tuple(step_sizes), restarts, doublings, bisections, refine_steps)


def deepfool(
    norm: str, *, steps: int = 50, candidates: int = 10, overshoot: float = 0.02, refine_steps: int = 10
) -> FoolboxMinimization:
    """DeepFool, l2 or linf (Moosavi-Dezfooli et al. 2016), as in Foolbox.

    Of its losses only the logits: differences of log-probabilities are the same differences.

    steps: largest number; candidates: likeliest classes it looks at, candidates − 1 gradients a step
    overshoot: relative, beyond each linearised boundary
    refine_steps: queries of a final bisection to the clean image, which takes the overshoot back
    """
    kind = for_norm(norm, l2=L2DeepFoolAttack, linf=LinfDeepFoolAttack)
    attack = kind(steps=steps, candidates=candidates, overshoot=overshoot)
    return FoolboxMinimization(attack, refine_steps)
