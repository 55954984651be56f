"""σ-zero: descent of the margin and of a differentiable count of changed pixels; small changes are undone."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from absynth.attacks.api import for_norm
from absynth.attacks.linearised import ask_linearised, representable
from absynth.attacks.margins import margin
from absynth.attacks.pixels import by_channel, every_channel
from absynth.attacks.randomness import SampleRandom
from absynth.attacks.target import Target

_CLEAN_MARGIN = 1.0  # of each clean image's logits, to which the margin is scaled
_LAST_STEP = 0.1  # the last step size, relative to the first
_BETA = (0.9, 0.999)  # of Adam's running means
_TINY = 1e-12


@dataclass(frozen=True)
class SigmaZero:
    """Options as in `sigma_zero`. Draws no random numbers."""

    steps: int
    step_size: float
    sigma: float
    threshold: float
    threshold_step: float

    def __call__(self, target: Target, random: SampleRandom) -> None:
        if not len(target.rows):
            return
        x = target.active[0].flatten(1).double()
        channels = target.x.shape[1]
        delta = torch.zeros_like(x)
        scale = _margin_scale(target)
        adam = _Adam(torch.zeros_like(x), torch.zeros_like(x))
        threshold = torch.full((len(x), 1), self.threshold, dtype=x.dtype, device=x.device)
        for step in range(self.steps):
            size = self.step_size * _annealed(step, self.steps)
            value, gradient = ask_linearised(target, x + delta, margin)
            gradient = torch.where(value[:, None] > 0, scale[:, None] * gradient, 0.0)
            gradient = gradient + self._count_gradient(delta, channels)
            moved = delta - size * adam.direction(gradient / _largest(gradient), step)
            delta = representable(x + moved, target) - x
            change = torch.where(value[:, None] < 0, 1.0, -1.0) * self.threshold_step * size
            threshold = (threshold + change).clamp(0, 1)
            delta = torch.where(
                every_channel(by_channel(delta.abs(), channels).amax(dim=-2), channels) < threshold,
                0.0,
                delta,
            )
        target.adversarial((x + delta).to(target.x.dtype).view_as(target.active[0]))

    def _count_gradient(self, delta: Tensor, channels: int) -> Tensor:
        """The gradient (m, d) of the mean over pixels of s / (s + σ), s the square of a pixel's change."""
        square = every_channel(by_channel(delta.square(), channels).sum(dim=-2), channels)
        pixels = delta.shape[1] // channels
        return 2 * delta * self.sigma / (square + self.sigma).square() / pixels


@dataclass
class _Adam:
    """Running means (m, d) of a gradient and of its square (Kingma & Ba 2015)."""

    mean: Tensor
    square: Tensor

    def direction(self, gradient: Tensor, step: int) -> Tensor:
        """Adam's step for a step size of 1, after one more gradient; counts from 0."""
        self.mean = torch.lerp(gradient, self.mean, _BETA[0])
        self.square = torch.lerp(gradient.square(), self.square, _BETA[1])
        mean = self.mean / (1 - _BETA[0] ** (step + 1))
        return mean / ((self.square / (1 - _BETA[1] ** (step + 1))).sqrt() + 1e-8)


@torch.no_grad()
def _margin_scale(target: Target) -> Tensor:
    """The constants (m,) that bring the active clean images' margins to `_CLEAN_MARGIN`; costs a query."""
    x, y = target.active
    return _CLEAN_MARGIN / margin(target(x), y).double().abs().clamp_min(_TINY)


def _annealed(step: int, steps: int) -> float:
    """Cosine annealing from 1 to `_LAST_STEP`."""
    return _LAST_STEP + (1 - _LAST_STEP) * (1 + math.cos(math.pi * step / steps)) / 2


def _largest(gradient: Tensor) -> Tensor:
    return gradient.abs().amax(dim=1, keepdim=True).clamp_min(_TINY)


def sigma_zero(
    norm: str,
    *,
    steps: int = 300,
    step_size: float = 1.0,
    sigma: float = 1e-3,
    threshold: float = 0.3,
    threshold_step: float = 0.01,
) -> SigmaZero:
    """σ-zero, l0 (Cinà et al. 2025, algorithm 1).

    Adam descends max(margin, 0) + mean of s / (s + σ) over pixels, s the square of a pixel's change, by gradients
    divided by their largest component; step sizes fall as a cosine. After each step, pixels that changed by less
    than a threshold return to their clean values; the threshold rises while the image is misclassified and falls
    while it is not. Here a pixel counts once, however many channels change, and each image's logits are scaled to a
    clean margin of 1: no decision depends on their scale, but the sum of the two terms does.

    steps: gradients; step_size: η₀, of the first step; sigma: σ, less is a closer count
    threshold: τ₀; threshold_step: t, its change after a step, relative to the step size
    """
    return for_norm(norm, l0=SigmaZero)(steps, step_size, sigma, threshold, threshold_step)
