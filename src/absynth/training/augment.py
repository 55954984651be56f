"""Random shifts and enlargements of training images."""

import torch
from torch import Tensor
from torch.nn import functional as F


def shifted(images: Tensor, largest: int, generator: torch.Generator) -> Tensor:
    """Shift each image by whole pixels, at most `largest` on either axis; pixels that enter are 0.

    A shift is the difference of two uniform draws from 0 to `largest`: small shifts are more likely. Draws are made
    on the CPU, so that they are the same on every device.

    Takes   images (n, C, h, w); largest, in pixels
    Returns a new tensor of the same shape, or `images` itself, without a draw, if `largest` is 0
    """
    if largest == 0:
        return images
    n, channels, height, width = images.shape
    draws = torch.randint(0, largest + 1, (2, 2, n), generator=generator)
    down, right = (draws[0] - draws[1] + largest).to(images.device)  # (n,) each, from 0 to 2 largest
    rows = down[:, None] + torch.arange(height, device=images.device)  # (n, h)
    columns = right[:, None] + torch.arange(width, device=images.device)  # (n, w)
    which = torch.arange(n, device=images.device)[:, None, None]
    padded = F.pad(images, (largest,) * 4)
    moved = [padded[:, c][which, rows[:, :, None], columns[:, None, :]] for c in range(channels)]
    return torch.stack(moved, dim=1)


def enlarged(images: Tensor, largest: float, generator: torch.Generator) -> Tensor:
    """Enlarge each image by a random factor from 1 to `largest`: a random window of it fills the frame.

    Windows lie within the image, their width is uniform between 1 / `largest` and 1 of it, and values between pixels
    are interpolated bilinearly. Draws are made on the CPU, so that they are the same on every device.

    Takes   images (n, C, h, w); largest, at least 1
    Returns a new tensor of the same shape
    """
    n = len(images)
    width, right, down = torch.rand(3, n, generator=generator).to(images.device)  # (n,) each
    width = 1 - (1 - 1 / largest) * width
    right, down = ((1 - width) * (2 * draw - 1) for draw in (right, down))  # the window's centre, in [-1, 1]
    zero = torch.zeros_like(width)
    theta = torch.stack([width, zero, right, zero, width, down], dim=1).view(n, 2, 3)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def shifted_or_enlarged(images: Tensor, shift: int, zoom: float, generator: torch.Generator) -> Tensor:
    """Each image, at random, `shifted` or `enlarged` by up to `zoom`; all are shifted if `zoom` is 1."""
    moved = shifted(images, shift, generator)
    if zoom == 1:
        return moved
    coin = (torch.rand(len(images), 1, 1, 1, generator=generator) < 0.5).to(images.device)
    return torch.where(coin, moved, enlarged(images, zoom, generator))
