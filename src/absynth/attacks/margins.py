"""Margins: by how much the label wins, and how that changes with the image.

The margin of an image is the logit of its label minus the largest other one; below 0 the image is misclassified.
Images are flat here, k of each of the m active images of a target: (k, m, d).
"""

from collections.abc import Callable

import torch
from torch import Tensor

from absynth.attacks.target import Target

# Images in one call of the model: bounds the memory, and on a CPU fewer are faster, whose caches hold more of them.
_AT_ONCE = {"cpu": 256, "cuda": 1024}


def margin(logits: Tensor, y: Tensor) -> Tensor:
    """The margins (n,) of logits (n, K) with labels y (n,)."""
    rival = logits.scatter(1, y[:, None], -torch.inf).amax(dim=1)
    return logits.gather(1, y[:, None]).squeeze(1) - rival


def ask_margins(target: Target, images: Tensor) -> Tensor:
    """The margins (k, m) of images (k, m, d)."""
    return ask_many(target, len(images), lambda part: images[part])


@torch.no_grad()
def ask_many(target: Target, k: int, images: Callable[[slice], Tensor]) -> Tensor:
    """The margins (k, m) of k images of each active one, never all in memory at once.

    images: of a slice of the k, (size of the slice, m, d)
    """
    size = _blocks(target)
    return torch.cat([_ask(target, images(slice(first, first + size))) for first in range(0, k, size)])


def ask_gradients(target: Target, images: Tensor) -> tuple[Tensor, Tensor]:
    """The margins (k, m) of images (k, m, d), and their gradients (k, m, d): 0 where the model offers none."""
    margins, gradients = [], []
    for part in images.split(_blocks(target)):
        leaf = part.clone().requires_grad_()
        with torch.enable_grad():
            asked = _ask(target, leaf)
        margins.append(asked.detach())
        gradients.append(_gradient(asked, leaf))
    return torch.cat(margins), torch.cat(gradients)


def _ask(target: Target, images: Tensor) -> Tensor:
    k, m, _ = images.shape
    logits = target(images.reshape(k * m, *target.x.shape[1:]))
    return margin(logits, target.active[1].repeat(k)).view(k, m)


def _gradient(margins: Tensor, leaf: Tensor) -> Tensor:
    if not margins.requires_grad:
        return torch.zeros_like(leaf)
    (gradient,) = torch.autograd.grad(margins.sum(), leaf, allow_unused=True)
    return torch.zeros_like(leaf) if gradient is None else gradient


def _blocks(target: Target) -> int:
    """How many images of each active one are asked in one call."""
    return max(1, _AT_ONCE.get(target.x.device.type, 256) // max(1, len(target.rows)))
