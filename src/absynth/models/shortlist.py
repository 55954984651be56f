"""The least energies over finitely many images from short lists, which a bound proves to suffice.

A query q = p + δ, near one, p, at which all energies E_u = ‖u - x‖² + o_u are known, has, for any point m,

    E_u(q) = E_u(p) - 2 δ·(u - m) + κ,    κ = ‖δ‖² + 2 δ·(p - m)

With |δ·(u - m)| bounded (`absynth.models.metric`), no image can have the least energy that is still above that of
an image v, which is computed. Rounding is allowed for wherever energies are compared.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Self

import torch
from torch import Tensor

from absynth.models.metric import Metric, products, rounding

if TYPE_CHECKING:
    from absynth.models.least_energy import LeastEnergy

_CANDIDATES = 4  # images of each class that are looked at first where a query is asked alone
_PAIRS = 512  # energies computed from differences at a time, so that they stay in the cache


@dataclass
class Shortlists:
    """Images of low energy in each of S spans of the images, L of each, at each of n queries; bounds on the others'.

    places (n, S, L): their positions; where a span has fewer, some come again, with `lower` inf
    lower (n, S, L) float64: lower bounds on their energies; spread (n, S, L): their factors of a metric, or 1
    base, slope (n, S): images of the span that are not listed have an energy of at least base + slope · spread
    ends (S, 2): the least and the largest spread of each span
    """

    places: Tensor
    lower: Tensor
    spread: Tensor
    base: Tensor
    slope: Tensor
    ends: Tensor

    @classmethod
    def empty(cls, n: int, spans: int, length: int, like: Tensor) -> Self:
        """Lists that suffice for no query."""
        lower = like.new_full((n, spans, length), torch.inf, dtype=torch.float64)
        base = torch.full_like(lower[..., 0], -torch.inf)
        ends = torch.ones_like(lower[0, :, :1]).expand(-1, 2)
        return cls(
            torch.zeros_like(lower, dtype=torch.int64), lower, lower.clone(), base, 0 * lower[..., 0], ends
        )

    def within(self, rows: Tensor, length: Tensor, limit: Tensor) -> tuple[Tensor, Tensor]:
        """Which images listed for `rows` (q,) may have an energy of at most `limit` (q, S) - κ at changed queries.

        length (q,): the changes' factors of the metric
        Returns (q, S, L) bool, and whether (q,) no image that is not listed may.
        """
        twice = 2 * length[:, None]
        mask = self.lower[rows] - twice[..., None] * self.spread[rows] <= limit[..., None]
        rest = self.base[rows, :, None] + (self.slope[rows] - twice)[..., None] * self.ends
        return mask, (rest > limit[..., None]).all(dim=2).all(dim=1)

    def put(self, rows: Tensor, others: "Shortlists") -> None:
        """Put the lists of other queries in the place of those of `rows`."""
        for name in ("places", "lower", "spread", "base", "slope"):
            getattr(self, name)[rows] = getattr(others, name)
        self.ends = others.ends


def class_spans(counts: Sequence[int]) -> list[slice]:
    """The positions of each class's images, of which there are `counts`."""
    ends = torch.tensor(counts).cumsum(0).tolist()
    return [slice(end - count, end) for end, count in zip(ends, counts, strict=True)]


def slack(model: "LeastEnergy") -> float:
    """By what share energies may be off that are compared with each other, and to spare."""
    return 6 * rounding(model.images)


def list_images(
    model: "LeastEnergy", x: Tensor, spans: Sequence[slice], length: int, metric: Metric | None = None
) -> Shortlists:
    """The lists of queries x (n, d) in spans of the images, at most `length` long.

    metric: images come first that a small change in it may bring to the least energy; None: those of least energy
    """
    parts = [_list_span(model, x, span, length, metric) for span in spans]
    stacked = {
        field.name: torch.stack([getattr(part, field.name) for part in parts], dim=int(field.name != "ends"))
        for field in fields(Shortlists)
    }
    return Shortlists(**stacked)


def _list_span(
    model: "LeastEnergy", x: Tensor, span: slice, length: int, metric: Metric | None
) -> Shortlists:
    """The same of one span, without the dimension of spans."""
    images, squares = model.images[span], model.squares[span]
    inputs = x.to(images.dtype)
    relative = squares - 2 * products(inputs, images)  # (n, count), energies less ‖x‖²
    least = relative.amin(dim=1, keepdim=True)
    spread = squares.new_ones(len(images), dtype=torch.float64) if metric is None else metric.spread[span]
    slope = (relative - least) / spread.to(images.dtype)
    slope, places = slope.topk(min(length, len(images)), largest=False)
    square = x.double().square().sum(dim=1, keepdim=True)

    def lowest(energy: Tensor, squares: Tensor) -> Tensor:
        error = rounding(images) * (squares + 2 * squares.sqrt() * square.sqrt())  # see `products`
        return energy.double() + square - error

    lower = lowest(relative.gather(1, places), squares[places].double())
    if len(images) <= length:
        base = torch.full_like(square, torch.inf)
    else:
        base = lowest(least, squares.max().double())
    missing = (0, length - places.shape[1])
    pad = torch.nn.functional.pad
    return Shortlists(
        pad(places, missing) + span.start,
        pad(lower, missing, value=torch.inf),
        pad(spread[places], missing, value=1.0),
        base[:, 0],
        slope[:, -1].double() * (1 - rounding(images)),
        torch.stack([*spread.aminmax()]),
    )


def nearest(model: "LeastEnergy", x: Tensor, length: int = _CANDIDATES) -> Tensor:
    """The position of the image of least energy of each class, the first of equals: x (n, d) to (n, C) int64."""
    lists = list_images(model, x, class_spans(model.counts), length)
    rows = torch.arange(len(x), device=x.device)
    limit = model.energies(x[:, None], lists.places[..., 0]) * (1 + slack(model))
    mask, covered = lists.within(rows, torch.zeros_like(limit[:, 0]), limit)
    found = nearest_listed(model, x, lists, rows, mask)
    # More images may be too close to each other for their products to tell.
    if length < max(model.counts) and not covered.all():
        found[~covered] = nearest(model, x[~covered], length * length)
    return found


def nearest_listed(model: "LeastEnergy", x: Tensor, lists: Shortlists, rows: Tensor, mask: Tensor) -> Tensor:
    """Of the images listed for `rows` (q,) the position (q, S) of that of least energy at queries x (q, d).

    It is the first of equals, among those in the mask (q, S, L).
    """
    first = mask.byte().argmax(dim=2)  # the only one, often
    spans = mask.shape[1]
    found = lists.places[rows[:, None], torch.arange(spans, device=rows.device), first]
    query, span, slot = (mask & (mask.sum(dim=2, keepdim=True) > 1)).nonzero(as_tuple=True)
    if not len(query):
        return found
    place, index = lists.places[rows[query], span, slot], query * spans + span
    parts = zip(query.split(_PAIRS), place.split(_PAIRS), strict=True)
    energy = torch.cat([model.energies(x[some], places) for some, places in parts])
    least = energy.new_full((found.numel(),), torch.inf).scatter_reduce_(0, index, energy, "amin")
    tied = energy == least[index]
    found.view(-1).scatter_reduce_(0, index[tied], place[tied], "amin", include_self=False)
    return found
