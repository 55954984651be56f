"""Sets of changes of single pixels, which grow and shrink pixel by pixel, and of which the best few go on.

Images are flat here, w sets of changes for each of m images: (w, m, d).
"""

from typing import NamedTuple

import torch
from torch import Tensor

from absynth.attacks.margins import ask_many
from absynth.attacks.postprocessing import closest_equivalent
from absynth.attacks.target import Target


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


def ends_of(clean: Tensor, threshold: float | None) -> Ends:
    """Black and white for clean images (m, d); where the model binarises its input, just beyond the threshold."""
    if threshold is None:
        value = torch.stack([torch.zeros_like(clean), torch.ones_like(clean)])
        return Ends(value, value - clean)
    return Ends(flipped(clean, threshold)[None], flip_step(clean, threshold)[None])


def flipped(clean: Tensor, threshold: float) -> Tensor:
    """Images with every pixel brought just across the threshold."""
    return closest_equivalent(clean, (clean < threshold).to(clean.dtype), threshold)


def flip_step(clean: Tensor, threshold: float) -> Tensor:
    """What a flip adds to the binarised pixel: 1 below the threshold, else -1."""
    return 1 - 2 * (clean >= threshold).to(clean.dtype)


class Changes(NamedTuple):
    """c changes for each of m images: of which of its sets, which pixel, to what value; each (c, m)."""

    parent: Tensor
    pixel: Tensor
    value: Tensor

    def apply(self, images: Tensor) -> Tensor:
        """The sets (w, m, d) that the changes make of their parents: (c, m, d)."""
        parents = images[self.parent, torch.arange(images.shape[1], device=images.device)]
        return parents.scatter(2, self.pixel[..., None], self.value[..., None])

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
    def of(images: Tensor, clean: Tensor) -> "Sets":
        """One set for each image, by which `images` (m, d) differ from clean ones."""
        code = torch.zeros(1, len(images), dtype=torch.int64, device=images.device)
        return Sets(images[None], code, (images != clean).sum(dim=1))

    def only(self, chosen: Tensor) -> "Sets":
        """Those of the images at positions `chosen`, or where a mask says so."""
        return Sets(self.images[:, chosen], self.code[:, chosen], self.size[chosen])

    def best(self, changes: Changes, margins: Tensor, width: int, added: int) -> "Sets":
        """The `width` sets of smallest margins (c, m) that changes make, each only once as long as there are others.

        added: pixels by which a change makes a set larger
        """
        d = self.images.shape[2]
        generator = torch.Generator().manual_seed(0)
        name = torch.randint(2**62, (d, 2), generator=generator).to(
            self.code.device
        )  # of each pixel and value
        code = self.code.gather(0, changes.parent) + name[changes.pixel, (changes.value > 0.5).long()]
        kept = _smallest_distinct(margins, code, width)
        made = Changes(*(kind.gather(0, kept) for kind in changes)).apply(self.images)
        return Sets(made, code.gather(0, kept), self.size + added)


def together(parts: list[Sets], positions: list[Tensor]) -> Sets:
    """The sets of several groups of images as those of all, in the order of their positions."""
    images, code = (torch.cat([part[i] for part in parts], dim=1) for i in (0, 1))
    return Sets(images, code, torch.cat([part.size for part in parts])).only(torch.cat(positions).argsort())


def additions(images: Tensor, clean: Tensor, ends: Ends, gradients: Tensor, count: int) -> Changes:
    """For each set the `count` changes of unchanged pixels that lower its margin most, to first order.

    images, gradients (w, m, d); clean (m, d). Where fewer pixels can change, the last changes change nothing.
    """
    v, (w, m, d) = len(ends.value), images.shape
    usable = (ends.step[:, None] != 0) & (images == clean)
    predicted = torch.where(usable, gradients * ends.step[:, None], torch.inf)  # (v, w, m, d)
    predicted = predicted.permute(1, 2, 0, 3).reshape(w, m, v * d)
    place = predicted.argsort(dim=2, stable=True)[..., :count].permute(2, 0, 1).reshape(-1, m)
    parent, image = _parents(w, m, len(place) // w, images.device)
    end, pixel = place // d, place % d
    kept = images[parent, image, pixel]
    return Changes(
        parent, pixel, torch.where(kept == clean[image, pixel], ends.value[end, image, pixel], kept)
    )


def removals(images: Tensor, clean: Tensor) -> Changes:
    """Each changed pixel of each set (w, m, d) back to its clean value; where there are fewer, changes repeat."""
    w, m, _ = images.shape
    changed = images != clean
    count = int(changed.sum(dim=2).max())
    pixel = changed.to(torch.int8).argsort(dim=2, descending=True, stable=True)[..., :count]
    pixel = torch.where(changed.gather(2, pixel), pixel, pixel[..., :1]).permute(2, 0, 1).reshape(-1, m)
    parent, image = _parents(w, m, count, images.device)
    return Changes(parent, pixel, clean[image, pixel])


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
