"""Shorter perturbations for models that binarise their input (paper, section 5, Postprocessing).

Such a model has an attribute `input_threshold`: pixels at or above it count as 1, all others as 0.
"""

import torch
from torch import Tensor


def closest_equivalent(x: Tensor, images: Tensor, threshold: float | None) -> Tensor:
    """Of all images that binarise as `images` (…, n, c, h, w) do, the closest to x (n, c, h, w) in any norm.

    A pixel whose binary value is x's goes back to x; any other goes to the threshold if that is above x, else
    to the largest number below the threshold. The model's input, so its decision, stays the same, and no pixel
    moves away from x. Without a threshold the images themselves.
    """
    if threshold is None:
        return images
    up = images >= threshold
    at = images.new_tensor(threshold)
    flipped = torch.where(up, at, torch.nextafter(at, at - 1))
    return torch.where(up == (x >= threshold), x, flipped)
