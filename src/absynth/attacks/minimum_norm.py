"""Minimum-norm attacks by gradient steps within a radius that follows the boundary: DDN and FMN.

The steps are those of Foolbox 3.3.4 to the bit, but for L0's projection, without its wrappers of every tensor.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from absynth.attacks.api import for_norm
from absynth.attacks.foolbox.view import FoolboxView
from absynth.attacks.line_search import bisect_to_clean
from absynth.attacks.randomness import SampleRandom
from absynth.attacks.target import Target

_LAST_STEP, _SHRINKAGE = 0.01, 100  # of DDN's last step, whose first is 1; of FMN's steps
_LAST_GAMMA = 0.001  # FMN's last relative change of ε
_TINY = 1e-12  # keeps gradients of length 0 finite


Noise = Callable[[Tensor], Tensor]


@dataclass
class _Answer:
    """What one step learns of m images x (m, c, h, w) moved by delta.

    values (m,): the loss; gradient (m, c, h, w): of its sum; length (m,): of delta in the attack's norm
    adversarial (m,) bool; best (m, c, h, w): the shortest delta so far that was adversarial; found (m,) bool: whether
        there was any
    noise: standard normal numbers (k, c, h, w) for the images at k places among the m
    """

    delta: Tensor
    values: Tensor
    gradient: Tensor
    length: Tensor
    adversarial: Tensor
    best: Tensor
    found: Tensor
    noise: Noise


@dataclass(frozen=True)
class Descent(ABC):
    """Steps that ascend a loss, each within a radius ε of its own, then a bisection; options as in `ddn`."""

    steps: int
    refine_steps: int

    def __call__(self, target: Target, random: SampleRandom) -> None:
        if len(target.rows):
            x, y = target.active

            def noise(places: Tensor) -> Tensor:
                return random.normal(target.rows[places], *x.shape[1:]).to(x.dtype)

            found = x + self._shortest(FoolboxView(target), x, y, noise)
            target.adversarial(torch.where(found.isnan(), x, found.clamp(0, 1)))
        bisect_to_clean(target, self.refine_steps)

    def _shortest(self, view: FoolboxView, x: Tensor, y: Tensor, noise: Noise) -> Tensor:
        """The shortest perturbation (m, c, h, w) of images x that any step saw succeed, or else 0."""
        delta = best = torch.zeros_like(x)
        radius, worst = self.first_radius(x), self.length(torch.maximum(x, 1 - x))
        shortest, found = worst, torch.zeros_like(y, dtype=torch.bool)
        for step in range(self.steps):
            logits, values, gradient = view.ask_gradient(x + delta, self.loss)
            adversarial = logits.argmax(dim=-1) != y
            length = self.length(delta)
            shorter = adversarial & (length <= shortest)
            found = found | adversarial
            shortest = torch.where(shorter, length, shortest)
            best = torch.where(_spread(shorter), delta, best)
            answer = _Answer(delta, values, gradient, length, adversarial, best, found, noise)
            radius = self.next_radius(step, radius, answer).minimum(worst)
            delta = (x + self.moved(step, x, radius, answer)).clamp(0, 1) - x
        return best

    def annealed(self, step: int, first: float, last: float) -> float:
        """What falls as a cosine from `first` before the first step to `last` after the last."""
        return last + (first - last) * (1 + math.cos(math.pi * step / self.steps)) / 2

    @abstractmethod
    def loss(self, logits: Tensor, y: Tensor) -> Tensor:
        """The values (m,) whose sum is ascended."""

    @abstractmethod
    def first_radius(self, x: Tensor) -> Tensor:
        """ε (m,) before the first step."""

    @abstractmethod
    def length(self, delta: Tensor) -> Tensor:
        """The lengths (m,) of perturbations in the attack's norm."""

    @abstractmethod
    def next_radius(self, step: int, radius: Tensor, answer: _Answer) -> Tensor:
        """ε (m,) for the step to come."""

    @abstractmethod
    def moved(self, step: int, x: Tensor, radius: Tensor, answer: _Answer) -> Tensor:
        """The next perturbation (m, c, h, w), within ε but not the box."""


@dataclass(frozen=True)
class DDN(Descent):
    """Options as in `ddn`."""

    init_epsilon: float
    gamma: float

    def loss(self, logits: Tensor, y: Tensor) -> Tensor:
        return functional.cross_entropy(logits, y, reduction="none")

    def first_radius(self, x: Tensor) -> Tensor:
        return self.init_epsilon * x.new_ones(len(x))

    def length(self, delta: Tensor) -> Tensor:
        return _euclidean(delta)

    def next_radius(self, step: int, radius: Tensor, answer: _Answer) -> Tensor:
        return radius * torch.where(answer.adversarial, 1 - self.gamma, 1 + self.gamma).to(radius.dtype)

    def moved(self, step: int, x: Tensor, radius: Tensor, answer: _Answer) -> Tensor:
        """A step along the gradient, scaled to the length ε. A gradient of 0 is replaced by noise."""
        gradient, length = answer.gradient, _euclidean(answer.gradient)
        flat = (length == 0).nonzero().squeeze(1)
        if len(flat):
            gradient = gradient.index_copy(0, flat, answer.noise(flat))
            length = _euclidean(gradient)
        size = self.annealed(step, 1.0, _LAST_STEP)
        delta = answer.delta + gradient * _spread(1 / length.clamp_min(_TINY)) * size
        return delta * _spread(radius / _euclidean(delta))


