"""Lower bounds for classifiers by the nearest of finitely many images: all images of rival classes are tried.

Such a model decides by the least energy ‖u - x‖² + o over images u with offsets o ≥ 0: training images for nearest
neighbour, whose offsets are 0, prototypes for prototype ABS. Nothing is assumed but floating-point arithmetic: for
one image of a rival class and one of the own class the bound is exact, and the bound of x is the minimum over all
rival images of the maximum over several own images. `absynth.certificates.proved` allows for rounding as well.
"""

from collections.abc import Iterator
from typing import Protocol

import torch
from torch import Tensor

from absynth.certificates.class_pair import (
    Bound,
    ClassPair,
    PaperBounds,
    Reconstruction,
    minimal_perturbation,
)
from absynth.certificates.perturbations import Box, pixel_sums
from absynth.certificates.settings import SearchSettings
from absynth.norms import NORMS

_CHUNK = 4096  # images compared at a time: 13 MB
_CANDIDATES = 256  # rival images whose perturbation is computed exactly at a time


class Enumerated(Protocol):
    """A model that decides by the least ‖u - x‖² + o: logit_c is minus the least over the images u of class c.

    images (N, d) within [0, 1], sorted by class; offsets o (N,); counts: images of each class; channels: of an image
    """

    images: Tensor
    offsets: Tensor
    counts: list[int]
    channels: int

    def nearest(self, x: Tensor) -> Tensor:
        """The position in `images` of the one of least energy of each class: x (n, d) to (n, C) int64."""
        ...

    def __call__(self, x: Tensor) -> Tensor:
        """Logits (n, C) of images (n, c, h, w)."""
        ...


