"""Foolbox's minimum-norm attacks: Carlini & Wagner and HopSkipJump.

Where in Foolbox the images of a batch, or their number, change one another's result, this is corrected.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import eagerpy
import torch
from foolbox.attacks.carlini_wagner import L2CarliniWagnerAttack
from foolbox.attacks.hop_skip_jump import HopSkipJumpAttack
from torch import Tensor

from absynth.attacks.api import for_norm
from absynth.attacks.foolbox.bridge import FoolboxMinimization, isolate, run_minimization
from absynth.attacks.line_search import bisect_to_clean
from absynth.attacks.noise import start_from_noise
from absynth.attacks.randomness import SampleRandom
from absynth.attacks.target import Target

_SIDE_BY_SIDE = 20  # HopSkipJump's decisions asked in one call; bounds the memory
_CALLS_A_STEP = 200  # of HopSkipJump, besides those decisions; a step that takes more would never end


def carlini_wagner(
    norm: str,
    *,
    steps: int = 200,
    binary_search_steps: int = 6,
    stepsize: float = 0.05,
    initial_const: float = 1.0,
    refine_steps: int = 10,
) -> FoolboxMinimization:
    """Carlini & Wagner (2017), l2, without the early stop, which depends on the whole batch.

    steps: gradients for each of `binary_search_steps` weights of the logits against the squared distance;
        the weight starts at `initial_const`, grows tenfold until it succeeds, and is then bisected
    stepsize: Adam's learning rate, in units of arctanh(2x − 1)
    refine_steps: queries of a final bisection to the clean image
    """
    attack = for_norm(norm, l2=L2CarliniWagnerAttack)(
        binary_search_steps=binary_search_steps,
        steps=steps,
        stepsize=stepsize,
        initial_const=initial_const,
        abort_early=False,
    )
    return FoolboxMinimization(attack, refine_steps)


class _HopSkipJump(HopSkipJumpAttack):
    """Estimates each image's gradient from its own noise and at its own scale; Foolbox's mixes the batch."""

    def __init__(self, target: Target, random: SampleRandom, **options: Any):
        super().__init__(constraint=target.norm, **options)
        self.target, self.random = target, random

    def approximate_gradients(
        self, is_adversarial: Callable[..., Any], x_advs: eagerpy.Tensor, steps: int, delta: eagerpy.Tensor
    ) -> eagerpy.Tensor:
        boundary = x_advs.raw
        radius = delta.raw.to(boundary.dtype).view(-1, 1, 1, 1)
        signs, directions = [], []
        for begin in range(0, steps, _SIDE_BY_SIDE):
            noise = self._noise(min(_SIDE_BY_SIDE, steps - begin), boundary)  # (k, m, c, h, w)
            asked = (boundary + radius * noise).clamp(0, 1)
            directions.append((asked - boundary) / radius)
            signs.append(2.0 * self.target.adversarial(asked.flatten(0, 1)).view(asked.shape[:2]) - 1)
        sign, direction = torch.cat(signs), torch.cat(directions)  # (steps, m), (steps, m, c, h, w)
        mean = sign.mean(dim=0)
        weight = torch.where(mean.abs() == 1, sign, sign - mean).to(boundary.dtype)
        gradient = torch.einsum("km,kmcij->mcij", weight, direction)
        return eagerpy.astensor(gradient / _length(gradient))

    def _noise(self, count: int, like: Tensor) -> Tensor:
        draw = self.random.normal if self.constraint == "l2" else self.random.uniform
        noise = draw(self.target.rows, count, *like.shape[1:]).to(like.dtype)
        noise = noise if self.constraint == "l2" else 2 * noise - 1
        return (noise / _length(noise)).transpose(0, 1)


def _length(images: Tensor) -> Tensor:
    return images.flatten(-3).norm(dim=-1).clamp_min(1e-12)[..., None, None, None]


@dataclass(frozen=True)
class HopSkipJump:
    """Decisions only; options as in `hop_skip_jump`."""

    steps: int
    initial_gradient_eval_steps: int
    max_gradient_eval_steps: int
    starts: int
    refine_steps: int

    def __call__(self, target: Target, random: SampleRandom) -> None:
        read = ~target.adversarial(target.active[0])  # Foolbox's loop does not end on a misclassified image
        with target.only(read):
            start_from_noise(target, random, self.starts)
            with target.only(target.best_distance[target.rows].isfinite()):
                isolate(target, lambda: self._run(target, random))
            bisect_to_clean(target, self.refine_steps)

    def _run(self, target: Target, random: SampleRandom) -> None:
        attack = _HopSkipJump(
            target,
            random,
            steps=self.steps,
            initial_gradient_eval_steps=self.initial_gradient_eval_steps,
            max_gradient_eval_steps=self.max_gradient_eval_steps,
        )
        start = target.best[target.rows]
        run_minimization(target, attack, max_calls=_CALLS_A_STEP * (self.steps + 1), starting_points=start)


def hop_skip_jump(
    norm: str,
    *,
    steps: int = 30,
    initial_gradient_eval_steps: int = 100,
    max_gradient_eval_steps: int = 1000,
    starts: int = 10,
    refine_steps: int = 10,
) -> HopSkipJump:
    """HopSkipJump, l2 or linf (Chen et al. 2020); starts from the best adversarial known, or else from noise.

    steps: gradient estimates; the t-th takes initial_gradient_eval_steps · √t queries, but no more than
        max_gradient_eval_steps
    starts: salt-and-pepper noises tried for an image without adversarial, which is left out if all fail
    refine_steps: queries of a final bisection to the clean image
    """
    for_norm(norm, l2=None, linf=None)
    return HopSkipJump(steps, initial_gradient_eval_steps, max_gradient_eval_steps, starts, refine_steps)
