"""Levenberg–Marquardt inference: a few steps on the eight latents instead of fifty of Adam.

Each pair of an image and a class is a nonlinear least-squares problem with 784 residuals and eight unknowns.
A search starts from the best prior sample, as the reference does: other starts, such as the encoder's mean,
sometimes find lower minima, but there the reference would disagree. Pairs are left out whose class can no
longer win, or whose next step promises next to nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from absynth.models.abs.decoders import Decoders
from absynth.models.abs.energy import Inferred, Watcher, energies
from absynth.models.abs.gauss_newton import adapted, initial_damping, propose
from absynth.models.abs.prior import Prototypes

# Images inferred at a time, by kind of device; the Jacobian of a pair takes 25 kB, and 330 kB while it is computed.
_BATCH = {"cpu": 128, "cuda": 512}


@dataclass(frozen=True)
class Fast:
    """The settings of the search.

    margins: before each step, a class whose energy exceeds the best class's by more is left out. On the
        published weights the energy still falls by less than this from there in 99.9 % of cases.
    warm_margins: the same for a search that starts from a neighbour's latents
    tolerance: a pair is done when a step promises less than this decrease of its energy
    """

    margins: tuple[float, ...] = (25.0, 15.0, 12.0, 10.0, 9.0, 8.0, 8.0, 8.0)
    warm_margins: tuple[float, ...] = (6.0, 4.0)
    tolerance: float = 0.005

    @torch.no_grad()
    def infer(
        self,
        decoders: Decoders,
        prototypes: Prototypes,
        x: Tensor,
        scale: Tensor,
        without: Tensor | None = None,
        until_decided: bool | Tensor = False,
        watch: Watcher | None = None,
    ) -> Inferred:
        """x (n, 784) to the latents (n, C, 8) found; classes far from winning keep their best prior sample.

        scale (C,): the factor γ_c by which a class's energy enters the comparison between classes
        without: a class (n,) of each image whose rivals are then searched for as if the class did not exist
        until_decided: the search of an image stops where a single class can still win; given factors (C,), only where
            its energy is the lowest, too, once each is multiplied by its factor besides
        """
        found = []
        for first, rows in _batches(x):
            search = _Search(decoders, x[rows], prototypes.lowest_projected(x[rows]), scale)
            found.append(
                search.run(self.margins, self.tolerance, _shifted(watch, first), until_decided=until_decided)
            )
            if without is not None:
                search = _Search(decoders, x[rows], found[-1], scale, without[rows])
                found[-1] = search.run(self.margins, self.tolerance, _shifted(watch, first))
        return Inferred.cat(found)

    @torch.no_grad()
    def refine(
        self,
        decoders: Decoders,
        x: Tensor,
        start: Inferred,
        scale: Tensor,
        without: Tensor | None = None,
        pairs: Tensor | None = None,
        watch: Watcher | None = None,
    ) -> Inferred:
        """Search from what was inferred for nearby images.

        without: a class (n,) of each image that keeps its latents and takes no part in the comparison
        pairs: the classes (n, C) of each image that are searched, if not all
        """
        found = []
        for first, rows in _batches(x):
            left_out = None if without is None else without[rows]
            search = _Search(decoders, x[rows], start[rows], scale, left_out)
            chosen = None if pairs is None else pairs[rows].T.flatten()
            found.append(search.run(self.warm_margins, self.tolerance, _shifted(watch, first), chosen))
        return Inferred.cat(found)


def _batches(x: Tensor) -> Iterator[tuple[int, slice]]:
    """The first image of each batch of x, and all of them."""
    size = _BATCH.get(x.device.type, _BATCH["cpu"])
    for first in range(0, len(x), size):
        yield first, slice(first, first + size)


def _shifted(watch: Watcher | None, first: int) -> Watcher | None:
    """The watcher for a part of the images that begins at `first`."""
    if watch is None or first == 0:
        return watch
    return lambda images, classes, jacobian: watch(images + first, classes, jacobian)


class _Search:
    """The best latent so far of every pair of n images and C classes, as (C · n, …) sorted by class.

    without: a class (n,) of each image that keeps its latents and takes no part in the comparison
    """

    def __init__(
        self, decoders: Decoders, x: Tensor, start: Inferred, scale: Tensor, without: Tensor | None = None
    ):
        self.decoders, self.scale = decoders, scale
        self.n, self.c = start.latents.shape[:2]
        self.x = x.repeat(self.c, 1)
        self.z = start.latents.transpose(0, 1).flatten(0, 1)
        self.image = start.images.transpose(0, 1).flatten(0, 1)
        self.energy = energies(self.image, self.x, self.z)
        if without is not None:
            self.energy.view(self.c, self.n)[without, torch.arange(self.n, device=x.device)] = torch.inf
        self.damping = initial_damping(self.energy)

    def contenders(self, margin: float) -> Tensor:
        """Which pairs (C · n,) are within `margin` of their image's best class."""
        scaled = self.energy.view(self.c, self.n) * self.scale[:, None]
        return (scaled - scaled.min(dim=0).values <= margin).flatten()

    def decided(self, contenders: Tensor, factors: bool | Tensor) -> Tensor:
        """Which images (n,) have a single one among the contenders (C · n,), of lowest energy by factors (C,), too.

        Further steps would lower its energy alone: whoever is no contender now will be none later.
        """
        left = contenders.view(self.c, self.n)
        if isinstance(factors, bool):
            return left.sum(dim=0) == 1
        scaled = self.energy.view(self.c, self.n) * (self.scale * factors)[:, None]
        best = left.gather(0, scaled.argmin(dim=0, keepdim=True))[0]
        return best & (left.sum(dim=0) == 1)

    def counts(self, rows: Tensor) -> list[int]:
        return torch.bincount(rows // self.n, minlength=self.c).tolist()

    def accept(self, rows: Tensor, z: Tensor, image: Tensor) -> Tensor:
        """Keep the proposals that lower the energy; return which."""
        energy = energies(image, self.x[rows], z)
        better = energy < self.energy[rows]
        kept = rows[better]
        self.z[kept], self.image[kept], self.energy[kept] = z[better], image[better], energy[better]
        return better

    def run(
        self,
        margins: tuple[float, ...],
        tolerance: float,
        watch: Watcher | None,
        pairs: Tensor | None = None,
        *,
        until_decided: bool | Tensor = False,
    ) -> Inferred:
        """Take one step for each margin, of all pairs or those chosen (C · n,)."""
        unfinished = torch.ones_like(self.energy, dtype=torch.bool) if pairs is None else pairs.clone()
        for margin in margins:
            contenders = self.contenders(margin)
            if until_decided is not False:
                contenders &= ~self.decided(contenders, until_decided).repeat(self.c)
            rows = (unfinished & contenders).nonzero().squeeze(1)
            if not len(rows):
                break
            unfinished[rows] = self.step(rows, watch) > tolerance
        shape = (self.c, self.n, -1)
        return Inferred(self.z.view(shape).transpose(0, 1), self.image.view(shape).transpose(0, 1))

    def step(self, rows: Tensor, watch: Watcher | None) -> Tensor:
        """One damped Gauss–Newton step of the pairs `rows`; return the decrease that each promised."""
        counts, z = self.counts(rows), self.z[rows]
        image, jacobian = self.decoders.with_jacobian(z, counts)  # (P, 784), (P, 8, 784)
        if watch:
            watch(rows % self.n, rows // self.n, jacobian)
        proposal, promised = propose(z, jacobian, image - self.x[rows], self.damping[rows])
        better = self.accept(rows, proposal, self.decoders(proposal, counts))
        self.damping[rows] = adapted(self.damping[rows], better)
        return promised
