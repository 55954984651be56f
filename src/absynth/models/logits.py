"""How far the logits of an image lie apart: the measure of what is rounding in them."""

import torch
from torch import Tensor

_MASKED = 100  # a gap so many times as large as all above it separates classes that are masked


def unmasked(logits: Tensor) -> Tensor:
    """Which classes (n, K) bool of each image are not masked, by finite logits (n, K).

    A model that leaves classes out adds a large negative number to their logits, beside which any difference of the
    others would pass for rounding. Masked is what follows, from the highest down, a gap of more than 100 times the
    range of those before it, their absolute value and 1; two classes at least are not.
    """
    ranked, order = logits.double().sort(dim=1, descending=True)
    below = ranked[:, :1] - ranked  # the highest, (n, K)
    least = torch.maximum(below, ranked[:, :1].abs()).clamp(min=1)
    cut = torch.zeros_like(below, dtype=torch.bool)
    cut[:, 2:] = ranked[:, 1:-1] - ranked[:, 2:] > _MASKED * least[:, 1:-1]
    return torch.zeros_like(cut).scatter(1, order, cut.cumsum(dim=1) == 0)


def extent(logits: Tensor) -> Tensor:
    """The range (n,) float64 of the logits (n, K) of each image, without those of classes that are masked."""
    low = logits.double().masked_fill(~unmasked(logits), torch.inf).amin(dim=1)
    return logits.double().amax(dim=1) - low
