"""One-parameter searches for the smallest success, for many images at a time: a coarse grid, then bisection.

All searches of the attacks and of the confirmation are made of `search_grid` and `bisect`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from absynth.attacks.target import Target
from absynth.norms import NORMS

# Parameters (c,) of the images at positions (c,) to whether they succeed there (c,) bool.
Ask = Callable[[Tensor, Tensor], Tensor]
# Points (m,) on the active images' curves to images (m, c, h, w).
ImageAt = Callable[[Target, Tensor], Tensor]

_CURVES = 5  # random curves per model call: fewer learn more from one another, more take fewer calls
_SPREAD = 0.15  # how far below the best so far they are asked


def search_grid(
    ask: Ask, grid: Tensor, low: Tensor, *, promising: Callable[[Tensor], Tensor] | None = None
) -> tuple[Tensor, Tensor]:
    """Try the values of `grid` (g,), positive and ascending, until each of m searches succeeds.

    low (m,): a value below the grid that fails
    promising: of the largest failures so far (m,), which searches are worth going on with (m,) bool
    Returns the largest failure below the first success and that success, (m,) each; inf where there was none
    """
    low, high = low.clone(), torch.full_like(low, torch.inf)
    for value in grid:
        waiting = high.isinf() if promising is None else high.isinf() & promising(low)
        pending = waiting.nonzero().squeeze(1)
        if not len(pending):
            break
        success = ask(value.expand(len(pending)), pending)
        high[pending] = torch.where(success, value, high[pending])
        low[pending] = torch.where(success, low[pending], value)
    return low, high


def bisect(
    ask: Ask,
    low: Tensor,
    high: Tensor,
    *,
    bisections: int,
    resolution: float = 0.0,
    tighten: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """Halve the intervals from `low`, which fails, to `high`, which succeeds; return the last success (m,).

    low, high (m,): where high is inf, the answer is inf. Intervals no wider than `resolution` are left.
    tighten: called with `high` before each halving for successes (m,) that became known otherwise
    """
    low, high = low.clone(), high.clone()
    for _ in range(bisections):
        if tighten:
            high = tighten(high)
        pending = (high.isfinite() & (high - low > resolution)).nonzero().squeeze(1)
        if not len(pending):
            break
        middle = (low[pending] + high[pending]) / 2
        success = ask(middle, pending)
        high[pending] = torch.where(success, middle, high[pending])
        low[pending] = torch.where(success, low[pending], middle)
    return high


@dataclass(frozen=True)
class Family:
    """For each of the m active images, k curves of images that begin at the clean one.

    image: (parameter (k, m, 1), clean (m, d), *parts (k, m, d)) to images (k, m, d)
    """

    image: Callable[..., Tensor]
    clean: Tensor
    parts: tuple[Tensor, ...]

    def at(self, parameter: Tensor) -> Tensor:
        """Images (k, m, d) at parameters (k, m)."""
        return self.image(parameter[..., None], self.clean, *self.parts)

    def only(self, chosen: Tensor) -> "Family":
        """The curves of the chosen images: a mask or positions among the m."""
        return Family(self.image, self.clean[chosen], tuple(part[:, chosen] for part in self.parts))


def blend(clean: Tensor, ends: Tensor) -> Family:
    """The straight lines from clean images (m, d), at 0, to `ends` (k, m, d), at 1."""
    return Family(lambda step, start, end: torch.lerp(start, end, step).clamp(0, 1), clean, (ends,))


def ask_images(target: Target, images: Tensor) -> Tensor:
    """Whether images (k, m, d) of the m active images are misclassified: (k, m) bool. Asks nothing if m is 0."""
    if images.shape[1] == 0:
        return images.new_zeros(images.shape[:2], dtype=torch.bool)
    return target.adversarial(images.reshape(-1, *target.x.shape[1:])).view(images.shape[:2])


def smallest_success(
    target: Target, family: Family, grid: Tensor, *, bisections: int, resolution: float = 0.0
) -> Tensor:
    """The smallest parameter (m,) at which an image's one curve is misclassified, to within its bisections.

    Searches `grid` (g,), positive and ascending, then the interval below its first success.

    Returns inf where no value of the grid succeeds; what it returns was itself seen to succeed
    """
    ask = _ask_curve(target, family)
    low, high = search_grid(ask, grid, grid.new_zeros(len(target.rows)))
    return bisect(ask, low, high, bisections=bisections, resolution=resolution)


def bisect_curve(
    target: Target, family: Family, low: Tensor, high: Tensor, *, bisections: int, resolution: float = 0.0
) -> Tensor:
    """`bisect` on each image's one curve: the smallest parameter (m,) known to be misclassified."""
    return bisect(_ask_curve(target, family), low, high, bisections=bisections, resolution=resolution)


