"""Sets of changes of single pixels, which grow and shrink pixel by pixel, and of which the best few go on.

Images are flat here, w sets of changes for each of m images: (w, m, d). They have P pixels of C channels each
(`absynth.attacks.pixels`), of which a change sets all.
"""

from itertools import product
from typing import NamedTuple

import torch
from torch import Tensor

from absynth.attacks.margins import ask_many
from absynth.attacks.pixels import any_channel, by_channel
from absynth.attacks.postprocessing import closest_equivalent
from absynth.attacks.target import Target

_CORNERS = 4  # channels up to which a pixel may take every corner of the colour cube


class Ends(NamedTuple):
    """v values that each pixel may be changed to.

    value (v, m, d): what a pixel becomes
    step (v, m, d): how much the model's input then changes, which is what a gradient is multiplied by; 0 where the
        pixel has that value already
    """

    value: Tensor
    step: Tensor

    def only(self, chosen: Tensor) -> "Ends":
        """Those of the images at positions `chosen`."""
        return Ends(self.value[:, chosen], self.step[:, chosen])


def ends_of(clean: Tensor, threshold: float | None, channels: int = 1) -> Ends:
    """Black and white for clean images (m, d); where the model binarises its input, just beyond the threshold.

    Of pixels with 2 to 4 channels, each channel of its own: black, white and all primary colours, or each choice of
    channels that cross the threshold. Of pixels with more, all channels together.
    """
    choices = list(product((False, True), repeat=channels)) if channels <= _CORNERS else []
    choices = choices or [(False,) * channels, (True,) * channels]
    chosen = clean.new_tensor(choices, dtype=torch.bool)[:, None, :, None]  # (v, 1, C, 1)
    pixels = by_channel(clean, channels)  # (m, C, P)
    if threshold is None:
        value = chosen.to(clean.dtype).expand(-1, *pixels.shape).flatten(2)
        return Ends(value, value - clean)
    chosen = chosen[1:]  # without the choice that changes nothing
    value = torch.where(chosen, by_channel(flipped(clean, threshold), channels), pixels).flatten(2)
    step = torch.where(chosen, by_channel(flip_step(clean, threshold), channels), 0).flatten(2)
    return Ends(value, step)


def flipped(clean: Tensor, threshold: float) -> Tensor:
    """Images with every pixel brought just across the threshold."""
    return closest_equivalent(clean, (clean < threshold).to(clean.dtype), threshold)


def flip_step(clean: Tensor, threshold: float) -> Tensor:
    """What a flip adds to the binarised pixel: 1 below the threshold, else -1."""
    return 1 - 2 * (clean >= threshold).to(clean.dtype)


class Changes(NamedTuple):
    """c changes for each of m images: of which of its sets, which pixel, (c, m) each, to what value (c, m, C)."""

    parent: Tensor
    pixel: Tensor
    value: Tensor

    def apply(self, images: Tensor) -> Tensor:
        """The sets (w, m, d) that the changes make of their parents: (c, m, d)."""
        parents = images[self.parent, torch.arange(images.shape[1], device=images.device)]
        channels = self.value.shape[2]
        pixel = self.pixel[..., None, None].expand(*self.value.shape, 1)
        return by_channel(parents, channels).scatter(3, pixel, self.value[..., None]).flatten(2)

    def gather(self, place: Tensor) -> "Changes":
        """Those at places (k, m)."""
        value = self.value.gather(0, place[..., None].expand(-1, -1, self.value.shape[2]))
        return Changes(self.parent.gather(0, place), self.pixel.gather(0, place), value)

    def ask(self, target: Target, images: Tensor) -> Tensor:
        """The margins (c, m) of the sets that they make of `images` (w, m, d)."""
        return ask_many(
            target, len(self.pixel), lambda part: Changes(*(kind[part] for kind in self)).apply(images)
        )


