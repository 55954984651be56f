"""The nearest point of a box and a halfspace: the step of attacks that linearise a decision boundary."""

import torch
from torch import Tensor

_NEGLIGIBLE = 1e-12  # a component of the normal this much smaller than the largest moves nothing


def nearest_point(
    x: Tensor, normal: Tensor, bound: Tensor, low: Tensor, high: Tensor, norm: str
) -> tuple[Tensor, Tensor]:
    """The point z (m, d) with low ≤ z ≤ high and normal · z ≤ bound that is nearest to x in l2 or linf, exactly.

    The optimum is clip(x − t v, low, high), v = normal in l2 and its sign in linf, with the smallest t ≥ 0 that
    fulfils the halfspace (and in linf reaches the box). normal · z falls with t, linearly between the 2d values of t
    at which a coordinate begins or ends to move: these are sorted (Croce & Hein 2020, FAB, for linf and l2
    with x within the box).

    x, normal (m, d), bound (m,), low, high (m, d) float64, low ≤ high; x may lie outside of the box
    Returns z (m, d), and whether the halfspace meets the box (m,) bool: where not, z is the box's point of smallest
        normal · z that moves nothing in vain
    """
    size = normal.abs().amax(dim=1, keepdim=True)
    unit = normal / torch.where(size > 0, size, 1.0)
    unit = torch.where(unit.abs() > _NEGLIGIBLE, unit, 0.0)
    bound = bound / torch.where(size > 0, size, 1.0).squeeze(1)
    speed = unit if norm == "l2" else unit.sign()
    needed = (unit * x.clamp(low, high)).sum(dim=1) - bound  # of normal · z, to be gained by moving, (m,)
    time, reached = _time_of_gain(x, unit, speed, needed, (low, high))
    if norm == "linf":
        time = torch.maximum(time, (x - x.clamp(low, high)).abs().amax(dim=1))
    return (x - time[:, None] * speed).clamp(low, high), reached


def _time_of_gain(
    x: Tensor, unit: Tensor, speed: Tensor, needed: Tensor, box: tuple[Tensor, Tensor]
) -> tuple[Tensor, Tensor]:
    """The smallest t ≥ 0 (m,) by which clip(x − t speed, box) has gained what is needed, and whether it ever has.

    Where it never has, t is when the last coordinate stops.
    """
    moves = speed != 0
    rate = torch.where(moves, speed, 1.0)
    to_low, to_high = ((x - end) / rate for end in box)
    begin = torch.where(moves, torch.minimum(to_low, to_high), 0.0).clamp_min(0)
    end = torch.where(moves, torch.maximum(to_low, to_high), 0.0).clamp_min(0)
    gain = unit * speed  # of a moving coordinate per unit of t
    times, order = torch.cat([begin, end], dim=1).sort(dim=1)  # (m, 2d)
    slope = torch.cat([gain, -gain], dim=1).gather(1, order).cumsum(dim=1)  # after each time
    gained = torch.zeros_like(times)
    gained[:, 1:] = (slope[:, :-1] * times.diff(dim=1)).cumsum(dim=1)  # by each time
    reached = gained[:, -1] >= needed
    place = (gained < needed[:, None]).sum(dim=1, keepdim=True).clamp(1, times.shape[1] - 1) - 1
    before, steep = gained.gather(1, place), slope.gather(1, place)
    time = times.gather(1, place) + (needed[:, None] - before) / steep.clamp_min(1e-300)
    time = torch.where(reached, time.squeeze(1), times[:, -1])
    return torch.where(needed > 0, time, 0.0), reached | (needed <= 0)