def smallest_of_draws(
    target: Target,
    draw: Callable[[int, Tensor], Family],
    draws: int,
    grid: Tensor,
    *,
    bisections: int,
    resolution: float = 0.0,
) -> tuple[Tensor, Tensor]:
    """The smallest success along any of many random curves, at one query per curve.

    The first curve is searched by `smallest_success`. Each later one is asked at one parameter, from just
    below the best so far (the end of the grid where there is none) to a sixth below it, five curves per call.

    draw: (number of curves k, best images so far (m, d)) to a Family of k curves for the active images
    Returns parameter (m,), inf where none succeeds, and images (m, d) seen to succeed there, else clean
    """
    family = draw(1, target.active[0].flatten(1))
    best = smallest_success(target, family, grid, bisections=bisections, resolution=resolution)  # (m,)
    images = family.at(best.where(best.isfinite(), 0)[None])[0]  # (m, d)
    for done in range(1, draws, _CURVES):
        curves = min(_CURVES, draws - done)
        level = 1 - _SPREAD * torch.arange(1, curves + 1, device=grid.device)[:, None] / curves
        parameter = level * torch.where(best.isfinite(), best - resolution, grid[-1])  # (k, m)
        candidates = draw(curves, images).at(parameter)
        below, first = torch.where(ask_images(target, candidates), parameter, torch.inf).min(dim=0)
        better = below.isfinite()
        best = torch.where(better, below, best)
        smallest = candidates[first, torch.arange(len(first), device=first.device)]
        images = torch.where(better[:, None], smallest, images)
    return best, images


def search_ray(target: Target, image_at: ImageAt, grid: Tensor, bisections: int) -> None:
    """Find the first value of `grid` (g,) at which each image's curve is misclassified, and bisect below it.

    grid: positive and ascending; the curve starts at 0 with the clean image and leads away from it. An image
        leaves the grid where its curve is farther away than its best adversarial
    """
    recorded = target.findings.recorded

    def promising(low: Tensor) -> Tensor:
        return recorded.measure(target.rows, image_at(target, low)) < recorded.distance[target.rows]

    ask = _ask_image_at(target, image_at)
    start = torch.zeros(len(target.rows), dtype=grid.dtype, device=grid.device)  # (m,)
    bisect(ask, *search_grid(ask, grid, start, promising=promising), bisections=bisections)


def search_line(
    target: Target, direction: Tensor, *, doublings: int, per_doubling: int, bisections: int
) -> None:
    """Find how far along its direction each active image, clipped to [0, 1], is first misclassified (`search_ray`).

    direction (m, c, h, w): of length 1 in the target's norm, or 0
    doublings, per_doubling: the coarse search grows ε to the largest distance in that many doublings, each of
        that many steps
    bisections: halvings of the step in which it succeeds
    """
    along = torch.zeros_like(target.x)  # (n, c, h, w)
    along[target.rows] = direction.to(along.dtype)

    def image_at(target: Target, epsilon: Tensor) -> Tensor:
        return (target.x[target.rows] + epsilon.view(-1, 1, 1, 1) * along[target.rows]).clamp(0, 1)

    steps = torch.arange(-doublings * per_doubling, 1, device=along.device)
    grid = NORMS[target.norm].largest(target.x.shape[1:]) * 2 ** (
        steps / per_doubling
    )  # epsilons of the coarse search, (g,)
    search_ray(target, image_at, grid.to(along.dtype), bisections)


def bisect_to_clean(target: Target, steps: int) -> None:
    """Bisect the line from each clean image to its best adversarial, if it has one; `steps` queries each.

    In l0 it does nothing: there the distance does not shrink with the length.
    """
    if target.norm == "l0":
        return
    end = target.best.clone()

    def image_at(target: Target, share: Tensor) -> Tensor:
        return torch.lerp(target.x[target.rows], end[target.rows], share.view(-1, 1, 1, 1)).clamp(0, 1)

    found = target.best_distance[target.rows].isfinite()
    high = torch.where(found, 1.0, torch.inf).to(target.x.dtype)  # share of the way to the adversarial, (m,)
    bisect(_ask_image_at(target, image_at), torch.zeros_like(high), high, bisections=steps)


def _ask_curve(target: Target, family: Family) -> Ask:
    """What asks for one curve per image, at the positions given among the active images."""

    def ask(parameter: Tensor, pending: Tensor) -> Tensor:
        with target.only(pending):
            return ask_images(target, family.only(pending).at(parameter[None]))[0]

    return ask


def _ask_image_at(target: Target, image_at: ImageAt) -> Ask:
    def ask(parameter: Tensor, pending: Tensor) -> Tensor:
        with target.only(pending):
            return target.adversarial(image_at(target, parameter))

    return ask
