"""Batches and learning rates: functions of the epoch and the generator, so that a resumed training repeats them."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.optim import Optimizer


def batches(n: int, size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Yield shuffled batches of indices that cover range(n) once; a last batch of one joins the one before it."""
    order = torch.randperm(n, generator=generator)
    starts = list(range(0, n, size))
    if len(starts) > 1 and n - starts[-1] == 1:  # batch norm cannot train on a single image
        starts.pop()
    for start, stop in zip(starts, [*starts[1:], n], strict=True):
        yield order[start:stop]


def cosine_rate(optimizer: Optimizer, peak: float, epoch: int, epochs: int) -> None:
    """Set the learning rate: half a cosine, from `peak` in the first epoch down to 2 % of it."""
    fraction = epoch / max(1, epochs)
    rate = peak * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * fraction)))
    for group in optimizer.param_groups:
        group["lr"] = rate
