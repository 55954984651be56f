"""Beam search for the fewest pixels that, turned black or white, fool the model.

Sets of changes grow pixel by pixel, and the few of smallest margin go on (beam search, Lowerre 1976). Gradients only
say which changes are asked: on a network that masks them their order misleads, but what they rank in the first two
hundred holds changes that do fool it. The best set is then destroyed and repaired (Shaw 1998): a few pixels return to
their clean values, and one fewer is sought in their place.
"""

from dataclasses import dataclass

import torch

from absynth.attacks.api import for_norm
from absynth.attacks.margins import ask_gradients
from absynth.attacks.pixels import channels_of
from absynth.attacks.postprocessing import closest_equivalent
from absynth.attacks.randomness import SampleRandom
from absynth.attacks.single_changes import Changes, Sets, additions, ends_of, removals, together
from absynth.attacks.target import Target
from absynth.models.base import input_threshold


@dataclass(frozen=True)
class Beam:
    """Options as in `beam`. Draws no random numbers."""

    width: int
    candidates: int
    pixels: int
    removals: int
    rounds: int

    def __call__(self, target: Target, random: SampleRandom) -> None:
        clean = target.active[0].flatten(1)
        self._grow(target, Sets.of(clean, clean, channels_of(target)))
        for _ in range(self.rounds):
            for count in range(1, self.removals + 1):
                sizes = target.findings.recorded.distance[target.rows]  # (m,) pixels
                for size in sizes[sizes.isfinite() & (sizes > count)].unique():
                    with target.only(sizes == size):
                        self._repair(target, count)

    def _grow(self, target: Target, sets: Sets) -> None:
        """Add pixels to sets of the active images, one by one, while that would improve on their best."""
        active = torch.arange(len(target.rows), device=target.rows.device)
        while True:
            least = target.findings.recorded.distance[target.rows[active]].clamp(max=self.pixels + 1)
            going = sets.size + 1 < least
            active, sets = active[going], sets.only(going)
            if not len(active):
                return
            with target.only(active):
                sets = self._extended(target, sets)

    def _extended(self, target: Target, sets: Sets) -> Sets:
        """The best sets with one pixel more; where there is no gradient, all pixels are tried."""
        clean, channels = target.active[0].flatten(1), channels_of(target)
        ends = ends_of(clean, input_threshold(target.model), channels)
        _, gradients = ask_gradients(target, sets.images)
        led = gradients.any(dim=2).any(dim=0)  # (m,)
        every = len(ends.value) * clean.shape[1] // channels
        parts, positions = [], [led.nonzero().squeeze(1), (~led).nonzero().squeeze(1)]
        for chosen, count in zip(positions, (self.candidates, every), strict=True):
            if len(chosen):
                with target.only(chosen):
                    part = sets.only(chosen)
                    changes = additions(
                        part.images, clean[chosen], ends.only(chosen), gradients[:, chosen], count, channels
                    )
                    parts.append(self._best(target, part, changes, 1))
        return together(parts, positions)

    def _repair(self, target: Target, count: int) -> None:
        """Take `count` pixels, which the margin misses least, from the active images' best sets, and grow those.

        The best sets are of one size, so that as many changes are asked of each image, whatever its companions.
        """
        clean, channels = target.active[0].flatten(1), channels_of(target)
        best = target.findings.recorded.best[target.rows].flatten(1)
        sets = Sets.of(closest_equivalent(clean, best, input_threshold(target.model)), clean, channels)
        for _ in range(count):
            sets = self._best(target, sets, removals(sets.images, clean, channels), -1)
        self._grow(target, sets)

    def _best(self, target: Target, sets: Sets, changes: Changes, added: int) -> Sets:
        return sets.best(changes, changes.ask(target, sets.images), self.width, added)


def beam(
    norm: str, *, width: int = 3, candidates: int = 200, pixels: int = 40, removals: int = 3, rounds: int = 1
) -> Beam:
    """Beam search over sets of pixels, l0; continues from the best adversarial known, if there is one.

    On models that binarise their input, pixels cross the threshold instead. Pixels with several channels take any of
    the colours of `ends_of`.

    width: sets that go on; candidates: changes of each that are asked, those of largest gain by the gradient
        first; where the model has no gradient, or it is 0, every change is asked
    pixels: largest set
    removals: from the best adversarial 1, 2, … pixels are taken, at most so many, and one fewer is sought in their
        place
    rounds: how often all numbers of removals are tried
    """
    return for_norm(norm, l0=Beam)(width, candidates, pixels, removals, rounds)
