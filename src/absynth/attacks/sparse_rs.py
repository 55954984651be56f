"""Sparse-RS: random search over sets of pixels and their colours, at ever fewer pixels."""

from dataclasses import dataclass

import torch
from torch import Tensor

from absynth.attacks.api import for_norm
from absynth.attacks.margins import ask_margins
from absynth.attacks.postprocessing import closest_equivalent
from absynth.attacks.randomness import SampleRandom
from absynth.attacks.single_changes import flipped
from absynth.attacks.target import Target
from absynth.models.base import input_threshold

# α of section 3.3 relative to its first value, from each of the queries (of 10,000) on.
_SCHEDULE = {0: 1, 1: 2, 51: 4, 201: 5, 501: 6, 1001: 8, 2001: 10, 4001: 12, 6001: 15, 8001: 20}
_DRAWN_AT_ONCE = 50  # queries whose random numbers are drawn together; bounds the memory


@dataclass(frozen=True)
class SparseRS:
    """Options as in `sparse_rs`."""

    queries: int
    restarts: int
    alpha: float
    start_share: float
    shrink: float

    def __call__(self, target: Target, random: SampleRandom) -> None:
        for _ in range(self.restarts):
            state = self._begin(target, random)
            for query in range(self.queries):
                if query % _DRAWN_AT_ONCE == 0:
                    drawn = _draw(target, random, state.rows, min(_DRAWN_AT_ONCE, self.queries - query))
                    drawn_rows = state.rows
                going = state.size > 0
                if not going.all():
                    state = state.only(going)
                if not len(state.rows):
                    break
                place = torch.searchsorted(drawn_rows, state.rows)
                self._step(target, state, drawn[place, query % _DRAWN_AT_ONCE], query)

    def _begin(self, target: Target, random: SampleRandom) -> "_State":
        """Sets of pixels a little smaller than the best known, or else of `start_share` of all pixels."""
        rows = target.rows.sort().values
        clean = target.x[rows].flatten(2)  # (m, C, P)
        threshold = input_threshold(target.model)
        key, colour = _split(_draw(target, random, rows, 1)[:, 0])
        pixels = clean.shape[2]
        size = torch.full((len(rows),), max(1, round(self.start_share * pixels)), device=rows.device)
        recorded = target.findings.recorded
        known = recorded.distance[rows].isfinite()
        point = torch.where(_first(key, size)[:, None], _changed(clean, colour, threshold), clean)
        best = closest_equivalent(target.x[rows], recorded.best[rows], threshold).flatten(2)
        point = torch.where(known[:, None, None], best, point)
        margin = torch.full((len(rows),), torch.inf, dtype=clean.dtype, device=rows.device)
        state = _State(rows, point, clean, size, margin, threshold)
        self._shrink(state, known, key)
        return state

    def _step(self, target: Target, state: "_State", drawn: Tensor, query: int) -> None:
        """Ask for a neighbour of each set, or the set itself if that was not asked yet.

        It is kept if its margin is no larger, and shrunk if it is misclassified.
        """
        key, colour = _split(drawn)
        reached = 1e4 * query / self.queries
        share = self.alpha / max(divisor for least, divisor in _SCHEDULE.items() if least <= reached)
        left = state.point.shape[2] - state.changed.sum(dim=1)  # pixels that could enter
        count = (share * state.size).long().clamp(min=1).minimum(left)
        asked = state.neighbour(key, colour, torch.where(state.margin.isinf(), 0, count))
        with target.only(torch.isin(target.rows, state.rows)):
            order = torch.searchsorted(state.rows, target.rows)  # of the active images among the state's
            margin = torch.empty_like(state.margin)
            margin[order] = ask_margins(target, asked[order].flatten(1)[None])[0]
        better = margin <= state.margin
        state.point = torch.where(better[:, None, None], asked, state.point)
        state.margin = torch.where(better, margin, state.margin)
        self._shrink(state, state.margin < 0, key)

    def _shrink(self, state: "_State", chosen: Tensor, key: Tensor) -> None:
        """Give up the pixels of smallest key of the chosen sets, at least one; their margin is then not known."""
        size = state.changed.sum(dim=1)
        fewer = size - (self.shrink * size).long().clamp(min=1)
        kept = _first(torch.where(state.changed, key, torch.inf), size - fewer)
        given_up = kept & chosen[:, None]
        state.point = torch.where(given_up[:, None], state.clean, state.point)
        state.size = torch.where(chosen, fewer, state.size)
        state.margin = torch.where(chosen, torch.inf, state.margin)


