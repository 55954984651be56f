"""Foolbox's projected gradient descent with an ε of each image's own, and random starts handed to it."""

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import eagerpy
import torch
from foolbox.attacks.basic_iterative_method import L2BasicIterativeAttack, LinfBasicIterativeAttack
from foolbox.attacks.gradient_descent_base import BaseGradientDescent, normalize_lp_norms
from foolbox.attacks.mi_fgsm import LinfMomentumIterativeFastGradientMethod
from torch import Tensor

from absynth.attacks.randomness import SampleRandom


def misclassification_loss(logits: Tensor, y: Tensor) -> Tensor:
    """log Σ_{c≠y} exp(l_c) − l_y of logits (m, K) with labels y (m,), summed over the images."""
    rivals = logits.scatter(1, y[:, None], -torch.inf)
    return (rivals.logsumexp(dim=1) - logits.gather(1, y[:, None]).squeeze(1)).sum()


# A mix-in of Foolbox's gradient descents, to which mypy must know that it passes its options on.
_Base: Any = BaseGradientDescent if TYPE_CHECKING else object


class _PerImageEpsilon(_Base):
    """Foolbox's gradient descent with ε (m, 1, 1, 1), `misclassification_loss`, and a start handed to it.

    start (m, C, H, W): a point of the unit ball, or None to start at the clean image
    """

    def __init__(self, start: Tensor | None, **options: Any):
        super().__init__(random_start=start is not None, **options)
        self.start = start

    def get_random_start(self, x0: eagerpy.Tensor, epsilon: eagerpy.Tensor) -> eagerpy.Tensor:
        return x0 + epsilon * self.start

    def get_loss_fn(self, model: Any, labels: eagerpy.Tensor) -> Callable[[eagerpy.Tensor], eagerpy.Tensor]:
        return lambda inputs: eagerpy.astensor(misclassification_loss(model(inputs).raw, labels.raw))


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

    def normalize(self, gradients: eagerpy.Tensor, *, x: eagerpy.Tensor, bounds: Any) -> eagerpy.Tensor:
        return normalize_lp_norms(gradients, p=1)


def _ball_l2(random: SampleRandom, rows: Tensor, shape: Sequence[int]) -> Tensor:
    values = math.prod(shape)
    direction = random.normal(rows, values)
    radius = random.uniform(rows, 1) ** (1 / values)
    return (radius * direction / direction.norm(dim=1, keepdim=True)).view(-1, *shape)


def _ball_linf(random: SampleRandom, rows: Tensor, shape: Sequence[int]) -> Tensor:
    return 2 * random.uniform(rows, *shape) - 1


# Random points (m, C, H, W) of the unit ball for the images at rows (m,) of shape (C, H, W).
UNIT_BALL = {"l2": _ball_l2, "linf": _ball_linf}
