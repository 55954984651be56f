"""Input binarisation with a straight-through gradient (Bengio et al. 2013)."""

from torch import Tensor, nn

THRESHOLD = 0.5


def binarize(x: Tensor) -> Tensor:
    """1 where a pixel is at least 0.5, else 0; the backward pass is the identity."""
    hard = (x.detach() >= THRESHOLD).to(x.dtype)
    return hard + (x - x.detach()) if x.requires_grad else hard


class Binarized(nn.Module):
    """A classifier that sees its input binarised."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        return self.model(binarize(x))
