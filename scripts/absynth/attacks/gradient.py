"""Attacks that follow the loss gradient: FGM, FGSM, BIM, MIM and DeepFool, each as a minimum-norm attack.

All but DeepFool climb log Σ_{c≠y} exp(l_c) − l_y. Its gradient is that of the cross entropy divided by 1 − p_y:
the same direction, without the rounding to zero where the model is sure. They use the direction only.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import eagerpy
import torch
from foolbox.attacks import (
    L2BasicIterativeAttack,
    L2DeepFoolAttack,
    LinfBasicIterativeAttack,
    LinfDeepFoolAttack,
    LinfMomentumIterativeFastGradientMethod,
)
from foolbox.attacks.gradient_descent_base import BaseGradientDescent, normalize_lp_norms
from foolbox.criteria import Misclassification
from torch import Tensor

from absynth.attacks.foolbox_bridge import FoolboxView, as_foolbox, isolate, run_minimization
from absynth.attacks.randomness import SampleRandom
from absynth.attacks.search import bisect_to_clean, first_success, search_epsilon
from absynth.attacks.target import Target


def misread_loss(logits: Tensor, y: Tensor) -> Tensor:
    """log Σ_{c≠y} exp(l_c) − l_y of logits (m, 10) with labels y (m,), summed over the images."""
    rivals = logits.scatter(1, y[:, None], -torch.inf)
    return (rivals.logsumexp(dim=1) - logits.gather(1, y[:, None]).squeeze(1)).sum()


class _PerImageEpsilon:
    """Foolbox's gradient descent with ε (m, 1, 1, 1), `misread_loss`, and a start handed to it.

    start (m, 1, 28, 28): a point of the unit ball, or None to start at the clean image
    """

    def __init__(self, start: Tensor | None, **options):
        super().__init__(random_start=start is not None, **options)
        self.start = start

    def get_random_start(self, x0: eagerpy.Tensor, epsilon: eagerpy.Tensor) -> eagerpy.Tensor:
        return x0 + epsilon * self.start

    def get_loss_fn(self, model, labels: eagerpy.Tensor):
        return lambda inputs: eagerpy.astensor(misread_loss(model(inputs).raw, labels.raw))


class L2Iterations(_PerImageEpsilon, L2BasicIterativeAttack):
    def project(self, x: eagerpy.Tensor, x0: eagerpy.Tensor, epsilon: eagerpy.Tensor) -> eagerpy.Tensor:
        return super().project(x, x0, epsilon.flatten())


class _LinfBall:
    def project(self, x: eagerpy.Tensor, x0: eagerpy.Tensor, epsilon: eagerpy.Tensor) -> eagerpy.Tensor:
        return x0 + eagerpy.minimum(eagerpy.maximum(x - x0, -epsilon), epsilon)


class LinfIterations(_LinfBall, _PerImageEpsilon, LinfBasicIterativeAttack):
    pass


class MomentumIterations(_LinfBall, _PerImageEpsilon, LinfMomentumIterativeFastGradientMethod):
    """g ← μ g + ∇/‖∇‖₁, x ← x + α sign(g): equations 6 and 7 of Dong et al. (2018)."""

    def normalize(self, gradients: eagerpy.Tensor, *, x, bounds) -> eagerpy.Tensor:
        return normalize_lp_norms(gradients, p=1)


def _ball_l2(random: SampleRandom, rows: Tensor) -> Tensor:
    direction = random.normal(rows, 784)
    radius = random.uniform(rows, 1) ** (1 / 784)
    return (radius * direction / direction.norm(dim=1, keepdim=True)).view(-1, 1, 28, 28)


def _ball_linf(random: SampleRandom, rows: Tensor) -> Tensor:
    return 2 * random.uniform(rows, 1, 28, 28) - 1


_UNIT_BALL = {"l2": _ball_l2, "linf": _ball_linf}


@dataclass(frozen=True)
class FastGradient:
    """One step along the gradient at the clean image, as far as needed; options as in `fgm`."""

    norm: str
    doublings: int
    per_doubling: int
    bisections: int
    refine_steps: int

    def __call__(self, target: Target, random: SampleRandom) -> None:
        direction = torch.zeros_like(target.x)  # length 1 in the norm; 0 where the gradient is, (n, 1, 28, 28)
        direction[target.rows] = self._direction(target)

        def attempt(target: Target, epsilon: Tensor) -> None:
            x, _ = target.active
            step = epsilon.to(x.dtype).view(-1, 1, 1, 1) * direction[target.rows]
            target.adversarial((x + step).clamp(0, 1))

        search_epsilon(
            target,
            attempt,
            doublings=self.doublings,
            per_doubling=self.per_doubling,
            bisections=self.bisections,
            length_is_epsilon=False,
        )
        bisect_to_clean(target, self.refine_steps)

    def _direction(self, target: Target) -> Tensor:
        x, y = target.active
        x = x.clone().requires_grad_()
        with torch.enable_grad():
            (gradient,) = torch.autograd.grad(misread_loss(FoolboxView(target)(x), y), x)
        if self.norm == "linf":
            return gradient.sign()
        gradient = gradient / gradient.flatten(1).abs().amax(dim=1).clamp_min(1e-30).view(-1, 1, 1, 1)
        return gradient / gradient.flatten(1).norm(dim=1).clamp_min(1e-12).view(-1, 1, 1, 1)


def fgm(
    norm: str, *, doublings: int = 8, per_doubling: int = 4, bisections: int = 10, refine_steps: int = 0
) -> FastGradient:
    """Fast Gradient Method, l2: x + ε ∇/‖∇‖₂, clipped to [0, 1] (Goodfellow et al. 2015).

    doublings, per_doubling, bisections: of the search over ε (`search_epsilon`); one query each
    refine_steps: queries of a final bisection to the clean image
    """
    return FastGradient(_one_of(norm, "l2"), doublings, per_doubling, bisections, refine_steps)


def fgsm(
    norm: str, *, doublings: int = 8, per_doubling: int = 4, bisections: int = 10, refine_steps: int = 0
) -> FastGradient:
    """Fast Gradient Sign Method, linf: x + ε sign(∇), clipped to [0, 1] (Goodfellow et al. 2015).

    Options as in `fgm`.
    """
    return FastGradient(_one_of(norm, "linf"), doublings, per_doubling, bisections, refine_steps)


@dataclass(frozen=True)
class IteratedGradient:
    """Projected gradient steps within ε, searched over ε; options as in `bim`."""

    norm: str
    kind: type[BaseGradientDescent]
    kind_options: dict
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
        start = random and _UNIT_BALL[self.norm](random, target.rows)
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
    kind = {"l2": L2Iterations, "linf": LinfIterations}[_one_of(norm, "l2", "linf")]
    return IteratedGradient(
        norm, kind, {"steps": steps}, tuple(step_sizes), restarts, doublings, bisections, refine_steps
    )


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
    options = {"steps": steps, "momentum": momentum}
    return IteratedGradient(
        _one_of(norm, "linf"), MomentumIterations, options, tuple(step_sizes), restarts,
        doublings, bisections, refine_steps,
    )  # fmt: skip


@dataclass(frozen=True)
class DeepFool:
    """Steps to the nearest linearised class boundary; options as in `deepfool`."""

    attack: L2DeepFoolAttack | LinfDeepFoolAttack
    refine_steps: int

    def __call__(self, target: Target, random: SampleRandom) -> None:
        isolate(target, lambda: run_minimization(target, self.attack))
        bisect_to_clean(target, self.refine_steps)


def deepfool(
    norm: str, *, steps: int = 50, candidates: int = 10, overshoot: float = 0.02, refine_steps: int = 10
) -> DeepFool:
    """DeepFool, l2 or linf (Moosavi-Dezfooli et al. 2016), as in Foolbox.

    Of its losses only the logits: differences of log-probabilities are the same differences.

    steps: largest number; candidates: likeliest classes it looks at, candidates − 1 gradients a step
    overshoot: relative, beyond each linearised boundary
    refine_steps: queries of a final bisection to the clean image, which takes the overshoot back
    """
    kind = {"l2": L2DeepFoolAttack, "linf": LinfDeepFoolAttack}[_one_of(norm, "l2", "linf")]
    return DeepFool(kind(steps=steps, candidates=candidates, overshoot=overshoot), refine_steps)


def _one_of(norm: str, *norms: str) -> str:
    if norm not in norms:
        raise ValueError(f"norm {norm!r}; {', '.join(norms)} allowed")
    return norm
