"""What an attack sees of a model: every query is counted, and the nearest adversarial of all is kept."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from absynth.attacks.distances import distance
from absynth.attacks.following import Following

_TRAIL = 24  # former bests kept for each image
_STEP = 0.95  # a new best must be this much nearer than the last one recorded


class Target(nn.Module):
    """A model under attack by images x with labels y, in one norm.

    Called like the model, on a multiple of the active images, image by image in the order of `rows`:
    (k · len(rows), 1, 28, 28). Each answer is held against its clean image, so that the nearest adversarial
    over *all* queries is kept and not only the last that an attack returns. A model that can infer from what it
    found nearby (it has a method `infer_near`) does so.

    rows (m,): which images are active, all at first; `only` narrows them for a while
    best (n, 1, 28, 28): nearest adversarial so far, the clean image where there is none
    best_distance (n,) float64: inf where there is none
    trail (k, n, 1, 28, 28): adversarials that were the best before, in no order, the clean image where there are
        fewer; where the reference does not accept the best, it may accept one of these
    queries, gradients (n,) int64: images asked for, and how many of them with a gradient
    """

    def __init__(self, model: nn.Module, x: Tensor, y: Tensor, norm: str):
        super().__init__()
        self.model, self.x, self.y, self.norm = model, x, y, norm
        self.following = Following(model, len(x)) if hasattr(model, "infer_near") else None
        self.rows = torch.arange(len(x), device=x.device)
        self.best = x.clone()
        self.best_distance = torch.full((len(x),), torch.inf, dtype=torch.float64, device=x.device)
        self.trail = x.expand(_TRAIL, *x.shape).clone()
        self._recorded = (
            self.best_distance.clone()
        )  # distance of the last best that went into the trail, (n,)
        self._next = torch.zeros(len(x), dtype=torch.int64, device=x.device)  # its next place there
        self.queries = torch.zeros(len(x), dtype=torch.int64, device=x.device)
        self.gradients = torch.zeros_like(self.queries)

    @property
    def active(self) -> tuple[Tensor, Tensor]:
        """The active images and their labels."""
        return self.x[self.rows], self.y[self.rows]

    @contextmanager
    def only(self, chosen: Tensor) -> Iterator["Target"]:
        """Make only `chosen` of the active images active: a mask or positions (m,) within `rows`."""
        before = self.rows
        self.rows = before[chosen]
        try:
            yield self
        finally:
            self.rows = before

    def forward(self, queries: Tensor) -> Tensor:
        """Logits (k · m, 10) of queries (k · m, 1, 28, 28); k blocks of the m active images."""
        blocks = self._blocks(queries)
        if self.following:
            logits = self.following(queries, self.rows.repeat(blocks))
        else:
            logits = self.model(queries)
        self.queries[self.rows] += blocks
        if logits.requires_grad:
            rows = self.rows
            logits.register_hook(lambda gradient: self._count_gradients(rows, blocks))
        self.offer(queries.detach(), logits.detach().argmax(dim=1))
        return logits

    def adversarial(self, queries: Tensor) -> Tensor:
        """Whether the model misreads queries (k · m, 1, 28, 28): (k · m,) bool."""
        with torch.no_grad():
            return self(queries).argmax(dim=1) != self.y[self.rows].repeat(self._blocks(queries))

    def offer(self, queries: Tensor, prediction: Tensor) -> None:
        """Keep those queries (k · m, 1, 28, 28) that are misread and nearer than the best so far.

        The clean image itself is none, though the inference attacked may misread it where the reference does not.
        """
        for block, predicted in zip(
            queries.split(len(self.rows)), prediction.split(len(self.rows)), strict=True
        ):
            candidate = distance(self.x[self.rows], block, self.norm)
            misread = (predicted != self.y[self.rows]) & (candidate > 0)
            nearer = misread & (candidate < self.best_distance[self.rows])
            rows = self.rows[nearer]
            self._record(rows[candidate[nearer] < _STEP * self._recorded[rows]])
            self.best[rows] = block[nearer].to(self.best.dtype)
            self.best_distance[rows] = candidate[nearer]

    def _record(self, rows: Tensor) -> None:
        """Put the best of `rows` into the trail before nearer ones take their place."""
        rows = rows[self.best_distance[rows].isfinite()]
        self.trail[self._next[rows], rows] = self.best[rows]
        self._recorded[rows] = self.best_distance[rows]
        self._next[rows] = (self._next[rows] + 1) % _TRAIL

    def _blocks(self, queries: Tensor) -> int:
        blocks, rest = divmod(len(queries), max(1, len(self.rows)))
        if rest:
            raise ValueError(f"{len(queries)} queries are no multiple of the {len(self.rows)} active images")
        return blocks

    def _count_gradients(self, rows: Tensor, blocks: int) -> None:
        self.gradients[rows] += blocks
