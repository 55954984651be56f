"""The session of a model that decides by the least energy over images: few of them are compared with a query."""

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from absynth.models.base import NeighbourLogits, latest
from absynth.models.checks import check_images
from absynth.models.decisions import DecisionSearch
from absynth.models.metric import rounding
from absynth.models.shortlist import Shortlists, class_spans, list_images, nearest_listed, slack

if TYPE_CHECKING:
    from absynth.models.least_energy import LeastEnergy

_OF_CLASS = 64  # images of each class listed for a query
_WORK = 8000  # energies computed from a list, after which a new one costs no more
_SHARE = 0.1  # of it, after which a list is renewed if another has to be
_LOOKED_UP = 1024  # queries whose lists are looked through at a time: 32 MB
_QUERIES = 256  # queries compared with all images at a time


class _Search:
    """Finds the images of least energy in spans of a model's images, for queries near n images.

    Each row, an image, keeps the lists of one of its queries. They answer for a query near that one; a query that is
    too far away is compared with all images, and its lists replace the row's.
    """

    def __init__(self, model: "LeastEnergy", n: int, spans: Sequence[slice], length: int):
        self.model, self.spans, images = model, spans, model.images
        self.length = length = min(length, max(span.stop - span.start for span in spans))
        self.asked = images.new_full((n, images.shape[1]), torch.nan, dtype=torch.float64)
        self.lists = Shortlists.empty(n, len(spans), length, images)
        self.work = torch.zeros(n, dtype=torch.int64, device=images.device)

    def nearest(self, x: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """The positions (q, S) for queries x (q, d) of `rows` (q,), and whether (q,) they are known to be right."""
        parts = [
            self._nearest(*part) for part in zip(x.split(_LOOKED_UP), rows.split(_LOOKED_UP), strict=True)
        ]
        found, covered = zip(*parts, strict=True)
        return torch.cat(found), torch.cat(covered)

    def _nearest(self, x: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        mask, covered = self._within(x, rows)
        missed = ~covered | (self.work[rows] > _WORK)
        if missed.any():
            missed |= self.work[rows] > _WORK * _SHARE  # many queries at a time take little longer than one
            self._list(x[missed], rows[missed])
            renewed = torch.zeros_like(self.work, dtype=torch.bool).index_fill_(0, rows[missed], True)[rows]
            mask[renewed], covered[renewed] = self._within(x[renewed], rows[renewed])
        mask &= covered[:, None, None]
        self.work.index_add_(0, rows, mask.flatten(1).sum(dim=1))
        return nearest_listed(self.model, x, self.lists, rows, mask), covered

    def _list(self, x: Tensor, rows: Tensor) -> None:
        """List the images for the last of the queries x (q, d) of each of `rows` (q,)."""
        last = latest(rows, len(self.asked))
        for part, of in zip(x[last].split(_QUERIES), rows[last].split(_QUERIES), strict=True):
            lists = list_images(self.model, part, self.spans, self.length, self.model.metric)
            self.lists.put(of, lists)
            self.asked[of], self.work[of] = part.double(), 0

    def _within(self, x: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Which images listed for `rows` may have the least energy, and whether no other may."""
        model, metric, asked = self.model, self.model.metric, self.asked[rows]
        change = x.double() - asked  # (q, d)
        apart = asked - metric.mean
        norm = change.norm(dim=1)
        raised = norm.square() + 2 * (change * apart).sum(dim=1)  # κ
        error = rounding(change) * norm * (norm + 2 * apart.norm(dim=1))
        known = model.energies(x[:, None], self.lists.places[rows, :, 0])  # (q, S)
        limit = known * (1 + slack(model)) - (raised - error)[:, None]
        return self.lists.within(rows, metric.length(change.to(model.images.dtype)), limit)


class ShortlistSession:
    """Answers queries near n images from lists of few of the model's images, to the bit as the model does."""

    def __init__(self, model: "LeastEnergy", n: int):
        self.model, self.n = model, n
        counts = torch.tensor(model.counts, device=model.images.device)
        self.labels = torch.arange(len(counts), device=counts.device).repeat_interleave(counts)
        self.of_class = _Search(model, n, class_spans(model.counts), _OF_CLASS)

    @cached_property
    def of_all(self) -> DecisionSearch:
        """What decisions ask; many attacks ask for none."""
        return DecisionSearch(self.model, self.n)

    def logits(self, queries: Tensor, rows: Tensor) -> Tensor:
        """Logits (q, C) of queries (q, *shape) that belong to `rows` (q,), differentiable."""
        check_images(queries, self.model.shape)
        flat = queries.flatten(1)
        x = flat.detach()
        with torch.no_grad():
            found, covered = self.of_class.nearest(x, rows)
            if not covered.all():
                found[~covered] = self.model.nearest(x[~covered])
        return self.model.logits_at(flat, found)

    @torch.no_grad()
    def predict(self, queries: Tensor, rows: Tensor) -> Tensor:
        """The classes (q,) of queries (q, *shape) that belong to `rows` (q,)."""
        check_images(queries, self.model.shape)
        return self.labels[self.of_all.nearest(queries.flatten(1), rows)]  # images are sorted by class

    def neighbour_logits(self, queries: Tensor, rows: Tensor) -> NeighbourLogits:
        """What answers for neighbours of queries of `rows` (m,): as exactly, whatever the session keeps."""
        return lambda neighbours, position: self.logits(neighbours, rows[position])

    def drop_adversarials(self, rows: Tensor) -> None:
        """Nothing is kept of them."""
