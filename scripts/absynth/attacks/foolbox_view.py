"""A Target as Foolbox asks it: images kept in the box, forward passes shared, gradients of images alone."""

import torch
from torch import Tensor, nn

from absynth.attacks.target import Target

UNCHANGED = 1e-4  # where l0 counts, Foolbox takes a pixel that moved less for unchanged


class FoolboxView(nn.Module):
    """What Foolbox sees of a Target: images kept in [0, 1], one query for all gradients at the same images.

    Queries may leave the box by rounding (and in l0 miss the clean value by it): they are put back, and
    gradients pass unchanged. DeepFool asks for nine gradients at each point: the second to ninth reuse the
    forward pass. Weights get no gradients. A model whose answer does not depend on x has gradient zero.

    max_calls: refuse (ValueError) any call beyond it, for attacks that can loop without end
    """

    def __init__(self, target: Target, max_calls: int | None = None):
        super().__init__()
        self.target, self.calls_left = target, max_calls
        self.leaf = self.logits = torch.empty(0)

    def forward(self, queries: Tensor) -> Tensor:
        """Logits (m, 10) of queries (m, 1, 28, 28), one for each active image."""
        if self.calls_left is not None:
            self.calls_left -= 1
            if self.calls_left < 0:
                raise ValueError("the attack does not end")
        images = self._repair(queries.detach())
        if not queries.requires_grad:
            return self.target(images)
        if not torch.equal(images, self.leaf):
            self.leaf = images.requires_grad_()
            self.logits = self.target(self.leaf)
        return _GradientAtLeaf.apply(queries, (self.leaf, self.logits))

    def _repair(self, queries: Tensor) -> Tensor:
        images = queries.clamp(0, 1)
        if self.target.norm == "l0":
            clean, _ = self.target.active
            clean = clean.repeat(len(images) // len(clean), 1, 1, 1)
            images = torch.where((images - clean).abs() < UNCHANGED, clean, images)
        return images


class _GradientAtLeaf(torch.autograd.Function):
    """Hand on logits computed at a leaf, and the gradient at that leaf."""

    @staticmethod
    def forward(context, queries: Tensor, computed: tuple[Tensor, Tensor]) -> Tensor:
        context.computed = computed
        return computed[1].detach().clone()

    @staticmethod
    def backward(context, gradient: Tensor) -> tuple[Tensor, None]:
        leaf, logits = context.computed
        if not logits.requires_grad:
            return torch.zeros_like(leaf), None
        (at_leaf,) = torch.autograd.grad(logits, leaf, gradient, retain_graph=True, allow_unused=True)
        return torch.zeros_like(leaf) if at_leaf is None else at_leaf, None
