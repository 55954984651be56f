"""For each of n images the list of one query near it: images that may be near other such queries too, with codes."""

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from absynth.models.base import latest
from absynth.models.quantized import UNIT, integer_products, less_products

if TYPE_CHECKING:
    from absynth.models.least_energy import LeastEnergy

_LONG = 1024  # images listed
_SHORT = (64, 256)  # that a query is compared with, if they suffice
_MEMORY = 2**27  # bytes of the codes of all lists, at most
_SAMPLED = 16  # one image in so many tells how far a list would reach
_LISTED = 8  # queries listed at a time, whose bounds stay in the cache
_WORN = 0.05  # the share of that which a list needs to have left, lest it be renewed together with others


class Entries(NamedTuple):
    """Images that lists are chosen from: m that all queries share, or m of each of n rows, one after the other.

    places: positions of images; spread: their factors of the metric, float32; start, codes (…, k): see `Quantized`
    """

    places: Tensor
    spread: Tensor
    start: Tensor
    codes: Tensor


class Prefixes:
    """A list of each of n rows: images chosen from entries, and a bound on the energies of those not in a prefix.

    A list, of a query p, is sorted by (F_u(p) - min F(p)) / n_u, where n_u are the images' factors of the metric.
    lengths: of the prefixes, in rising order
    """

    def __init__(self, model: "LeastEnergy", n: int, lengths: list[int]):
        self.metric, self.quantized, self.lengths = model.metric, model.quantized, lengths
        device = model.images.device
        self.ends = torch.stack(self.metric.spread.aminmax())
        self.asked = torch.full(
            (n, model.images.shape[1]), torch.nan, dtype=torch.float64, device=device
        )  # p
        self.listed = torch.zeros(n, dtype=torch.bool, device=device)
        size = n * lengths[-1]
        self.entries = Entries(
            torch.zeros(size, dtype=torch.int64, device=device),
            torch.ones(size, device=device),
            self.quantized.start.new_zeros(size),
            self.quantized.codes.new_empty(size, self.quantized.codes.shape[1]),
        )
        self.least = torch.zeros_like(self.asked[:, 0])  # a bound on all entries' energies at p
        self.rest = self.asked.new_zeros(n, len(lengths))  # on those not in each prefix
        self.slope = torch.zeros_like(self.rest)  # what these exceed `least` by, as a multiple of n_u

    def margin(self, x: Tensor, rows: Tensor, limit: Tensor, enough: Tensor) -> Tensor:
        """By how much (q, P) the energies of all entries not in a prefix exceed `limit` (q,) at queries x (q, d).

        It is a lower bound: where it is 0 or less, they may not. A better one is looked for below `enough`.
        """
        asked = self.asked[rows]
        change = x - asked
        most = torch.maximum(change * self.quantized.low, change * self.quantized.high)
        gain = (change * (x + asked) - 2 * most).sum(dim=1)
        margin = self.rest[rows] + (gain - limit)[:, None]  # (q, P)
        hard = (margin[:, 0] < enough).nonzero().squeeze(1)
        if len(hard):
            others = self._margin(change[hard], asked[hard], rows[hard], limit[hard])
            margin[hard] = torch.maximum(margin[hard], others)
        return margin

    def _margin(self, change: Tensor, asked: Tensor, rows: Tensor, limit: Tensor) -> Tensor:
        """The same by the metric."""
        raised = (change * (change + 2 * (asked - self.metric.mean))).sum(dim=1)  # κ
        length = self.metric.length(change.to(self.metric.axes.dtype))
        tilt = self.slope[rows] - 2 * length[:, None]
        lowest = torch.minimum(tilt * self.ends[0], tilt * self.ends[1])
        return lowest + (self.least[rows] + raised - limit)[:, None]

    def bounds(self, queries: Tensor, rows: Tensor, length: int) -> Tensor:
        """F (q, length) of a prefix, at queries with codes (q, k) that are sorted by their rows (q,)."""
        product = torch.empty(len(rows), length, dtype=torch.int32, device=rows.device)
        row, count = rows.unique_consecutive(return_counts=True)
        begin = 0
        for at, size in zip(row.tolist(), count.tolist(), strict=True):  # each row has images of its own
            end = begin + size
            first = at * self.lengths[-1]
            codes = self.entries.codes[first : first + length]
            integer_products(queries[begin:end], codes, out=product[begin:end])
            begin = end
        return less_products(self.of_rows(self.entries.start)[rows, :length], product)

    def of_rows(self, part: Tensor) -> Tensor:
        """One of the entries' parts, row by row: (n, L, …)."""
        return part.unflatten(0, (-1, self.lengths[-1]))

    def put(self, x: Tensor, rows: Tensor, bounds: Tensor, constant: Tensor, entries: Entries) -> None:
        """List queries x (q, d), each of another row (q,), with F (q, m) of the entries and c (q,)."""
        least, count = bounds.amin(dim=1), bounds.shape[1]
        shared = len(entries.places) == count
        begin = torch.zeros_like(rows) if shared else rows * count  # of each row's entries
        spread = entries.spread if shared else entries.spread.unflatten(0, (-1, count))[rows]
        slope = (bounds - least[:, None]) / spread
        slope, chosen = slope.topk(self.lengths[-1], dim=1, largest=False)
        for row, index in zip(
            rows.tolist(), begin[:, None] + chosen, strict=True
        ):  # many times as fast as at once
            for known, part in zip(self.entries, entries, strict=True):
                torch.index_select(part, 0, index, out=self.of_rows(known)[row])
        self.asked[rows], self.listed[rows] = x, True
        self.least[rows] = UNIT * least.double() + constant
        listed = bounds.gather(1, chosen)
        rest = bounds.scatter(1, chosen, torch.iinfo(bounds.dtype).max).amin(dim=1)
        for at in reversed(range(len(self.lengths))):
            length = self.lengths[at]
            self.rest[rows, at] = UNIT * rest.double() + constant if length < count else torch.inf
            tilt = UNIT * slope[:, length - 1].double() * (1 - 2**-20)  # float32's rounding
            self.slope[rows, at] = tilt if length < count else torch.inf
            if at:
                rest = rest.minimum(listed[:, self.lengths[at - 1] : length].amin(dim=1))