class EnumeratedBounds:
    """Lower bounds for images (n, c, h, w) that such a model classifies as y (n,)."""

    def __init__(self, model: Enumerated, settings: SearchSettings):
        self.model, self.settings = model, settings
        counts = torch.tensor(model.counts, device=model.images.device)
        self.labels = torch.arange(len(counts), device=counts.device).repeat_interleave(counts)

    def paper_bounds(self, norm: str) -> Iterator[PaperBounds]:
        """The paper derives bounds for ABS only."""
        return iter(())

    def perturbations(self, x: Tensor, norm: str) -> Box:
        return Box(norm, x.flatten(1), self.model.channels)

    @torch.no_grad()
    def bound(self, x: Tensor, y: Tensor, norm: str) -> Bound:
        size, score, rival, solved = self.determine(x.flatten(1), y, norm)
        return Bound(size, score, self.labels[rival], torch.zeros_like(size), solved)

    def determine(self, x: Tensor, y: Tensor, norm: str) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Size, score, position of the rival image that determines them, and number of those solved; (n,) each.

        Takes   x (n, d), y (n,)
        """
        found = [self._bound(image, label, norm) for image, label in zip(x, y, strict=True)]
        size, score, rival, solved = (torch.stack(column) for column in zip(*found, strict=True))
        return size, score, rival, solved

    def minimisers(self, x: Tensor, y: Tensor, norm: str) -> Tensor | None:
        """They are not known."""
        return None

    @torch.no_grad()
    def class_pairs(self, x: Tensor, y: Tensor, norm: str, count: int) -> list[ClassPair]:
        """First the rival image that determines the bound, then the nearest images of other classes."""
        flat = x.flatten(1)
        rivals = self.determine(flat, y, norm)[2]
        known = self.model.nearest(flat)  # (n, C)
        rows = torch.arange(len(y), device=y.device)
        distances = (flat[:, None] - self.model.images[known]).square().sum(dim=2) + self.model.offsets[known]
        distances[rows, y] = torch.inf
        distances[rows, self.labels[rivals]] = torch.inf
        others = distances.argsort(dim=1)[:, : max(0, min(count, known.shape[1] - 1) - 1)]
        choices = [rivals, *known.gather(1, others).T]
        return [self._class_pair(known[rows, y], rival) for rival in choices]

    @torch.no_grad()
    def refit(self, pair: ClassPair, y: Tensor, points: Tensor) -> ClassPair:
        """The images of both classes of least energy at perturbed images (n, d)."""
        known, rows = self.model.nearest(points), torch.arange(len(y), device=y.device)
        return self._class_pair(known[rows, y], known[rows, pair.label])

    @torch.no_grad()
    def margin(self, points: Tensor, y: Tensor, clean: Tensor) -> Tensor:
        """How much smaller (n,) the least energy of class y is than that of any other."""
        energy = -self.model(points)
        of_own = energy.gather(1, y[:, None])[:, 0]
        return energy.scatter(1, y[:, None], torch.inf).amin(dim=1) - of_own

    def _class_pair(self, own: Tensor, rival: Tensor) -> ClassPair:
        return ClassPair(self._reconstruct(own), self._reconstruct(rival), self.labels[rival])

    def _reconstruct(self, index: Tensor) -> Reconstruction:
        images = self.model.images[index]
        return Reconstruction(images, self.model.offsets[index], images.new_ones(len(images)))

    def _bound(self, x: Tensor, label: Tensor, norm: str) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """`determine` for one image (d,).

        Rival images are tried in the order of a cheaper lower bound, until that exceeds the smallest score found.
        """
        own = self._nearest_own(x, label)
        rivals = (self.labels != label).nonzero().squeeze(1)
        lower = torch.cat([self._lower(x, own[0], part, norm) for part in rivals.split(_CHUNK)])
        lower, order = lower.sort()
        first, *rest = zip(lower[::_CANDIDATES], rivals[order].split(_CANDIDATES), strict=True)
        best, solved = self._smallest(x, own, first[1], norm), len(first[1])
        for least, part in rest:
            if least > best[1]:
                break
            found = self._smallest(x, own, part, norm)
            solved += len(part)
            if found[1] < best[1]:
                best = found
        return *best, torch.tensor(solved, device=x.device)

    def _smallest(self, x: Tensor, own: Tensor, rivals: Tensor, norm: str) -> tuple[Tensor, Tensor, Tensor]:
        """The smallest score that one of the rival images (m,) needs: its size, itself and the rival's position."""
        size, score = self._exact(x, own, rivals, norm)
        place = score.argmin()
        return size[place], score[place], rivals[place]

    def _nearest_own(self, x: Tensor, label: Tensor) -> Tensor:
        """The positions of the `neighbors` images of a class of least energy at x, the least first."""
        members = (self.labels == label).nonzero().squeeze(1)
        distances = (self.model.images[members] - x).square().sum(dim=1) + self.model.offsets[members]
        return members[distances.topk(min(self.settings.neighbors, len(members)), largest=False).indices]

    def _exact(self, x: Tensor, own: Tensor, rivals: Tensor, norm: str) -> tuple[Tensor, Tensor]:
        """Size and score (m,) of the largest perturbation that each rival image needs against any own image."""
        perturbations, sample = Box(norm, x[None], self.model.channels), torch.zeros_like(rivals)
        rival = self._reconstruct(rivals)
        found = [
            minimal_perturbation(perturbations, sample, self._reconstruct(index.expand(len(rivals))), rival)
            for index in own
        ]
        score, place = torch.stack([one.score for one in found]).max(dim=0)
        return torch.stack([one.size for one in found]).gather(0, place[None])[0], score

    def _lower(self, x: Tensor, own: Tensor, rivals: Tensor, norm: str) -> Tensor:
        """A lower bound (m,) of the score against one own image, from Hölder's inequality.

        2w·δ ≤ 2‖w‖_q ‖δ‖_p over the pixels that have room; in l0, k pixels gain at most √k ‖2w room‖₂, where a pixel
        of several channels gains their sum. It is 0 where no pixel has room to gain anything, as for a rival equal to
        the own image.
        """
        images, v = self.model.images[rivals], self.model.images[own]
        offsets = self.model.offsets
        energy, of_own = (images - x).square().sum(dim=1), (v - x).square().sum()
        margin = (energy + offsets[rivals]) - (of_own + offsets[own])
        w = images - v
        room = torch.where(w > 0, 1 - x, x)
        dual = NORMS[norm].dual
        if dual is None:
            gain = pixel_sums(w.abs() * room, self.model.channels).norm(dim=1)
        else:
            gain = (w * (room > 0)).norm(p=dual, dim=1)
        least = torch.where(gain > 0, margin / (2 * gain), 0).clamp_min(0)
        return least.square() if dual is None else least