@dataclass
class _State:
    """Sets of changed pixels of some images.

    rows (m,): the images, ascending
    point, clean (m, C, P): images with these changes and without
    size (m,) int64: how many pixels; margin (m,): inf where it has not been asked
    threshold: that of a model that binarises its input
    """

    rows: Tensor
    point: Tensor
    clean: Tensor
    size: Tensor
    margin: Tensor
    threshold: float | None

    @property
    def changed(self) -> Tensor:
        """Which pixels differ from the clean image (m, P) bool."""
        return (self.point != self.clean).any(dim=1)

    def only(self, chosen: Tensor) -> "_State":
        """Those of the chosen images."""
        return _State(
            self.rows[chosen],
            self.point[chosen],
            self.clean[chosen],
            self.size[chosen],
            self.margin[chosen],
            self.threshold,
        )

    def neighbour(self, key: Tensor, colour: Tensor, count: Tensor) -> Tensor:
        """Images (m, C, P) with `count` (m,) pixels of each set, those of smallest key, exchanged for others."""
        changed = self.changed
        leaving = _first(torch.where(changed, key, torch.inf), count)
        entering = _first(torch.where(changed, torch.inf, key), count)
        point = torch.where(leaving[:, None], self.clean, self.point)
        return torch.where(entering[:, None], _changed(self.clean, colour, self.threshold), point)


def _draw(target: Target, random: SampleRandom, rows: Tensor, count: int) -> Tensor:
    """Random numbers of some images for `count` queries: (m, count, 1 + C, P)."""
    channels = target.x.shape[1]
    return random.uniform(rows, count, 1 + channels, target.x[0, 0].numel())


def _split(drawn: Tensor) -> tuple[Tensor, Tensor]:
    """Keys (m, P) float64, no two of which are equal, and colours (m, C, P), black or white."""
    tie_break = torch.arange(drawn.shape[2], device=drawn.device) * 2.0**-44
    return drawn[:, 0].double() + tie_break, (drawn[:, 1:] >= 0.5).to(drawn.dtype)


def _first(key: Tensor, count: Tensor) -> Tensor:
    """Which are the `count` (m,) smallest of keys (m, P), without those that are inf: (m, P) bool."""
    largest = int(count.max()) if len(count) else 0
    k = min(max(largest, 1), key.shape[1])
    smallest = key.topk(k, dim=1, largest=False, sorted=True).values  # (m, k)
    bound = smallest.gather(1, (count.clamp(1, smallest.shape[1]) - 1)[:, None])
    return (key <= bound) & key.isfinite() & (count > 0)[:, None]


def _changed(clean: Tensor, colour: Tensor, threshold: float | None) -> Tensor:
    """Images (m, C, P) in which every pixel is changed: to its colour, or the inverse where that is its own.

    Where the model binarises its input, all channels of a pixel cross the threshold instead.
    """
    if threshold is not None:
        return flipped(clean, threshold)
    colour = colour.to(clean.dtype)
    same = (colour == clean).all(dim=1, keepdim=True)
    return torch.where(same, 1 - colour, colour)


def sparse_rs(
    norm: str,
    *,
    queries: int = 3000,
    restarts: int = 1,
    alpha: float = 0.8,
    start_share: float = 0.3,
    shrink: float = 0.1,
) -> SparseRS:
    """Sparse-RS, l0 (Croce et al. 2022, algorithm 1), which knows logits only.

    A set of k pixels, black or white in each channel, is changed at random: a share of its pixels is exchanged for
    others, and the new set is kept if its margin is no larger (smaller in the paper, which so stays where a model is
    flat). The paper has a fixed k. Here a set that fools the model
    gives up a share of its pixels, and the search goes on from there: every query is made at fewer pixels than the
    best adversarial has. It begins with a set a little smaller than that of the best adversarial known, if there is
    one. On models that binarise their input, pixels cross the threshold instead.

    queries: of one restart; restarts: searches, each from the best adversarial so far
    alpha: the share of a set that is exchanged at first; it falls to a twentieth as in the paper
    start_share: of all pixels, in the first set of an image without adversarial
    shrink: share of a set that is given up once it fools the model, at least one pixel
    """
    return for_norm(norm, l0=SparseRS)(queries, restarts, alpha, start_share, shrink)
