"""Linear classifiers in 784 dimensions, whose smallest adversarial perturbations are known in closed form."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from absynth.attacks.randomness import SampleRandom
from absynth.attacks.target import Target

DUAL = {"l2": 2, "linf": 1}
N = 5


class Linear(nn.Module):
    """Logits w_c · (x − ½) + b_c; counts the images that it is asked for."""

    def __init__(self, n_classes: int = 10, bias: Tensor | None = None):
        super().__init__()
        weight = torch.randn(10, 784, generator=torch.Generator().manual_seed(0)) / 28
        weight[n_classes:] = 0
        self.weight = nn.Parameter(weight)
        self.bias = torch.zeros(10) if bias is None else bias
        self.bias[n_classes:] = -1e3
        self.asked = 0

    def forward(self, x: Tensor) -> Tensor:
        self.asked += len(x)
        return (x.flatten(1) - 0.5) @ self.weight.T + self.bias


class Overwriting(Linear):
    """Blackens the images once it has read them."""

    def forward(self, x: Tensor) -> Tensor:
        logits = super().forward(x.clone())
        x.zero_()
        return logits


class Stepwise(Linear):
    """Binarises its input, so that no gradient passes, whether or not the graph is connected."""

    def __init__(self, connected: bool):
        super().__init__(n_classes=2)
        self.connected = connected
        self.weight.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        logits = super().forward((x > 0.95).to(x.dtype))
        return logits + 0 * x.flatten(1).sum(dim=1, keepdim=True) if self.connected else logits


def two_class() -> Linear:
    return Linear(n_classes=2)


def ten_class() -> Linear:
    return Linear()


def never_errs() -> Linear:
    """Reads class 0 whatever it sees."""
    return Linear(bias=torch.tensor([1e3] + [0.0] * 9))


def images(model: Linear) -> tuple[Tensor, Tensor]:
    """N images, some 0.05 from grey, at different distances from the decision boundary, and their labels.

    Each is on the side of one class, less so of the next.
    """
    n_classes = int((model.bias > -1).sum())
    y = torch.arange(N) % n_classes
    weight = functional.normalize(model.weight.detach()[:n_classes])
    direction = weight[y] + 0.5 * weight[(y + 1) % n_classes]
    size = torch.linspace(0.5, 1.5, N)[:, None]
    x = (0.5 + size * direction).view(N, 1, 28, 28)
    return x, model(x).argmax(dim=1)


def smallest(model: Linear, x: Tensor, y: Tensor, norm: str) -> Tensor:
    """Distance (n,) of each image to the nearest decision boundary: margin / ‖w_y − w_c‖ in the dual norm."""
    with torch.no_grad():
        logits = model(x).double()
        margin = logits.gather(1, y[:, None]) - logits  # (n, 10)
        slope = (model.weight[y][:, None] - model.weight).double().norm(p=DUAL[norm], dim=2)  # (n, 10)
        return torch.where(slope > 0, margin / slope, torch.inf).amin(dim=1)


def target_of(model: Linear, norm: str) -> Target:
    x, y = images(model)
    model.asked = 0
    return Target(model, x, y, norm)


def draws(seed: int = 0) -> SampleRandom:
    return SampleRandom(seed, "test", range(N), torch.device("cpu"))
