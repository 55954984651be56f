"""Steps to a linearised boundary that leave as few pixels changed as a trust region allows, by duality.

With S the pixels that may differ from the clean image x, the step asks for the smallest S for which some z fulfils

    normal · z = value,  ‖z − q‖₂ ≤ radius,  0 ≤ z ≤ 1,  z = x outside of S.

For a multiplier t of the plane, the smallest ‖z − q‖² + 2t (normal · z − value) over all S of k pixels takes the k
pixels that gain most by leaving x, each on its own. It is concave in t, falls with k, and is at most the smallest
‖z − q‖²: wherever it exceeds the radius², k pixels do not suffice. One bisection of t finds the smallest k that is
not excluded, as the t that exclude k + 1 are among those that exclude k. The sets of the last t are then tried out.
See docs/derivations/trust-region.md.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from absynth.attacks.pixels import by_channel, every_channel
from absynth.attacks.planes import nearest_on_plane

_BISECTIONS = 24  # of log2 |t| between these; normals have components of at most 1
_SMALLEST, _LARGEST = -20.0, 12.0
_ROUNDING = 1e-12  # of dual values, which are differences of sums of some d squares
_SPARE = 16  # pixels ranked beyond those that differ already


@dataclass(frozen=True)
class _Problem:
    """x, q, normal (m, d), value and radius (m,) of `fewest_pixels`."""

    x: Tensor
    q: Tensor
    normal: Tensor
    value: Tensor
    radius: Tensor
    channels: int

    def __getitem__(self, rows: Tensor) -> "_Problem":
        x, q, normal, value, radius = (
            part[rows] for part in (self.x, self.q, self.normal, self.value, self.radius)
        )
        return _Problem(x, q, normal, value, radius, self.channels)

    def per_pixel(self, values: Tensor) -> Tensor:
        """Sums (m, P) over the channels of values (m, d)."""
        return values if self.channels == 1 else by_channel(values, self.channels).sum(dim=-2)

    def ranked(self, time: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
        """For multipliers (m,), the `count` pixels that gain most by leaving x, best first, of equals the first.

        Returns them (m, count), and for their first 0 to `count` the dual value and normal · z − value (m, 1 + count)
        """
        twice = 2 * time[:, None] * self.normal
        z = (self.q - twice / 2).clamp(0, 1)
        stays = self.x - self.q
        gain = self.per_pixel(stays.square() - (z - self.q).square() + twice * (self.x - z))
        best, order = (part[:, :count] for part in gain.sort(dim=1, descending=True, stable=True))
        moves = self.per_pixel(self.normal * (z - self.x)).gather(1, order)
        short = (self.normal * self.x).sum(dim=1) - self.value
        dual = stays.square().sum(dim=1) + 2 * time * short
        return order, _after(dual, -best), _after(short, moves)

    def on_plane(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """The plane's point (m, d) nearest to q that differs from x in `pixels` (m, P) alone, and whether it fits."""
        free = every_channel(pixels, self.channels)
        low, high = torch.where(free, 0.0, self.x), torch.where(free, 1.0, self.x)
        z, reached = nearest_on_plane(self.q, self.normal, self.value, low, high)
        return z, reached & ((z - self.q).norm(dim=1) <= self.radius)


def _after(first: Tensor, terms: Tensor) -> Tensor:
    """Partial sums (m, 1 + k): first (m,), and after each of the terms (m, k)."""
    return torch.cat([first[:, None], terms], dim=1).cumsum(dim=1)


def fewest_pixels(
    x: Tensor, q: Tensor, plane: tuple[Tensor, Tensor], radius: Tensor, nearest: Tensor, channels: int
) -> Tensor:
    """Points z (m, d) of plane, trust region and box that differ from x in few pixels (see above).

    Where the trust region does not bind, their number is the smallest; elsewhere often, but not always. Of all z with
    the same pixels, the one nearest to q.

    x, q (m, d) in [0, 1]; plane: normals (m, d) as `scaled_plane` leaves them, values (m,); radius (m,)
    nearest (m, d): a point of plane, trust region and box
    channels: values of a pixel; d is that many times the number of pixels
    """
    problem = _Problem(x, q, *plane, radius, channels)
    z = nearest.clone()
    rows = torch.arange(len(x), device=x.device)
    greedy, fits = problem.on_plane(_heaviest(problem))
    z[fits] = greedy[fits]
    rows = rows[~fits]
    pixels = x.shape[1] // channels
    differ = problem.per_pixel((x != q).to(x.dtype)).count_nonzero(dim=1)
    count = min(pixels, int(differ.max()) + _SPARE) if len(rows) else 0
    while len(rows):
        found, fits = _search(problem[rows], count)
        z[rows[fits]] = found[fits]
        if count == pixels:
            break
        rows, count = rows[~fits], pixels
    return z


