"""A model's answer to queries and its first-order change, for attacks that step to a linearised boundary or loss."""

from collections.abc import Callable

import torch
from torch import Tensor

from absynth.attacks.target import Target

Loss = Callable[[Tensor, Tensor], Tensor]  # logits (m, C) and labels (m,) to values (m,)


def margin_to(rival: Tensor) -> Loss:
    """The label's logit minus that of classes `rival` (m,): as the margin, for one class each."""
    return lambda logits, y: (logits.gather(1, y[:, None]) - logits.gather(1, rival[:, None])).squeeze(1)


def ask_linearised(target: Target, points: Tensor, loss: Loss) -> tuple[Tensor, Tensor]:
    """Ask for one point (m, d) of each active image, with a gradient of the loss.

    points: float64; the query is the point in the images' dtype, in which it must be exact
    Returns the loss (m,) and its gradient (m, d), float64; a component of the gradient that is not finite, or on
        which the loss does not depend, is 0
    """
    query = points.to(target.x.dtype).view(-1, *target.x.shape[1:]).requires_grad_()
    with torch.enable_grad():
        value = loss(target(query), target.y[target.rows])
        gradient = torch.zeros_like(query)
        if value.requires_grad:
            (found,) = torch.autograd.grad(value.sum(), query, allow_unused=True)
            gradient = gradient if found is None else found
    return value.detach().double(), gradient.flatten(1).double().nan_to_num(0.0, 0.0, 0.0)


def representable(points: Tensor, target: Target) -> Tensor:
    """Points (m, d) float64 rounded to what a query in the images' dtype can be, within [0, 1]."""
    return points.clamp(0, 1).to(target.x.dtype).double()


def likeliest_rivals(target: Target, count: int) -> tuple[Tensor, Tensor]:
    """Ask for the active images themselves, once each.

    Returns their logits (n, C), 0 for images that are not active, and the `count` classes of highest logits besides
        the label, or all if there are fewer, the likeliest first: (count, n) int64
    """
    with torch.no_grad():
        found = target(target.active[0])
    logits = found.new_zeros(len(target.x), found.shape[1])
    logits[target.rows] = found
    rivals = logits.scatter(1, target.y[:, None], -torch.inf)
    return logits, rivals.topk(min(count, logits.shape[1] - 1), dim=1).indices.T
