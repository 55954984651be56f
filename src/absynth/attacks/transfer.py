"""Transfer attacks: directions that fool a substitute, searched along on the target (paper, section 5)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import eagerpy
import torch
from foolbox.attacks.gradient_descent_base import BaseGradientDescent
from foolbox.criteria import Misclassification
from torch import Tensor, nn

from absynth.attacks.api import for_norm
from absynth.attacks.descent import L2Iterations, LinfIterations
from absynth.attacks.foolbox.bridge import as_foolbox
from absynth.attacks.gradient import steepest_direction
from absynth.attacks.line_search import search_line
from absynth.attacks.randomness import SampleRandom
from absynth.attacks.target import Target
from absynth.norms import NORMS


@dataclass(frozen=True)
class Transfer:
    """A line search on the target along each of the substitute's directions; options as in `transfer`."""

    substitute: nn.Module
    kind: type[BaseGradientDescent]
    steps: int
    epsilons: tuple[float, ...]
    step_sizes: tuple[float, ...]
    doublings: int
    per_doubling: int
    bisections: int

    def __call__(self, target: Target, random: SampleRandom) -> None:
        for direction in self._directions(Target(self.substitute, *target.active, target.norm)):
            search_line(
                target,
                direction,
                doublings=self.doublings,
                per_doubling=self.per_doubling,
                bisections=self.bisections,
            )

    def _directions(self, substitute: Target) -> Iterator[Tensor]:
        """Directions (m, c, h, w) of length 1, 0 where the substitute's gradient is: one step, then many."""
        yield steepest_direction(substitute)
        x, y = substitute.active
        largest = NORMS[substitute.norm].largest(x.shape[1:])
        for epsilon in self.epsilons:
            radius = x.new_full((len(x), 1, 1, 1), epsilon * largest)
            for step_size in self.step_sizes:
                attack = self.kind(None, rel_stepsize=step_size, steps=self.steps)
                ended = attack.run(
                    as_foolbox(substitute), x, Misclassification(y), epsilon=eagerpy.astensor(radius)
                )
                yield _unit(ended - x, substitute.norm)


def _unit(delta: Tensor, norm: str) -> Tensor:
    """Perturbations (m, c, h, w) at length 1 in a norm; 0 stays 0."""
    length = torch.linalg.vector_norm(delta, NORMS[norm].order, dim=(1, 2, 3), keepdim=True)
    return delta / length.clamp_min(1e-30)


def transfer(
    norm: str,
    *,
    substitute: nn.Module,
    steps: int = 20,
    epsilons: Sequence[float] = (0.05, 0.1, 0.2),
    step_sizes: Sequence[float] = (0.1, 0.4),
    doublings: int = 8,
    per_doubling: int = 4,
    bisections: int = 10,
) -> Transfer:
    """FGM and L2 BIM in l2, FGSM and L∞ BIM in linf, on the substitute; the target's gradients are not needed.

    Queries to the substitute are not counted.

    steps: gradients of one run of BIM
    epsilons: a run of BIM within each; shares of the largest distance, which is 1 in linf and the square
        root of the number of values in l2, 28 for 28x28
    step_sizes: a run of BIM with each; relative to ε
    doublings, per_doubling, bisections: of the search along each direction (`search_line`)
    """
    kind = for_norm(norm, l2=L2Iterations, linf=LinfIterations)
    return Transfer(
        substitute, kind, steps, tuple(epsilons), tuple(step_sizes), doublings, per_doubling, bisections
    )
