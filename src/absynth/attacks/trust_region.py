"""The step of Brendel et al. (2019): to the linearised boundary, as near to the clean image as a trust region allows.

    minimise ‖z − x‖  subject to  normal · z = value,  ‖z − q‖₂ ≤ radius,  0 ≤ z ≤ 1

from a point q, in l2, linf or l0; see docs/derivations/trust-region.md. Tensors are float64; images are rows, solved
together, and none changes another's step.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from absynth.attacks.planes import last_below, nearest_on_plane, scaled_plane, step_towards, time_to_sphere
from absynth.attacks.sparse_step import fewest_pixels

_TOLERANCE = 1e-8  # of the radius: how much of it a step may leave unused


@dataclass(frozen=True)
class Step:
    """What a step is to solve: clean images x and points q (m, d) in [0, 1], normals (m, d), values and radii (m,).

    channels: d is that many times the number of pixels, which l0 counts
    """

    x: Tensor
    q: Tensor
    normal: Tensor
    value: Tensor
    radius: Tensor
    channels: int = 1

    def __getitem__(self, rows: Tensor) -> "Step":
        x, q, normal, value, radius = (
            part[rows] for part in (self.x, self.q, self.normal, self.value, self.radius)
        )
        return Step(x, q, normal, value, radius, self.channels)

    def box(self) -> tuple[Tensor, Tensor]:
        return torch.zeros_like(self.q), torch.ones_like(self.q)

    def excess(self, z: Tensor) -> Tensor:
        """By how much points (m, d) leave the trust region (m,), relative to its radius; within it, below 0."""
        return (z - self.q).norm(dim=1) / self.radius - 1

    def time_to_leave(self, z: Tensor, velocity: Tensor, free: Tensor) -> Tensor:
        """`time_to_sphere` for the trust region's surface, or rather one just within it."""
        return time_to_sphere(z, velocity, free, self.normal, (self.q, self.radius * (1 - _TOLERANCE / 2)))


def take_step(step: Step, norm: str) -> Tensor:
    """The points z (m, d) that solve the steps.

    l2, linf: exact, the trust region to 1e-10 of its radius; in linf, where there are several, the one nearest to q
    l0: as `fewest_pixels`
    Where the boundary is out of reach, the point of trust region and box that comes nearest to it.
    """
    normal, value = scaled_plane(step.normal, step.value)
    step = Step(step.x, step.q, normal, value, step.radius, step.channels)
    nearest, reached = nearest_on_plane(step.q, normal, value, *step.box())
    within = reached & (step.excess(nearest) <= 0)
    z = nearest.clone()
    for mask, solve in ((within, _SOLVERS[norm]), (~within, _towards)):
        rows = mask.nonzero().squeeze(1)
        if len(rows):
            z[rows] = solve(step[rows], nearest[rows])
    return z


def _towards(step: Step, nearest: Tensor) -> Tensor:
    far = step.excess(nearest) > 0  # else it is a corner of the box, short of the plane
    return torch.where(far[:, None], step_towards(step.q, step.normal, step.value, step.radius), nearest)


def _l2(step: Step, nearest: Tensor) -> Tensor:
    """With a multiplier for the trust region, z is the plane's point nearest to a center between q and x."""

    def solve(rows: Tensor, share: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        part = step[rows]
        center = torch.lerp(part.q, part.x, share[:, None])
        z, _ = nearest_on_plane(center, part.normal, part.value, *part.box())
        free = (z > 0) & (z < 1)
        return part.excess(z), z, share + part.time_to_leave(z, (part.x - part.q) * free, free)

    ones = torch.ones_like(step.radius)
    return last_below(solve, 0 * ones, ones, (step.excess(nearest), nearest), _TOLERANCE)


def _linf(step: Step, nearest: Tensor) -> Tensor:
    """For each ε, the plane's point nearest to q that is within ε of x: its distance from q falls with ε."""

    def solve(rows: Tensor, epsilon: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        part, reach = step[rows], epsilon[:, None]
        low, high = (part.x - reach).clamp_min(0), (part.x + reach).clamp_max(1)
        z, reached = nearest_on_plane(part.q, part.normal, part.value, low, high)
        excess = torch.where(reached, part.excess(z), 1.0)
        outwards = ((z == high) & (high < 1)).to(z.dtype) - ((z == low) & (low > 0)).to(z.dtype)
        return excess, z, epsilon + part.time_to_leave(z, outwards, (z > low) & (z < high))

    without, _ = nearest_on_plane(step.x, step.normal, step.value, *step.box(), "linf")
    smallest = (without - step.x).abs().amax(dim=1) * (1 + _TOLERANCE / 10)  # without a trust region
    largest = (nearest - step.x).abs().amax(dim=1).maximum(smallest)
    return last_below(solve, largest, smallest, (step.excess(nearest), nearest), _TOLERANCE)


def _l0(step: Step, nearest: Tensor) -> Tensor:
    return fewest_pixels(step.x, step.q, (step.normal, step.value), step.radius, nearest, step.channels)


_SOLVERS = {"l2": _l2, "linf": _linf, "l0": _l0}
