"""Lower bounds from mixtures of own images: the distance to the region in which a rival beats them all.

Where a rival must beat several own images at once, the distance to each half-space is less than that to their
intersection. Rivals are refined in the order of their bounds: the smallest perturbation that fulfils the inequalities
so far is asked which own image it still loses to, whose inequality is added, until there is none. Then the bound is
the distance, and the perturbation reaches it (docs/derivations/prototype-abs.md).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from heapq import heappop, heappush
from typing import Protocol

import torch
from torch import Tensor

from absynth.certificates.mixing import best_mixture, mixture
from absynth.certificates.perturbations import Box
from absynth.certificates.rounding import GUARANTEED
from absynth.certificates.whole_pixels import PixelProgram

_TOLERANCE = 1e-5  # share of the margin by which a perturbed image may still miss the boundary


class Energies(Protocol):
    """At an image x (d,): own images v (K, d) with offsets (K,), and rivals by position; float64, on the CPU."""

    x: Tensor
    own: Tensor
    offsets: Tensor

    def rival(self, position: int) -> tuple[Tensor, Tensor]:
        """The rival u (d,) and its offset."""
        ...

    def margin(self, position: int, places: list[int]) -> Tensor:
        """Lower bounds (k,) of the energy of that rival at x less those of the own images at `places`."""
        ...

    def nearest(self, point: Tensor) -> int:
        """The place in `own` of the own image of least energy at a point (d,), of all that there are."""
        ...


@dataclass(order=True)
class Candidate:
    """A rival with a lower bound of what it needs, against the mixture by `weights` of own images at places `active`.

    delta (d,): a perturbation that about suffices against those, of that size; None if not known yet
    whole: in l0, against how many of `active`, the first ones, delta changes pixels by what they need; 0 if it
        changes some in part of what is needed
    final: whether that is all it needs, or cannot be said better
    """

    bound: float
    rival: int
    active: list[int] = field(compare=False)
    weights: Tensor = field(compare=False)
    delta: Tensor | None = field(default=None, compare=False)
    whole: int = field(default=0, compare=False)
    final: bool = field(default=False, compare=False)


# A lower bound of the candidates in a block and in all later ones, and what finds the candidates.
Block = tuple[float, Callable[[], list[Candidate]]]
_NO_MORE: Block = (float("inf"), list)


@dataclass(frozen=True)
class Mixtures:
    """The search at one image: most, how many own images are mixed at most."""

    norm: str
    energies: Energies
    most: int

    def smallest(self, blocks: Iterator[Block]) -> tuple[Candidate, int]:
        """The candidate of the smallest bound once that is final, and how many there were; there must be one."""
        queue: list[Candidate] = []
        number = 0
        least, block = next(blocks)
        while True:
            while least < (queue[0].bound if queue else float("inf")):
                for candidate in block():
                    heappush(queue, candidate)
                    number += 1
                least, block = next(blocks, _NO_MORE)
            candidate = heappop(queue)
            if candidate.final or candidate.bound == float("inf"):
                return candidate, number
            heappush(queue, self._refined(candidate))

    def _refined(self, candidate: Candidate) -> Candidate:
        """The same with one more own image in the mixture; final if the perturbed image loses to no other."""
        if candidate.whole:
            return self._whole(candidate)
        point = self._reached(candidate)
        place = self._missed(candidate, point)
        if place is None or place in candidate.active or len(candidate.active) >= self.most:
            return self._whole(candidate) if self.norm == "l0" else replace(candidate, final=True)
        active = [*candidate.active, place]
        margin, w = self._inequalities(candidate.rival, active)
        weights, delta = best_mixture(margin, w, self.energies.x, self.norm)
        found = Candidate(candidate.bound, candidate.rival, active, weights, delta)
        mixed_margin, mixed = mixture(margin, w, found.weights)
        room = torch.where(mixed > 0, 1 - self.energies.x, self.energies.x)
        size = GUARANTEED[self.norm](mixed_margin[None], 2 * mixed.abs()[None], room[None]).item()
        found.bound = max(found.bound, size)  # NaN is no bound: it is not larger
        return found

    def _whole(self, candidate: Candidate) -> Candidate:
        """In l0, once changes of pixels in part lead no further: with whole pixels.

        The same with one more own image, or with a bound larger by one pixel, or final.
        """
        program = PixelProgram(*self._inequalities(candidate.rival, candidate.active), self.energies.x)
        active, delta = candidate.active, candidate.delta
        found = candidate
        if delta is None or candidate.whole < len(active):
            delta = program.fewest()
            if delta is None:
                return replace(candidate, final=True)
            found = replace(candidate, delta=delta, whole=len(active))
            place = self._missed(found, self.energies.x + delta)
            if place is not None and place not in active and len(active) < self.most:
                weights = torch.cat([found.weights, found.weights.new_zeros(1)])
                return replace(found, active=[*active, place], weights=weights)
        if delta.count_nonzero() > found.bound and program.needs_more(int(found.bound)):
            return replace(found, bound=found.bound + 1)
        return replace(found, final=True)

    def _inequalities(self, rival: int, places: list[int]) -> tuple[Tensor, Tensor]:
        """Margins (k,) and w (k, d) of a rival against own images."""
        return self.energies.margin(rival, places), self.energies.rival(rival)[0] - self.energies.own[places]

    def _reached(self, candidate: Candidate) -> Tensor:
        """x (d,) perturbed as little as needed against the own images so far; in l0 pixels change all the way."""
        box, zero = Box(self.norm, self.energies.x[None]), torch.zeros(1, dtype=torch.int64)
        if candidate.delta is None:
            margin, w = self._inequalities(candidate.rival, candidate.active)
            candidate.delta = box(zero, margin, w, torch.zeros_like(margin)).delta[0]
        return box.apply(zero, candidate.delta[None])[0]

    def _missed(self, candidate: Candidate, point: Tensor) -> int | None:
        """The place of the own image to which the rival still loses at a point (d,); None if to none."""
        u, offset = self.energies.rival(candidate.rival)
        tolerance = _TOLERANCE * self.energies.margin(candidate.rival, candidate.active).amax()
        enough = (u - point).square().sum() + offset - tolerance
        for find in (self._nearest_known, self.energies.nearest):
            place = find(point)
            if (self.energies.own[place] - point).square().sum() + self.energies.offsets[place] < enough:
                return place
        return None

    def _nearest_known(self, point: Tensor) -> int:
        known = (self.energies.own - point).square().sum(dim=1) + self.energies.offsets
        return int(known.argmin())
