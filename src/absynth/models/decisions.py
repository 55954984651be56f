"""The image of least energy of all, for queries near n images: from lists of few, or from bounds on all energies."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from absynth.models.base import latest
from absynth.models.quantized import BLOCK
from absynth.models.row_lists import RowLists
from absynth.models.shortlist import slack

if TYPE_CHECKING:
    from absynth.models.least_energy import LeastEnergy

_QUERIES = 128  # compared with all images at a time: 31 MB for MNIST
_LOOKED_UP = 1024  # looked up in lists at a time
_PAIRS = 512  # energies computed from differences at a time, so that they stay in the cache


class DecisionSearch:
    """Finds the position of the image of least energy, as computed, the first of equals, for queries near n images.

    Each row, an image, keeps a list of one of its queries, once two of them were close enough for it to be of use.
    A query is compared with the images listed if these are shown to suffice, else with all. Both ways only those are
    compared exactly whose lower bound (`Quantized`) leaves them a chance. There are lists on the CPU alone: elsewhere
    it is cheaper to compare with all images.
    """

    def __init__(self, model: "LeastEnergy", n: int):
        self.model, self.quantized = model, model.quantized
        self.lists = RowLists(model, n) if model.images.device.type == "cpu" else None
        self.winner = torch.zeros(
            n, dtype=torch.int64, device=model.images.device
        )  # of each row's last query
        start = self.quantized.start
        # Kept, since memory costs a third of the time that it takes to fill when it is allocated each time.
        self.products = torch.empty(_QUERIES, len(start), dtype=torch.int32, device=start.device)

    def nearest(self, x: Tensor, rows: Tensor) -> Tensor:
        """The positions (q,) for queries x (q, d), in [0, 1], of `rows` (q,)."""
        if not len(rows):
            return rows.clone()
        parts = zip(x.split(_LOOKED_UP), rows.split(_LOOKED_UP), strict=True)
        return torch.cat([self._nearest(*part) for part in parts])

    def _nearest(self, x: Tensor, rows: Tensor) -> Tensor:
        codes, constant = self.quantized.of_queries(x)
        found, missed = self.winner[rows], torch.ones_like(rows, dtype=torch.bool)
        if self.lists is not None:
            listed = self.lists.listed[rows].nonzero().squeeze(1)
            if len(listed):
                part = (value[listed] for value in (x, rows, codes, constant, found))
                found[listed], missed[listed] = self._look_up(self.lists, *part)
        for some in missed.nonzero().squeeze(1).split(_QUERIES) if missed.any() else ():
            bounds = self.quantized.bounds(codes[some], self.products[: len(some)])
            found[some] = self._of_all(x[some], bounds, constant[some])
            if self.lists is not None:
                last = latest(rows[some], len(self.winner))
                at = some[last]
                self.lists.offer(x[at].double(), rows[at], bounds[last], constant[at])
        last = latest(rows, len(self.winner))
        self.winner[rows[last]] = found[last]
        return found

    def _look_up(
        self, lists: RowLists, x: Tensor, rows: Tensor, codes: Tensor, constant: Tensor, found: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The positions (q,) from lists, and which queries (q,) to compare with all images.

        found (q,): any positions, best of images with low energies
        """
        known = self.model.energies(x[:, None], found[:, None])[:, 0]
        limit = known.double() * (1 + slack(self.model))
        query, place, missed, worn = lists.find(x.double(), rows, limit, codes, constant)
        if missed.any():  # many queries at a time take little longer than one
            missed = worn
        return self._least(x, found, known, query, place), missed

    def _of_all(self, x: Tensor, bounds: Tensor, constant: Tensor) -> Tensor:
        """The positions (q,), from bounds F (q, M) on all energies."""
        blocks = bounds.view(len(x), -1, BLOCK)
        lowest = blocks.amin(dim=2)
        block = lowest.argmin(dim=1)
        each = torch.arange(len(x), device=x.device)
        found = block * BLOCK + blocks[each, block].argmin(dim=1)
        known = self.model.energies(x[:, None], found[:, None])[:, 0]
        limit = known.double() * (1 + slack(self.model))
        threshold = self.quantized.threshold(limit, constant)
        query, block = (lowest <= threshold[:, None]).nonzero(as_tuple=True)
        at, slot = (blocks[query, block] <= threshold[query, None]).nonzero(as_tuple=True)
        place = block[at] * BLOCK + slot
        return self._least(x, found, known, query[at], place)

    def _least(self, x: Tensor, found: Tensor, known: Tensor, query: Tensor, place: Tensor) -> Tensor:
        """The position (q,) of the least energy, of `known` (q,) at `found` (q,) and others' at `place` (p,).

        query (p,): which of the queries x (q, d) these belong to
        """
        other = place != found[query]
        query, place = query[other], place[other]
        if not len(query):
            return found
        parts = zip(query.split(_PAIRS), place.split(_PAIRS), strict=True)
        energy = torch.cat([self.model.energies(x[some], places) for some, places in parts])
        least = known.scatter_reduce(0, query, energy, "amin")
        first = torch.where(known == least, found, len(self.model.images))
        tied = energy == least[query]
        return first.scatter_reduce(0, query[tied], place[tied], "amin")