class RowLists:
    """Long lists, and short ones that are chosen from these as often as they do not suffice."""

    def __init__(self, model: "LeastEnergy", n: int):
        self.metric, self.quantized = model.metric, model.quantized
        codes, count = self.quantized.codes, len(model.images)
        most = max(max(_SHORT), _MEMORY // (max(1, n) * codes.shape[1] * codes.element_size()))
        self.long = Prefixes(model, n, [min(_LONG, most, count)])
        self.short = Prefixes(model, n, sorted({min(length, count) for length in _SHORT}))
        places = torch.arange(count, device=codes.device)
        self.all = Entries(places, self.metric.spread.float(), self.quantized.start[:count], codes[:count])
        self.typical = self.metric.spread.median()
        self.offered = torch.full_like(self.long.asked, torch.nan)  # the last query of each row offered
        self.reach: Tensor | None = None  # how far above the least energy long lists reach, about

    @property
    def listed(self) -> Tensor:
        """The rows (n,) that have lists."""
        return self.long.listed

    def find(
        self, x: Tensor, rows: Tensor, limit: Tensor, codes: Tensor, constant: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Images that may have energies of at most `limit` (q,) at queries x (q, d) of `rows` (q,) that have lists.

        codes (q, k), constant (q,): of the queries, see `Quantized.of_queries`
        Returns positions of query and image, (p,) both; for which queries (q,) not all are known, and for which
        (q,) the list should be renewed if any is, those among them.
        """
        assert self.reach is not None
        worn = _WORN * self.reach
        outside = self.long.margin(x, rows, limit, worn)[:, 0]
        missed = outside <= 0
        inside = self.short.margin(x, rows, limit, torch.zeros_like(worn)) > 0
        need = (~inside).sum(dim=1)  # a longer prefix suffices where a shorter one does
        need = torch.zeros_like(self.listed, dtype=torch.int64).scatter_reduce(0, rows, need, "amax")[rows]
        need[missed] = -1
        threshold = self.quantized.threshold(limit, constant)
        order = (need * len(self.listed) + rows).argsort(stable=True)
        found = [(order[:0], order[:0])]
        for level in range(len(self.short.lengths) + 1):
            chosen = order[need[order] == level]
            if len(chosen):
                found.append(self._find(level, x, chosen, rows, codes, threshold, constant))
        query, place = (torch.cat(parts) for parts in zip(*found, strict=True))
        return query, place, missed, outside <= worn

    def _find(
        self,
        level: int,
        x: Tensor,
        chosen: Tensor,
        rows: Tensor,
        codes: Tensor,
        threshold: Tensor,
        constant: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """The same of the queries `chosen` (q,), by a prefix of the short lists, or the long ones."""
        short, at = level < len(self.short.lengths), rows[chosen]
        lists = self.short if short else self.long
        bounds = lists.bounds(codes[chosen], at, lists.lengths[level if short else 0])
        query, slot = (bounds <= threshold[chosen, None]).nonzero(as_tuple=True)
        place = lists.of_rows(lists.entries.places)[at[query], slot]
        if not short:
            last = latest(at, len(self.listed))
            row, index = at[last], chosen[last]
            self.short.put(x[index], row, bounds[last], constant[index], self.long.entries)
        return chosen[query], place

    def offer(self, x: Tensor, rows: Tensor, bounds: Tensor, constant: Tensor) -> None:
        """List queries x (q, d), each of another row (q,), that are near the last one offered of their row.

        bounds (q, M), constant (q,): F and c at these queries
        """
        bounds, length = bounds[:, : len(self.all.places)], self.long.lengths[-1]
        if self.reach is None:
            some = bounds[:, ::_SAMPLED]
            last = some.topk(min(max(2, length // _SAMPLED), some.shape[1]), largest=False).values
            self.reach = UNIT * (last[:, -1] - last[:, 0]).double().median()
        change = x - self.offered[rows]
        span = (change.abs() * (self.quantized.high - self.quantized.low)).sum(dim=1)
        tilt = 2 * self.metric.length(change.to(self.metric.axes.dtype)) * self.typical
        near = (torch.minimum(span, tilt) <= self.reach).nonzero().squeeze(1)  # where one was offered before
        self.offered[rows], self.long.listed[rows] = x, False
        for some in near.split(_LISTED) if len(near) else ():
            chosen = rows[some]
            self.long.put(x[some], chosen, bounds[some], constant[some], self.all)
            own = bounds[some].gather(1, self.long.of_rows(self.long.entries.places)[chosen])
            self.short.put(x[some], chosen, own, constant[some], self.long.entries)
