"""The best adversarial of each image over all that an attack asked for, and those that were the best before."""

import math

import torch
from torch import Tensor

from absynth.attacks.postprocessing import closest_equivalent
from absynth.norms import NORMS, distance

_HISTORY = 24  # former best adversarials kept for each image
_STEP = (
    0.95  # a new best must have at most this share of the distance of the last one that entered the history
)
_TINY = 1e-18  # of distances this small the squares are rounded coarsely, or to zero, in float32


class BestAdversarial:
    """The adversarials of smallest distance to images x (n, c, h, w) in a norm.

    With a `threshold` distances are those after post-processing (`closest_equivalent`), though images are kept as
    they were asked for.

    best (n, c, h, w): best adversarial so far, the clean image where there is none
    distance (n,) float64: inf where there is none
    history (k, n, c, h, w): adversarials that were the best before, in no order, the clean image where there are
        fewer; where the reference model does not confirm the best, it may confirm one of these
    """

    def __init__(self, x: Tensor, norm: str, threshold: float | None = None):
        self.x, self.norm, self.threshold = x, norm, threshold
        self.best = x.clone()
        self.distance = torch.full((len(x),), torch.inf, dtype=torch.float64, device=x.device)
        self.history = x.expand(_HISTORY, *x.shape).clone()
        self._entered = self.distance.clone()  # of the last best that entered the history, (n,)
        self._next = torch.zeros(len(x), dtype=torch.int64, device=x.device)  # its next place there

    def measure(self, rows: Tensor, images: Tensor) -> Tensor:
        """The distances (m,) with which images (m, c, h, w) for `rows` (m,) would be recorded."""
        x = self.x.index_select(0, rows)
        return distance(x, closest_equivalent(x, images, self.threshold), self.norm)

    def offer(self, rows: Tensor, images: Tensor, misclassified: Tensor) -> None:
        """Keep those images (m, c, h, w) for `rows` (m,) that are misclassified (m,) and improve on the best.

        The clean image itself never counts, though fast inference may misclassify it where the reference does not.
        """
        # Positions, not masks: with each mask that indexes the CPU waits for a GPU, and most queries improve nothing.
        asked = (misclassified & self.near(rows, images)).nonzero().squeeze(1)
        if not len(asked):
            return
        if len(asked) < len(rows):
            rows, images = rows[asked], images.index_select(0, asked)
        candidate = self.measure(rows, images)
        improved = ((candidate > 0) & (candidate < self.distance[rows])).nonzero().squeeze(1)
        if not len(improved):
            return
        if len(improved) < len(rows):
            rows, images, candidate = rows[improved], images.index_select(0, improved), candidate[improved]
        self._enter(rows, candidate)
        self.best[rows] = images.to(self.best.dtype)
        self.distance[rows] = candidate

    def near(self, rows: Tensor, images: Tensor) -> Tensor:
        """Which images (m, c, h, w) may improve on the best of `rows` (m,): all that do, and few others.

        Distances in float32 tell at less cost: they exceed the exact ones by less than `slack`, relative.
        """
        x = self.x.index_select(0, rows)
        if images.dtype != torch.float32 or x.dtype != torch.float32:
            return torch.ones_like(rows, dtype=torch.bool)
        roughly = NORMS[self.norm].measure(closest_equivalent(x, images, self.threshold) - x)  # (m,)
        slack = (math.prod(x.shape[1:]) + 8) * torch.finfo(torch.float32).eps
        return roughly <= self.distance[rows] * (1 + slack) + _TINY

    def roll_back(self, rows: Tensor) -> None:
        """Replace the best of `rows` by the best one in its history that has a distance one step larger."""
        former = torch.stack([self.measure(rows, images) for images in self.history[:, rows]])  # (k, m)
        former[former < self.distance[rows] / _STEP] = torch.inf
        self.distance[rows], place = former.min(dim=0)
        found = self.distance[rows].isfinite()
        self.best[rows] = torch.where(found[:, None, None, None], self.history[place, rows], self.x[rows])
        self._entered[rows] = self.distance[rows]
        rows, place = rows[found], place[found]
        self.history[place, rows] = self.x[rows]
        self._next[rows] = place

    def _enter(self, rows: Tensor, candidate: Tensor) -> None:
        """Put the best of `rows` into the history where the candidates that take its place are far enough below."""
        former = self.distance[rows]
        enters = (former.isfinite() & (candidate < _STEP * self._entered[rows])).nonzero().squeeze(1)
        if not len(enters):
            return
        rows, former = rows[enters], former[enters]
        self.history[self._next[rows], rows] = self.best[rows]
        self._entered[rows] = former
        self._next[rows] = (self._next[rows] + 1) % _HISTORY
