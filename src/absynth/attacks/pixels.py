"""Pixels and their channels in flat images, for attacks that change pixel by pixel.

l0 counts pixels: one is changed if any of its channels is, and the others may then change as well at no cost. Where
l0 is minimised, such attacks therefore change whole pixels, all channels of one together; in the other norms each
value is a pixel of its own. Images of C such channels are flat, (…, C · P) for P pixels, channel by channel.
"""

import torch
from torch import Tensor

from absynth.attacks.target import Target


def channels_of(target: Target) -> int:
    """How many values make a pixel: the images' channels where l0 is minimised, otherwise 1."""
    return target.x.shape[1] if target.norm == "l0" else 1


def any_channel(values: Tensor, channels: int) -> Tensor:
    """Where any channel of a pixel is true: (…, C · P) bool to (…, P)."""
    return values if channels == 1 else values.unflatten(-1, (channels, -1)).any(dim=-2)


def every_channel(pixels: Tensor, channels: int) -> Tensor:
    """The same for every channel of a pixel: (…, P) to (…, C · P)."""
    return pixels if channels == 1 else torch.cat([pixels] * channels, dim=-1)


def by_channel(values: Tensor, channels: int) -> Tensor:
    """A view of flat images (…, C · P) as (…, C, P)."""
    return values.unflatten(-1, (channels, -1))
