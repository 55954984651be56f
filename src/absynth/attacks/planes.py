"""Points of a box on a plane: the nearest one, and how far a step of bounded length gets towards one.

All tensors are float64. A plane is {z : normal · z = value}; its box, low ≤ z ≤ high, has d sides. Images are rows,
solved together, and none changes another's result.
"""

from collections.abc import Callable

import torch
from torch import Tensor

_NEGLIGIBLE = 1e-12  # a component of a normal this much smaller than its largest moves nothing
_EXACT = 1e-14  # of the sums that are compared: what is left counts as rounding
_ROUNDS = 100  # of searches that take some ten


def scaled_plane(normal: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
    """The same planes with normals (m, d) whose largest component is 1, negligible ones 0, and their values (m,).

    A normal of 0 stays 0.
    """
    size = normal.abs().amax(dim=1, keepdim=True)
    size = torch.where(size > 0, size, 1.0)
    unit = normal / size
    return unit * (unit.abs() > _NEGLIGIBLE), value / size.squeeze(1)


def nearest_on_plane(
    center: Tensor, normal: Tensor, value: Tensor, low: Tensor, high: Tensor, norm: str = "l2"
) -> tuple[Tensor, Tensor]:
    """The point z (m, d) of a box on a plane that is nearest to `center` in l2 or linf, exactly, if there is one.

    It is clip(center − t v, low, high), v = ± the normal in l2 and its sign in linf. normal · z is piecewise linear
    and monotone in t: Newton's method, bracketed, ends on the right piece. In linf `center` must be in the box.

    center, normal, low, high (m, d); value (m,); normals as `scaled_plane` leaves them
    Returns z, and whether box and plane meet (m,); where not, z is the box's nearest point to the plane that moves
    nothing in vain
    """
    start = center.clamp(low, high)
    needed = (normal * start).sum(dim=1) - value  # of normal · z, to be lost, (m,)
    normal = torch.where(needed < 0, -1.0, 1.0)[:, None] * normal
    needed = needed.abs()
    corner = torch.where(normal > 0, low, torch.where(normal < 0, high, start))
    most = (normal * (start - corner)).sum(dim=1)
    rounding = _EXACT * ((normal * start).abs().sum(dim=1) + value.abs())
    reached = most >= needed - rounding
    inner = (reached & (needed > rounding) & (most > needed + rounding)).nonzero().squeeze(1)
    z = torch.where((needed > rounding)[:, None], corner, start)
    speed = normal if norm == "l2" else normal.sign()
    if len(inner):
        part = [values[inner] for values in (center, normal, speed, low, high, start)]
        z[inner] = _newton(part, needed[inner], rounding[inner])
    return z, reached


def _newton(part: list[Tensor], needed: Tensor, rounding: Tensor) -> Tensor:
    """clip(center − t speed, low, high) with the t > 0 by which normal · z has fallen by what is needed."""
    center, normal, speed, low, high, start = part
    steep = normal * speed
    time, below = torch.zeros_like(needed), torch.zeros_like(needed)
    above = torch.full_like(needed, torch.inf)
    z = start
    for _ in range(_ROUNDS):
        moved = center - time[:, None] * speed
        z = moved.clamp(low, high)
        short = needed - (normal * (start - z)).sum(dim=1)
        if bool((short.abs() <= rounding).all()):
            break
        below, above = torch.where(short > 0, time, below), torch.where(short > 0, above, time)
        slope = (steep * (moved == z)).sum(dim=1)
        newton = time + short / slope
        halved = torch.where(above.isfinite(), (below + above) / 2, 2 * below + 1e-3)
        sound = (slope > 0) & (newton > below) & (newton < above)
        time = torch.where(short.abs() <= rounding, time, torch.where(sound, newton, halved))
    return z


def step_towards(point: Tensor, normal: Tensor, value: Tensor, radius: Tensor) -> Tensor:
    """The point (m, d) of [0, 1]ᵈ within l2 distance `radius` (m,) of `point` that comes nearest to the plane.

    For planes beyond that ball or the box. It is clip(point − t normal), normal towards the plane: with its largest
    changes cut off by the box, the rest is in proportion to the normal.
    """
    normal = torch.where((normal * point).sum(dim=1) < value, -1.0, 1.0)[:, None] * normal
    room = torch.where(normal > 0, point, 1 - point) * (normal != 0)
    ends = torch.zeros_like(normal, dtype=torch.bool)  # what the box cuts off; grows
    time = torch.zeros_like(radius)
    for _ in range(_ROUNDS):
        left = radius.square() - (room * ends).square().sum(dim=1)
        free = (normal * ~ends).square().sum(dim=1)
        time = (left.clamp_min(0) / free.clamp_min(1e-300)).sqrt()
        cut = time[:, None] * normal.abs() >= room
        if torch.equal(cut | ends, ends):
            break
        ends = ends | cut
    change = torch.where(ends, room, time[:, None] * normal.abs())
    return point - normal.sign() * change


def time_to_sphere(
    z: Tensor, velocity: Tensor, free: Tensor, plane: Tensor, sphere: tuple[Tensor, Tensor]
) -> Tensor:
    """How long (m,) points z (m, d) of planes move until they are on spheres; NaN where they never are.

    The free coordinates move with their velocity and along the normal, so that z stays on the plane, the others with
    their velocity alone. Of two times the one nearest to 0.

    velocity (m, d); free (m, d) bool; plane: normals (m, d); sphere: centers (m, d) and radii (m,)
    """
    center, radius = sphere
    drift = (plane * velocity).sum(dim=1) / (plane.square() * free).sum(dim=1)
    velocity = velocity - drift[:, None] * plane * free
    offset = z - center
    square, linear = velocity.square().sum(dim=1), (velocity * offset).sum(dim=1)
    beyond = offset.square().sum(dim=1) - radius.square()
    root = (linear.square() - square * beyond).sqrt()
    return -beyond / torch.where(linear < 0, linear - root, linear + root)


def last_below(
    solve: Callable[[Tensor, Tensor], tuple[Tensor, Tensor, Tensor]],
    good: Tensor,
    bad: Tensor,
    at_good: tuple[Tensor, Tensor],
    tolerance: float,
) -> Tensor:
    """The points (m, d) at the parameter nearest to `bad` (m,) that has a value ≤ 0: the root, from `good`'s side.

    The value is monotone between the two. Where the guess of the root leaves the interval, it is halved.

    solve: (rows (k,), parameters (k,)) to values (k,), points (k, d), and guesses (k,) of the root
    at_good: values (m,) ≤ 0 and points (m, d) there; tolerance: how far below 0 a value may end
    """
    value, point = at_good[0], at_good[1].clone()
    ends = torch.stack([good, bad])
    asked = bad.clone()
    rows = (value < -tolerance).nonzero().squeeze(1)
    for _ in range(_ROUNDS):
        if not len(rows):
            break
        found, there, guess = solve(rows, asked[rows])
        fits = found <= 0
        point[rows[fits]] = there[fits]
        ends[torch.where(fits, 0, 1), rows] = asked[rows]
        low, high = ends[:, rows].amin(dim=0), ends[:, rows].amax(dim=0)
        middle = (low + high) / 2
        asked[rows] = torch.where((guess > low) & (guess < high), guess, middle)
        done = (fits & (found >= -tolerance)) | (middle <= low) | (middle >= high)
        rows = rows[~done]
    return point
