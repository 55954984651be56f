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
