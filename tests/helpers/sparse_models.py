"""Models whose smallest set of pixels is known."""

import torch
from torch import nn

from absynth.models.binarize import binarize


def fewest(model, x, y):
    """How many pixels (n,) must turn black or white for a linear classifier of two classes to change its mind."""
    with torch.no_grad():
        logits = model(x)[:, :2].double()
        normal = (
            (1 - 2 * y[:, None]) * (model.weight[1] - model.weight[0])
        ).double()  # raises the other class
        gain = torch.maximum(normal * (1 - x.flatten(1)), -normal * x.flatten(1))
        summed = gain.sort(dim=1, descending=True).values.cumsum(dim=1)
        return (summed <= (logits[:, 0] - logits[:, 1]).abs()[:, None]).sum(dim=1) + 1


class Weighed(nn.Module):
    """Class 1 where the weighted sum of the pixels is above a bound; on binarised images, if `input_threshold`."""

    input_threshold: float | None = None

    def __init__(self, weight: torch.Tensor, bound: float, scale: float = 1.0):
        super().__init__()
        self.weight, self.bound, self.scale = weight, bound, scale

    def forward(self, x):
        pixel = (binarize(x) if self.input_threshold else x).flatten(1)
        score = self.scale * (pixel @ self.weight - self.bound)
        return torch.stack([torch.zeros_like(score), score], dim=1)


def black(n=1, shape=(1, 6, 5)):
    """Black images of class 0."""
    return torch.zeros(n, *shape), torch.zeros(n, dtype=torch.int64)


def steep(d=30):
    """Weights (d,) of which the first three sum to more than 2.6, and no three others do."""
    return torch.cat([torch.tensor([1, 0.9, 0.8]), torch.linspace(0.5, 0.1, d - 3)])
