"""Lower bounds by enumeration that are proved in floating-point arithmetic too (docs/derivations/prototype-abs.md).

All rivals are screened by matrix products, with an allowance for their rounding. Those whose bound may be the
smallest are solved exactly, in float64 and rounded down, in the order of the cheap bounds until these exceed the
smallest found.
"""

import math
from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor

from absynth.certificates.enumerated import Enumerated, EnumeratedBounds
from absynth.certificates.mixtures import Block, Candidate, Mixtures
from absynth.certificates.near import Near
from absynth.certificates.perturbations import pixel_sums
from absynth.certificates.rounding import GUARANTEED, relative
from absynth.certificates.screening import Queries, Rivals, screen
from absynth.certificates.settings import SearchSettings
from absynth.errors import InputError
from absynth.models.metric import products

_CHUNK = 8192  # rivals screened at a time, by products with all images of a batch: 26 MB
_BLOCK = 512  # rivals screened again, against all own images
_SOLVED = 32  # rivals solved exactly at a time
_KNOWN = 64  # own images that a search over mixtures starts with


class ProvedBounds(EnumeratedBounds):
    """Bounds rounded down: no perturbation within the bound changes the decision, as computed in float64.

    That is, the order of energies computed in float64 from differences, each within a relative error of 1e-12 (a
    little more for images of more than 4,096 values, see `absynth.certificates.rounding`).
    Images of the model and images x must lie within [0, 1]. A bound that would be NaN is 0.
    Raises InputError for images x of another dtype than the model's: rounded to it, a pixel could lose its room.
    """

    def __init__(self, model: Enumerated, settings: SearchSettings):
        super().__init__(model, settings)
        squares = torch.cat([part.square().sum(dim=1) for part in model.images.split(_CHUNK)])
        sums = torch.cat([part.sum(dim=1) for part in model.images.split(_CHUNK)])
        self.energy, self.extent = squares + model.offsets, squares + 2 * sums
        # No energy within the box is higher.
        self.highest = model.images.shape[1] + model.offsets.max().item()

    def determine(self, x: Tensor, y: Tensor, norm: str) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        if self._mixes(norm):
            mixed = [
                (candidate.bound, candidate.rival, solved) for candidate, solved in self._mixed(x, y, norm)
            ]
            bounds, rivals, numbers = zip(*mixed, strict=True)
            size = torch.tensor(bounds, dtype=torch.float64, device=x.device)
            return size, size, torch.tensor(rivals, device=x.device), torch.tensor(numbers, device=x.device)
        own, lower = self._own_and_lower(x, y, norm)
        found = [self._solve(*row, norm) for row in zip(x, own, lower, strict=True)]
        size, rival, solved = (torch.stack(column) for column in zip(*found, strict=True))
        return size, size, rival, solved

    def _mixes(self, norm: str) -> bool:
        """Whether own images are mixed; not where several values count as one pixel."""
        return self.settings.mixtures > 0 and (norm != "l0" or self.model.channels == 1)

    def _own_and_lower(self, x: Tensor, y: Tensor, norm: str) -> tuple[Tensor, Tensor]:
        """Positions (n, K) of own images, and what each rival needs against the first of them (n, N)."""
        if x.dtype != self.model.images.dtype:
            raise InputError(f"images have dtype {x.dtype}, the model's prototypes {self.model.images.dtype}")
        own = self._own(x, y, self.settings.neighbors)
        return own, self._screen_all(x, own[:, 0], y, norm)

    def _own(self, x: Tensor, y: Tensor, count: int) -> Tensor:
        """The positions (n, count) of the images of class y of least energy, the least first; repeated if there are
        fewer.

        Which they are is up to rounding: any own image gives a bound.
        """
        found = torch.zeros(len(x), count, dtype=torch.int64, device=x.device)
        for label in y.unique():
            rows, members = (y == label).nonzero().flatten(), (self.labels == label).nonzero().flatten()
            images = self.model.images[members[0] : members[-1] + 1]  # sorted by class
            energy = self.energy[members] - 2 * products(x[rows], images)
            order = energy.topk(min(count, len(members)), largest=False).indices
            found[rows] = members[order[:, [min(k, order.shape[1] - 1) for k in range(found.shape[1])]]]
        return found

    def _screen_all(self, x: Tensor, own: Tensor, y: Tensor, norm: str) -> Tensor:
        """Lower bounds (n, N) of what each rival needs against one own image; inf for images of the own class."""
        queries = self._queries(x, own)
        starts = range(0, len(self.labels), _CHUNK)
        parts = [self._screen(queries, self._rivals(slice(i, i + _CHUNK)), norm) for i in starts]
        return torch.cat(parts, dim=1).masked_fill_(self.labels == y[:, None], torch.inf)

    def _screen(self, queries: Queries, rivals: Rivals, norm: str, *, few: bool = False) -> Tensor:
        """`screen`, in l0 of pixels: that bounds the number of values, and a pixel has one for each channel."""
        bounds = screen(queries, rivals, norm, few=few)
        return bounds / self.model.channels if norm == "l0" else bounds

    def _queries(self, x: Tensor, own: Tensor) -> Queries:
        """x (P, d) with own images at positions (P,)."""
        v, x64 = self.model.images[own], x.double()
        energy = (v.double() - x64).square().sum(dim=1) + self.model.offsets[own].double()
        energy += self._slack(energy) - x64.square().sum(dim=1)
        return Queries(x, v, energy.to(v.dtype))

    def _rivals(self, positions: Tensor | slice) -> Rivals:
        return Rivals(self.model.images[positions], self.energy[positions], self.extent[positions])

    def _slack(self, energy: Tensor) -> Tensor:
        """What is taken off a margin for the rounding of both energies: at x, and where the decision is computed."""
        return 2 * relative(self.model.images.shape[1]) * (energy + 2 * self.highest)

    def _solve(self, x: Tensor, own: Tensor, lower: Tensor, norm: str) -> tuple[Tensor, Tensor, Tensor]:
        """Size, position of the rival that determines it, and number solved: x (d,), own (K,), lower bounds (N,).

        Rivals come in blocks, those of the smallest bounds against one own image first. Within a block the bounds
        against all own images decide which are solved exactly.
        """
        best, rival, solved = x.new_full((), torch.inf, dtype=torch.float64), lower.argmin(), 0
        remaining, queries = lower.clone(), self._queries(x.expand(len(own), -1), own)
        while True:
            least, block = remaining.topk(min(_BLOCK, len(remaining)), largest=False)
            if least[0] >= _enough(best, norm):
                return best, rival, torch.tensor(solved, device=x.device)
            remaining[block] = torch.inf
            refined = self._screen(queries, self._rivals(block), norm, few=True).amax(dim=0).maximum(least)
            refined, order = refined.sort()
            for bounds, part in zip(refined.split(_SOLVED), block[order].split(_SOLVED), strict=True):
                part = part[bounds < _enough(best, norm)]  # none of the own class, whose bounds are infinite
                if not len(part):
                    break
                size, place = self._guaranteed(x, own, part, norm).amax(dim=1).min(dim=0)
                solved += len(part)
                if size < best:
                    best, rival = size, part[place]

    def _guaranteed(self, x: Tensor, own: Tensor, rivals: Tensor, norm: str) -> Tensor:
        """Lower bounds (m, K) of the perturbation that each rival (m,) needs against each own image (K,)."""
        x, u, v = (values.double() for values in (x, self.model.images[rivals], self.model.images[own]))
        offsets = self.model.offsets.double()
        of_rival = (u - x).square().sum(dim=1) + offsets[rivals]
        of_own = (v - x).square().sum(dim=1) + offsets[own]
        margin = of_rival[:, None] - of_own - self._slack(of_rival[:, None] + of_own)  # (m, K)
        w = u[:, None] - v  # (m, K, d)
        room = torch.where(w > 0, 1 - x, x)
        gain, room = 2 * w.abs().flatten(0, 1), room.flatten(0, 1)
        if norm == "l0":
            gain = pixel_sums(gain * room, self.model.channels)
            room = torch.ones_like(gain)
        size = GUARANTEED[norm](margin.flatten(), gain, room)
        return torch.where(size >= 0, size, 0).view_as(margin)  # NaN is no bound

    @torch.no_grad()
    def minimisers(self, x: Tensor, y: Tensor, norm: str) -> Tensor | None:
        """As `LowerBounds.minimisers`, if own images are mixed."""
        if not self._mixes(norm):
            return None
        found = torch.zeros_like(x.flatten(1))
        for row, (candidate, *_) in zip(found, self._mixed(x.flatten(1), y, norm), strict=True):
            if candidate.delta is not None:
                row.copy_(candidate.delta)
        return found

    def _mixed(self, x: Tensor, y: Tensor, norm: str) -> list[tuple[Candidate, int]]:
        """For each image the rival of the smallest bound, and how many were solved."""
        own, lower = self._own_and_lower(x, y, norm)
        found = []
        for image, label, positions, bounds in zip(x, y[:, None], own, lower, strict=True):
            known = self._own(image[None], label, _KNOWN)[0]
            lowest = partial(lambda label, point: self._own(point[None], label, 1)[0, 0], label)
            near = Near(self.model, image, known, lowest, self._slack)
            blocks = self._blocks(image, positions, bounds, near, norm)
            found.append(Mixtures(norm, near, self.settings.mixtures).smallest(blocks))
        return found

    def _blocks(self, x: Tensor, own: Tensor, lower: Tensor, near: Near, norm: str) -> Iterator[Block]:
        """Rivals with their bounds against single own images (K,), in the order of lower bounds (N,).

        Those are bounded again, against all own images, as soon as they are among the smallest.
        """
        remaining, cheap = lower.clone(), torch.ones_like(lower, dtype=torch.bool)
        queries = self._queries(x.expand(len(own), -1), own)
        while (least := remaining.min().item()) < torch.inf:
            block = remaining.topk(min(_BLOCK, len(remaining)), largest=False).indices
            unrefined = block[cheap[block]]
            if cheap[block[:_SOLVED]].any():
                refined = self._screen(queries, self._rivals(unrefined), norm, few=True).amax(dim=0)
                remaining[unrefined] = refined.maximum(remaining[unrefined])
                cheap[unrefined] = False
                continue
            block = block[:_SOLVED]
            block = block[remaining[block] < torch.inf]
            remaining[block] = torch.inf
            yield (
                math.ceil(least) if norm == "l0" else least,
                partial(self._candidates, x, own, block, near, norm),
            )

    def _candidates(self, x: Tensor, own: Tensor, rivals: Tensor, near: Near, norm: str) -> list[Candidate]:
        size, place = self._guaranteed(x, own, rivals, norm).max(dim=1)
        places = [near.place(position) for position in own[place].tolist()]
        return [
            Candidate(bound, rival, [best], torch.ones(1).double())
            for bound, rival, best in zip(size.tolist(), rivals.tolist(), places, strict=True)
        ]


def _enough(best: Tensor, norm: str) -> Tensor:
    """The lower bound from which on a rival cannot need less than `best`: sizes in l0 are whole."""
    return best - 1 if norm == "l0" else best
