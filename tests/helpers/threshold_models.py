"""Linear models for attacks that see decisions only, in float64, so that no batch can change a decision."""

import torch
from torch import Tensor, nn

from absynth.attacks.randomness import SampleRandom
from absynth.attacks.target import Target

SIZE = 784


class Linear(nn.Module):
    """Logits w · x + b for each class; weight (classes, 784), bias (classes,)."""

    def __init__(self, weight: Tensor, bias: Tensor):
        super().__init__()
        self.weight, self.bias = weight, bias

    def forward(self, x: Tensor) -> Tensor:
        return (x.flatten(1).to(self.weight.dtype) @ self.weight.T + self.bias).float()


def threshold(weight: Tensor, level: float) -> Linear:
    """Class 1 where weight · x > level, else class 0; in float64."""
    zero = torch.zeros_like(weight)
    return Linear(torch.stack([zero, weight]).double(), torch.tensor([0.0, -level]).double())


def ten_classes(seed: int = 0) -> tuple[nn.Module, Tensor, Tensor]:
    """A random linear classifier and six grey images with the labels that it gives them."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(6, 1, 28, 28, generator=generator).mul(255).round().div(255)
    weight = torch.randn(10, SIZE, generator=generator, dtype=torch.float64)
    model = Linear(weight, -weight.sum(dim=1) / 2)
    return model, x, model(x).argmax(dim=1)


def run(attack, model: nn.Module, x: Tensor, y: Tensor, norm: str, index=None, seed: int = 0) -> Target:
    target = Target(model, x, y, norm)
    attack(target, SampleRandom(seed, "test", range(len(x)) if index is None else index, x.device))
    return target


def black(n: int) -> tuple[Tensor, Tensor]:
    return torch.zeros(n, 1, 28, 28), torch.zeros(n, dtype=torch.int64)