def _heaviest(problem: _Problem) -> Tensor:
    """The fewest pixels (m, P) bool that reach the plane if there were no trust region: those of largest effect."""
    short = (problem.normal * problem.x).sum(dim=1) - problem.value
    sign = torch.where(short < 0, -1.0, 1.0)[:, None] * problem.normal
    effect = problem.per_pixel(torch.where(sign > 0, sign * problem.x, -sign * (1 - problem.x)))
    best, order = effect.sort(dim=1, descending=True, stable=True)
    needed = best.cumsum(dim=1) - best < short.abs()[:, None]  # what those before it do is not enough
    return torch.zeros_like(needed).scatter_(1, order, needed)


def _search(problem: _Problem, count: int) -> tuple[Tensor, Tensor]:
    """Points (m, d) with the fewest pixels found, of at most `count`, and whether there are any (m,).

    Sizes are tried from the smallest that is not excluded, each with its own best multiplier, at growing distances
    until one fits, and then by bisection.
    """
    z = problem.q.clone()
    rows = torch.arange(len(z), device=z.device)
    *ends, size = _bracket(problem, count, None)
    failed, fitting = size.clamp(1, count) - 1, torch.full_like(size, count + 1)
    step = 1
    while len(rows):
        size = torch.where(fitting[rows] > count, failed[rows] + step, (failed[rows] + fitting[rows]) // 2)
        size = size.clamp_max(count)
        if step > 1:
            *ends, _ = _bracket(problem[rows], count, size)
        found, good = _try_out(problem[rows], ends, size, count)
        z[rows[good]] = found[good]
        fitting[rows[good]], failed[rows[~good]] = size[good], size[~good]
        step *= 2
        rows = ((fitting - failed > 1) & (failed < count)).nonzero().squeeze(1)
    return z, fitting <= count


def _try_out(problem: _Problem, ends: list[Tensor], size: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Points (m, d) that differ from x in the best `size` (m,) pixels at either multiplier, and whether they fit."""
    z, fits = problem.q, torch.zeros_like(size, dtype=torch.bool)
    for time in ends:
        order, _, _ = problem.ranked(time, count)
        chosen = torch.arange(count, device=order.device) < size[:, None]
        pixels = torch.zeros(
            len(z), z.shape[1] // problem.channels, dtype=torch.bool, device=order.device
        ).scatter_(1, order, chosen)
        point, good = problem.on_plane(pixels)
        z, fits = torch.where((good & ~fits)[:, None], point, z), fits | good
    return z, fits


def _bracket(problem: _Problem, count: int, size: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Multipliers on both sides of the one with the largest dual value of a size, and the sizes, (m,) each.

    size (m,): numbers of pixels; None for the smallest that is not excluded
    """
    square = problem.radius.square()[:, None] * (1 + _ROUNDING) + _ROUNDING
    least = torch.zeros_like(problem.value, dtype=torch.int64) if size is None else size

    def rises(time: Tensor) -> Tensor:
        """Whether the dual value rises with the multiplier."""
        nonlocal least
        _, dual, short = problem.ranked(time, count)
        if size is None:
            least = least.maximum((dual > square).sum(dim=1))
        return short.gather(1, least.clamp_max(count)[:, None]).squeeze(1) > 0

    upwards = rises(torch.zeros_like(problem.value))
    sign = torch.where(upwards, 1.0, -1.0)
    low = torch.full_like(problem.value, _SMALLEST)
    high = torch.full_like(low, _LARGEST)
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        further = rises(sign * middle.exp2()) == upwards
        low, high = torch.where(further, middle, low), torch.where(further, high, middle)
    return sign * low.exp2(), sign * high.exp2(), least
