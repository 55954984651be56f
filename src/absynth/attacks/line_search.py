"""The smallest success along one-parameter families of perturbed images, for many images at a time."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from absynth.attacks.target import Target

_TOGETHER = 5  # random curves a model call: fewer learn more from one another, more take fewer calls
_SPREAD = 0.15  # how far below the best so far they are asked


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


def ask(target: Target, images: Tensor) -> Tensor:
    """Whether images (k, m, d) of the m active images are misclassified: (k, m) bool. Asks nothing if m is 0."""
    if images.shape[1] == 0:
        return images.new_zeros(images.shape[:2], dtype=torch.bool)
    return target.adversarial(images.reshape(-1, *target.x.shape[1:])).view(images.shape[:2])


def smallest_success(
    target: Target, family: Family, grid: Tensor, *, bisections: int, resolution: float = 0.0
) -> Tensor:
    """The smallest parameter at which an image's one curve fools the model, to within its bisections.

    The values of `grid` (g,), positive and ascending, are tried in turn until one succeeds; the interval
    below it, which begins at 0 or at a value that failed, is then halved (see `bisect`).

    Returns (m,), inf where no value of the grid succeeds; what it returns was itself seen to succeed
    """
    low = grid.new_zeros(len(target.rows))
    high = torch.full_like(low, torch.inf)
    for value in grid:
        pending = high.isinf().nonzero().squeeze(1)
        if not len(pending):
            break
        success = _ask_some(target, family, value.expand_as(low), pending)
        high[pending] = torch.where(success, value, high[pending])
        low[pending] = torch.where(success, low[pending], value)
    return bisect(target, family, low, high, bisections=bisections, resolution=resolution)


def bisect(
    target: Target, family: Family, low: Tensor, high: Tensor, *, bisections: int, resolution: float = 0.0
) -> Tensor:
    """Halve the intervals from `low`, which fails, to `high`, which succeeds; return the last success.

    low, high (m,): where high is inf, the answer is inf. Intervals no wider than `resolution` are left.
    """
    low, high = low.clone(), high.clone()
    for _ in range(bisections):
        pending = (high.isfinite() & (high - low > resolution)).nonzero().squeeze(1)
        if not len(pending):
            break
        middle = (low + high) / 2
        success = _ask_some(target, family, middle, pending)
        high[pending] = torch.where(success, middle[pending], high[pending])
        low[pending] = torch.where(success, low[pending], middle[pending])
    return high


def smallest_of_draws(
    target: Target,
    draw: Callable[[int, Tensor], Family],
    draws: int,
    grid: Tensor,
    *,
    bisections: int,
    resolution: float = 0.0,
) -> tuple[Tensor, Tensor]:
    """The smallest success along any of many random curves, at one query a curve.

    The first curve is searched by `smallest_success`. Each later one is asked at one parameter, from just
    below the best so far (the end of the grid where there is none) to a sixth below it, five curves a call.

    draw: (number of curves k, best images so far (m, d)) to a Family of k curves for the active images
    Returns parameter (m,), inf where none succeeds, and images (m, d) seen to succeed there, else clean
    """
    family = draw(1, target.active[0].flatten(1))
    best = smallest_success(target, family, grid, bisections=bisections, resolution=resolution)  # (m,)
    images = family.at(best.where(best.isfinite(), 0)[None])[0]  # (m, d)
    for done in range(1, draws, _TOGETHER):
        curves = min(_TOGETHER, draws - done)
        level = 1 - _SPREAD * torch.arange(1, curves + 1, device=grid.device)[:, None] / curves
        parameter = level * torch.where(best.isfinite(), best - resolution, grid[-1])  # (k, m)
        candidates = draw(curves, images).at(parameter)
        below, first = torch.where(ask(target, candidates), parameter, torch.inf).min(dim=0)
        better = below.isfinite()
        best = torch.where(better, below, best)
        nearest = candidates[first, torch.arange(len(first), device=first.device)]
        images = torch.where(better[:, None], nearest, images)
    return best, images


def _ask_some(target: Target, family: Family, parameter: Tensor, pending: Tensor) -> Tensor:
    """Ask for the active images at positions `pending` (c,) alone, one curve each: (c,) bool."""
    with target.only(pending):
        return ask(target, family.only(pending).at(parameter[None, pending]))[0]
