"""Classifiers by the nearest of finitely many images, and what lower bounds for them have in common.

Such a model decides by the least energy ‖u - x‖² + o over images u with offsets o ≥ 0: training images for nearest
neighbour, whose offsets are 0, prototypes for prototype ABS. For one image of a rival class and one of the own class
the bound is known, and the bound of x is the minimum over all rival images of the maximum over several own images;
`absynth.certificates.proved` finds it.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Protocol

import torch
from torch import Tensor

from absynth.certificates.class_pair import Bound, ClassPair, PaperBounds, Reconstruction
from absynth.certificates.perturbations import Box
from absynth.certificates.settings import SearchSettings


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


class EnumeratedBounds(ABC):
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

    @abstractmethod
    def determine(self, x: Tensor, y: Tensor, norm: str) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Size, score, position of the rival image that determines them, and number of those solved; (n,) each.

        Takes   x (n, d), y (n,)
        """

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
