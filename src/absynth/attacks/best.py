"""The nearest adversarial of each image over all that an attack asked for, and those that were it before."""

import torch
from torch import Tensor

from absynth.attacks.postprocessing import nearest_alike
from absynth.norms import distance

_HISTORY = 24  # former bests kept for each image
_STEP = 0.95  # a new best must be this much nearer than the last one recorded


class BestAdversarial:
    """What was nearest to images x (n, 1, 28, 28) in a norm; with a `threshold` distances are those after
    post-processing (`nearest_alike`), though images are kept as they were asked for.

    best (n, 1, 28, 28): nearest adversarial so far, the clean image where there is none
    distance (n,) float64: inf where there is none
    history (k, n, 1, 28, 28): adversarials that were the best before, in no order, the clean image where there are
        fewer; where the reference does not accept the best, it may accept one of these
    """

    def __init__(self, x: Tensor, norm: str, threshold: float | None = None):
        self.x, self.norm, self.threshold = x, norm, threshold
        self.best = x.clone()
        self.distance = torch.full((len(x),), torch.inf, dtype=torch.float64, device=x.device)
        self.history = x.expand(_HISTORY, *x.shape).clone()
        self._recorded = self.distance.clone()  # of the last best that went into the history, (n,)
        self._next = torch.zeros(len(x), dtype=torch.int64, device=x.device)  # its next place there

    def measure(self, rows: Tensor, images: Tensor) -> Tensor:
        """The distances (m,) that images (m, 1, 28, 28) for `rows` (m,) would be recorded with."""
        x = self.x[rows]
        return distance(x, nearest_alike(x, images, self.threshold), self.norm)

    def offer(self, rows: Tensor, images: Tensor, misclassified: Tensor) -> None:
        """Keep those images (m, 1, 28, 28) for `rows` (m,) that are misclassified (m,) and nearer than the best so far.

        The clean image itself is none, though the inference attacked may misclassified it where the reference does not.
        """
        candidate = self.measure(rows, images)
        nearer = misclassified & (candidate > 0) & (candidate < self.distance[rows])
        rows, images, candidate = rows[nearer], images[nearer], candidate[nearer]
        self._record(rows[candidate < _STEP * self._recorded[rows]])
        self.best[rows] = images.to(self.best.dtype)
        self.distance[rows] = candidate

    def roll_back(self, rows: Tensor) -> None:
        """Give up the best of `rows` for the nearest of those that were it before and lie a step further away."""
        former = torch.stack([self.measure(rows, images) for images in self.history[:, rows]])  # (k, m)
        former[former < self.distance[rows] / _STEP] = torch.inf
        self.distance[rows], place = former.min(dim=0)
        found = self.distance[rows].isfinite()
        self.best[rows] = torch.where(found[:, None, None, None], self.history[place, rows], self.x[rows])
        self._recorded[rows] = self.distance[rows]
        rows, place = rows[found], place[found]
        self.history[place, rows] = self.x[rows]
        self._next[rows] = place

    def _record(self, rows: Tensor) -> None:
        """Put the best of `rows` into the history before nearer ones take their place."""
        rows = rows[self.distance[rows].isfinite()]
        self.history[self._next[rows], rows] = self.best[rows]
        self._recorded[rows] = self.distance[rows]
        self._next[rows] = (self._next[rows] + 1) % _HISTORY