class Sets(NamedTuple):
    """w sets of changes for each of m images.

    images (w, m, d); code (w, m) int64: the same for sets that the same changes led to, in whatever order
    size (m,) int64: how many pixels each set of an image has
    """

    images: Tensor
    code: Tensor
    size: Tensor

    @staticmethod
    def of(images: Tensor, clean: Tensor, channels: int = 1) -> "Sets":
        """One set for each image, by which `images` (m, d) differ from clean ones."""
        code = torch.zeros(1, len(images), dtype=torch.int64, device=images.device)
        return Sets(images[None], code, any_channel(images != clean, channels).sum(dim=1))

    def only(self, chosen: Tensor) -> "Sets":
        """Those of the images at positions `chosen`, or where a mask says so."""
        return Sets(self.images[:, chosen], self.code[:, chosen], self.size[chosen])

    def best(self, changes: Changes, margins: Tensor, width: int, added: int) -> "Sets":
        """The `width` sets of smallest margins (c, m) that changes make, each only once as long as there are others.

        added: pixels by which a change makes a set larger
        """
        channels = changes.value.shape[2]
        generator = torch.Generator().manual_seed(0)
        size = (self.images.shape[2] // channels, channels, 2)  # of each pixel, channel and value
        name = torch.randint(2**62, size, generator=generator).to(self.code.device)
        channel = torch.arange(channels, device=self.code.device)
        named = name[changes.pixel[..., None], channel, (changes.value > 0.5).long()].sum(dim=2)
        code = self.code.gather(0, changes.parent) + named
        kept = _smallest_distinct(margins, code, width)
        made = changes.gather(kept).apply(self.images)
        return Sets(made, code.gather(0, kept), self.size + added)


def together(parts: list[Sets], positions: list[Tensor]) -> Sets:
    """The sets of several groups of images as those of all, in the order of their positions."""
    images, code = (torch.cat([part[i] for part in parts], dim=1) for i in (0, 1))
    return Sets(images, code, torch.cat([part.size for part in parts])).only(torch.cat(positions).argsort())


def additions(
    images: Tensor, clean: Tensor, ends: Ends, gradients: Tensor, count: int, channels: int = 1
) -> Changes:
    """For each set the `count` changes of unchanged pixels that lower its margin most, to first order.

    images, gradients (w, m, d); clean (m, d). Where fewer pixels can change, the last changes change nothing.
    """
    v, (w, m, d) = len(ends.value), images.shape
    size = d // channels
    unchanged = ~any_channel(images != clean, channels)
    usable = any_channel(ends.step != 0, channels)[:, None] & unchanged  # (v, w, m, P)
    change = by_channel(gradients * ends.step[:, None], channels).sum(dim=-2)
    predicted = torch.where(usable, change, torch.inf)
    predicted = predicted.permute(1, 2, 0, 3).reshape(w, m, v * size)
    place = predicted.argsort(dim=2, stable=True)[..., :count].permute(2, 0, 1).reshape(-1, m)
    parent, image = _parents(w, m, len(place) // w, images.device)
    end, pixel = place // size, place % size
    value = by_channel(ends.value, channels)[end, image, :, pixel]  # (c, m, C)
    kept = by_channel(images, channels)[parent, image, :, pixel]
    return Changes(parent, pixel, torch.where(unchanged[parent, image, pixel][..., None], value, kept))


def removals(images: Tensor, clean: Tensor, channels: int = 1) -> Changes:
    """Each changed pixel of each set (w, m, d) back to its clean value; where there are fewer, changes repeat."""
    w, m, _ = images.shape
    changed = any_channel(images != clean, channels)  # (w, m, P)
    count = int(changed.sum(dim=2).max())
    pixel = changed.to(torch.int8).argsort(dim=2, descending=True, stable=True)[..., :count]
    pixel = torch.where(changed.gather(2, pixel), pixel, pixel[..., :1]).permute(2, 0, 1).reshape(-1, m)
    parent, image = _parents(w, m, count, images.device)
    return Changes(parent, pixel, by_channel(clean, channels)[image, :, pixel])


def _parents(w: int, m: int, count: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """The positions (count · w, m) of sets and (m,) of images of `count` changes of each set."""
    return torch.arange(w, device=device).repeat(count)[:, None].expand(-1, m), torch.arange(m, device=device)


def _smallest_distinct(margins: Tensor, code: Tensor, width: int) -> Tensor:
    """Positions (width, m) of the smallest of margins (c, m), those last whose code (c, m) another has."""
    order = margins.argsort(dim=0, stable=True)
    sorted_code = code.gather(0, order)
    by_code = sorted_code.argsort(dim=0, stable=True)
    equal = sorted_code.gather(0, by_code)
    again = torch.zeros_like(equal, dtype=torch.bool)
    again[1:] = equal[1:] == equal[:-1]
    repeated = torch.empty_like(again).scatter_(0, by_code, again)
    place = torch.arange(width, device=code.device).clamp(max=len(code) - 1)
    return order.gather(0, repeated.to(torch.int8).argsort(dim=0, stable=True)[place])
