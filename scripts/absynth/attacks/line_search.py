"""The smallest success along one-parameter families of perturbed images, many families and images at a time."""

from collections.abc import Callable

import torch
from torch import Tensor

from absynth.attacks.target import Target

# Images (k, c, d) of k families at parameters (k, c), for the `chosen` (c,) positions among the active images.
Family = Callable[[Tensor, Tensor], Tensor]


def ask(target: Target, images: Tensor) -> Tensor:
    """Whether images (k, m, d) of the m active images are misread: (k, m) bool. Asks nothing if m is 0."""
    if images.shape[1] == 0:
        return images.new_zeros(images.shape[:2], dtype=torch.bool)
    return target.adversarial(images.reshape(-1, *target.x.shape[1:])).view(images.shape[:2])


def blend(clean: Tensor, ends: Tensor) -> Family:
    """The straight lines from clean images (m, d), at 0, to `ends` (k, m, d), at 1."""
    return lambda step, chosen: torch.lerp(clean[chosen], ends[:, chosen], step[..., None]).clamp(0, 1)


def smallest_success(
    target: Target, family: Family, families: int, grid: Tensor, *, bisections: int, resolution: float = 0.0
) -> Tensor:
    """The smallest parameter at which each family fools the model, to within its bisections.

    The values of `grid` (g,), positive and ascending, are tried in turn until one succeeds; the interval below
    it, which begins at 0 or at a value that failed, is then halved (see `bisect`).

    Returns (families, m), inf where no value of the grid succeeds; what it returns was itself seen to succeed
    """
    low = grid.new_zeros(families, len(target.rows))
    high = torch.full_like(low, torch.inf)
    for value in grid:
        pending = high.isinf()
        images = pending.any(dim=0).nonzero().squeeze(1)  # those with a family still to succeed
        if not len(images):
            break
        success = _ask_some(target, family, value.expand(families, len(target.rows)), images)
        high = torch.where(success & pending, value, high)
        low = torch.where(~success & pending, value, low)
    return bisect(target, family, low, high, bisections=bisections, resolution=resolution)


def bisect(
    target: Target, family: Family, low: Tensor, high: Tensor, *, bisections: int, resolution: float = 0.0
) -> Tensor:
    """Halve the intervals from `low`, which fails, to `high`, which succeeds; return the last success.

    low, high (families, m): where high is inf, the answer is inf. Intervals no wider than `resolution` are left.
    """
    for _ in range(bisections):
        pending = high.isfinite() & (high - low > resolution)
        images = pending.any(dim=0).nonzero().squeeze(1)
        if not len(images):
            break
        # A family that is done is asked again at its answer, in the company of the image's other families.
        middle = torch.where(pending, (low + high) / 2, high.where(high.isfinite(), low))
        success = _ask_some(target, family, middle, images)
        high = torch.where(success & pending, middle, high)
        low = torch.where(~success & pending, middle, low)
    return high


def _ask_some(target: Target, family: Family, parameter: Tensor, images: Tensor) -> Tensor:
    """Ask for the active images at positions `images` only; (k, m) bool, False for the others."""
    success = torch.zeros_like(parameter, dtype=torch.bool)
    with target.only(images):
        success[:, images] = ask(target, family(parameter[:, images], images))
    return success
