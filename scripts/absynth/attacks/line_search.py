"""The smallest success along one-parameter families of perturbed images, many families and images at a time."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from absynth.attacks.target import Target


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

    def pick(self, curve: Tensor) -> "Family":
        """One curve (m,) of each image's k."""
        image = torch.arange(len(curve), device=curve.device)
        return Family(self.image, self.clean, tuple(part[curve, image][None] for part in self.parts))


def blend(clean: Tensor, ends: Tensor) -> Family:
    """The straight lines from clean images (m, d), at 0, to `ends` (k, m, d), at 1."""
    return Family(lambda step, start, end: torch.lerp(start, end, step).clamp(0, 1), clean, (ends,))


def ask(target: Target, images: Tensor) -> Tensor:
    """Whether images (k, m, d) of the m active images are misread: (k, m) bool. Asks nothing if m is 0."""
    if images.shape[1] == 0:
        return images.new_zeros(images.shape[:2], dtype=torch.bool)
    return target.adversarial(images.reshape(-1, *target.x.shape[1:])).view(images.shape[:2])


def smallest_success(
    target: Target, family: Family, grid: Tensor, *, bisections: int, resolution: float = 0.0
) -> Tensor:
    """The smallest parameter at which an image's one curve fools the model, to within its bisections.

    The values of `grid` (g,), positive and ascending, are tried in turn until one succeeds; the interval below
    it, which begins at 0 or at a value that failed, is then halved (see `bisect`).

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
    draw: Callable[[int], Family],
    draws: int,
    grid: Tensor,
    *,
    bisections: int,
    resolution: float = 0.0,
    together: int = 25,
) -> tuple[Tensor, Tensor]:
    """The smallest success along any of many random curves, at little more than one query a curve.

    The first curve is searched by `smallest_success`. Each later one is asked just below the best parameter so
    far (at the end of the grid where there is none); of the curves, `together` at a time, that succeed there the
    first is bisected. draw(k): a Family of k curves for the active images.

    Returns parameter (m,), inf where none succeeds, and images (m, d) that were seen to succeed there, else clean
    """
    family = draw(1)
    best = smallest_success(target, family, grid, bisections=bisections, resolution=resolution)  # (m,)
    images = family.at(best.where(best.isfinite(), 0)[None])[0]
    for done in range(1, draws, together):
        family = draw(min(together, draws - done))
        step = (best * 2.0**-bisections).clamp(min=resolution)
        limit = torch.where(best.isfinite(), best - step, grid[-1])
        below = ask(target, family.at(limit.expand(len(family.parts[0]), -1)))  # (k, m)
        better = below.any(dim=0).nonzero().squeeze(1)
        family = family.pick(below.int().argmax(dim=0)).only(better)
        with target.only(better):
            high = limit[better]
            best[better] = bisect(
                target, family, torch.zeros_like(high), high, bisections=bisections, resolution=resolution
            )
        images[better] = family.at(best[better][None])[0]
    return best, images


def _ask_some(target: Target, family: Family, parameter: Tensor, pending: Tensor) -> Tensor:
    """Ask for the active images at positions `pending` (c,) alone, one curve each: (c,) bool."""
    with target.only(pending):
        return ask(target, family.only(pending).at(parameter[None, pending]))[0]