def ddn(
    norm: str, *, steps: int = 100, init_epsilon: float = 1.0, gamma: float = 0.05, refine_steps: int = 10
) -> DDN:
    """Decoupled Direction and Norm, l2 (Rony et al. 2019).

    steps: gradients; init_epsilon: first radius; gamma: its relative change after each step
    refine_steps: queries of a final bisection to the clean image
    """
    return for_norm(norm, l2=DDN)(steps, refine_steps, init_epsilon, gamma)


@dataclass(frozen=True)
class FMN(Descent):
    """Options as in `fmn`."""

    max_stepsize: float
    gamma: float

    def loss(self, logits: Tensor, y: Tensor) -> Tensor:
        rival = logits.detach().scatter(1, y[:, None], -torch.inf).argmax(dim=-1)
        return -(logits.gather(1, y[:, None]) - logits.gather(1, rival[:, None])).squeeze(1)

    def step_along(self, step: int, x: Tensor, answer: _Answer) -> Tensor:
        """The perturbation after a step along the gradient, not yet within ε."""
        size = self.annealed(step, self.max_stepsize, self.max_stepsize / _SHRINKAGE)
        gradient = answer.gradient * _spread(1 / _euclidean(answer.gradient).clamp_min(_TINY))
        return (x + (answer.delta + gradient * size)) - x

    def change(self, step: int) -> float:
        """By how much ε changes, relative."""
        return self.annealed(step, self.gamma, _LAST_GAMMA)


class LinfFMN(FMN):
    """ε is the distance to the linearised boundary until an adversarial is found."""

    def first_radius(self, x: Tensor) -> Tensor:
        return torch.inf * x.new_ones(len(x))

    def length(self, delta: Tensor) -> Tensor:
        return delta.flatten(1).abs().amax(dim=1)

    def next_radius(self, step: int, radius: Tensor, answer: _Answer) -> Tensor:
        change = self.change(step)
        to_boundary = answer.values.abs() / answer.gradient.flatten(1).abs().sum(dim=-1)
        wider = torch.where(answer.found, radius * (1 + change), answer.length + to_boundary)
        narrower = torch.minimum(radius * (1 - change), self.length(answer.best))
        return torch.where(answer.adversarial, narrower, wider)

    def moved(self, step: int, x: Tensor, radius: Tensor, answer: _Answer) -> Tensor:
        limit = _spread(radius)
        delta = torch.minimum(torch.maximum(self.step_along(step, x, answer), -limit), limit)
        return (x + delta) - x


class L0FMN(FMN):
    """ε is a number of pixels; a pixel of several channels is as large as its largest change.

    Foolbox's keeps one pixel more than ε, of values, and fails when all may change.
    """

    def first_radius(self, x: Tensor) -> Tensor:
        return x.new_ones(len(x))

    def length(self, delta: Tensor) -> Tensor:
        return (delta != 0).any(dim=1).flatten(1).sum(dim=-1).to(delta.dtype)

    def next_radius(self, step: int, radius: Tensor, answer: _Answer) -> Tensor:
        change = self.change(step)
        fewer = torch.minimum(radius - 1, (radius * (1 - change)).trunc())
        more = torch.maximum(radius + 1, (radius * (1 + change)).trunc())
        fewer = torch.minimum(fewer, self.length(answer.best))
        return torch.where(answer.adversarial, fewer, more).clamp_min(1)

    def moved(self, step: int, x: Tensor, radius: Tensor, answer: _Answer) -> Tensor:
        return (x + keep_largest(self.step_along(step, x, answer), radius)) - x


def keep_largest(delta: Tensor, count: Tensor) -> Tensor:
    """Perturbations (m, c, h, w) with 0 but in their `count` (m,) pixels of largest change, of equals the first."""
    pixels = delta.abs().amax(dim=1)  # (m, h, w)
    order = pixels.flatten(1).argsort(dim=1, descending=True, stable=True)
    places = torch.arange(order.shape[1], device=order.device).expand_as(order)
    place = torch.empty_like(order).scatter_(1, order, places)  # 0 the largest, (m, h · w)
    return delta * (place < count[:, None]).view_as(pixels)[:, None]


_FMN_STEP = {"l0": 1.0, "linf": 10.0}


def fmn(
    norm: str,
    *,
    steps: int = 100,
    max_stepsize: float | None = None,
    gamma: float = 0.05,
    refine_steps: int = 10,
) -> FMN:
    """Fast Minimum Norm, l0 or linf (Pintor et al. 2021).

    Not l2, where Foolbox's estimate of the distance ignores the box and it settles short of the boundary.

    steps: gradients; refine_steps: queries of a final bisection to the clean image; none in l0
    max_stepsize: first step's l2 length, falling to a hundredth; by default 1 in l0, 10 in linf
    gamma: first relative change of ε after a step, falling to 0.001
    """
    kinds: dict[str, type[FMN]] = {"l0": L0FMN, "linf": LinfFMN}
    return for_norm(norm, **kinds)(steps, refine_steps, max_stepsize or _FMN_STEP[norm], gamma)


def _euclidean(images: Tensor) -> Tensor:
    return images.flatten(1).square().sum(dim=-1).sqrt()


def _spread(values: Tensor) -> Tensor:
    """One value (m,) for each of images (m, c, h, w)."""
    return values[:, None, None, None]
