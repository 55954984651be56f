"""Random changes of training images."""

import torch
from torch import Tensor
from torch.nn import functional as F


def shifted(images: Tensor, most: int, generator: torch.Generator) -> Tensor:
    """Move each image by whole pixels, up to `most` on either axis, with zeros moving in.

    A step is the difference of two uniform draws from 0 to `most`, so that small steps are likelier and no step
    likeliest. Draws are made on the CPU: they are the same on every device.

    Takes   images (n, 1, h, w); most, in pixels
    Returns a new tensor of the same shape, or `images` itself if `most` is 0, without a draw
    """
    if most == 0:
        return images
    n, _, height, width = images.shape
    draws = torch.randint(0, most + 1, (2, 2, n), generator=generator)
    down, right = (draws[0] - draws[1] + most).to(images.device)  # (n,) each, from 0 to 2 most
    rows = down[:, None] + torch.arange(height, device=images.device)  # (n, h)
    columns = right[:, None] + torch.arange(width, device=images.device)  # (n, w)
    which = torch.arange(n, device=images.device)[:, None, None]
    padded = F.pad(images.squeeze(1), (most,) * 4)
    return padded[which, rows[:, :, None], columns[:, None, :]].unsqueeze(1)


def enlarged(images: Tensor, most: float, generator: torch.Generator) -> Tensor:
    """Enlarge each image by a random factor from 1 to `most`, about a random point: a window of it fills the frame.

    Windows lie within the image, their width is uniform between 1 and 1 / `most` of it, and values between
    pixels are interpolated bilinearly. Draws are made on the CPU: they are the same on every device.

    Takes   images (n, 1, h, w); most, at least 1
    Returns a new tensor of the same shape
    """
    n = len(images)
    width, right, down = torch.rand(3, n, generator=generator).to(images.device)  # (n,) each
    width = 1 - (1 - 1 / most) * width
    right, down = ((1 - width) * (2 * draw - 1) for draw in (right, down))  # the window's centre, in [-1, 1]
    zero = torch.zeros_like(width)
    theta = torch.stack([width, zero, right, zero, width, down], dim=1).view(n, 2, 3)
    grid = F.affine_grid(theta, images.shape, align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def shifted_or_enlarged(images: Tensor, shift: int, zoom: float, generator: torch.Generator) -> Tensor:
    """Half of the images, at random, `enlarged` by up to `zoom`, the others `shifted`; all shifted if `zoom` is 1."""
    moved = shifted(images, shift, generator)
    if zoom == 1:
        return moved
    coin = (torch.rand(len(images), 1, 1, 1, generator=generator) < 0.5).to(images.device)
    return torch.where(coin, moved, enlarged(images, zoom, generator))
