"""A Target as Foolbox asks it: images kept in the box, forward passes shared, gradients of images alone."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from absynth.attacks.target import Target

CLEAN_MARGIN = 10.0  # of each clean image's logits, as Foolbox sees them
UNCHANGED = 1e-4  # where l0 counts, Foolbox takes a pixel that moved less for unchanged


class FoolboxView(nn.Module):
    """What Foolbox sees of a Target: images kept in the box, logits on one scale, few forward passes.

    Queries may leave [0, 1] by rounding (and in l0 miss the clean value by it): they are put back, and gradients
    pass unchanged. Where an attack divided by a gradient of zero, NaN becomes the clean value. Where gradients are
    asked for, or the clean images have been asked first, each image's logits are multiplied by a constant that makes
    the margin of the clean image CLEAN_MARGIN. No decision depends on the scale, but the cross entropy does: for
    small logits its gradient leads to all other classes at once, for large it vanishes.
    DeepFool asks for nine gradients at each point: the second to ninth reuse the forward pass. Weights get no
    gradients. A model whose answer does not depend on x has gradient zero.

    The active images are those at the time when it is made.
    max_calls: refuse (ValueError) any call beyond it, for attacks that can loop without end
    """

    def __init__(self, target: Target, max_calls: int | None = None):
        super().__init__()
        self.target, self.calls_left = target, max_calls
        self.clean, self.labels = target.active
        self.scale: Tensor | None = None
        self.leaf = self.logits = torch.empty(0, device=target.x.device)

    def forward(self, queries: Tensor) -> Tensor:
        """Logits (m, K) of queries (m, c, h, w), one for each active image."""
        if self.calls_left is not None:
            self.calls_left -= 1
            if self.calls_left < 0:
                raise ValueError("the attack does not end")
        images = self._repair(queries.detach())
        if not queries.requires_grad:
            return self._without_gradient(images)
        self._ask_leaf(images)
        return self._scale() * _GradientAtLeaf.apply(queries, (self.leaf, self.logits))

    def ask_gradient(
        self, queries: Tensor, loss: Callable[[Tensor, Tensor], Tensor]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Logits (m, K) of queries (m, c, h, w), the values (m,) of a loss of logits and labels, and its gradient.

        As a call and a gradient of the loss's sum; for attacks that need no Foolbox.
        """
        with torch.enable_grad():
            self._ask_leaf(self._repair(queries))
            logits = self._scale() * self.logits
            values = loss(logits, self.labels)
            gradient = None
            if values.requires_grad:
                (gradient,) = torch.autograd.grad(
                    values.sum(), self.leaf, retain_graph=True, allow_unused=True
                )
        gradient = torch.zeros_like(self.leaf) if gradient is None else gradient
        return logits.detach(), values.detach(), gradient

    def _ask_leaf(self, images: Tensor) -> None:
        """Ask for images with a gradient, unless they were the last that were asked so."""
        if not torch.equal(images, self.leaf):
            self.leaf = images.requires_grad_()
            self.logits = self.target(self.leaf)

    def _without_gradient(self, images: Tensor) -> Tensor:
        """Logits on the scale of those with gradients, as soon as that is known: attacks may compare the two."""
        logits = self.target(images)
        if self.scale is None and torch.equal(images, self.clean):
            self.scale = self._scale_of(logits)
        return logits if self.scale is None else self.scale * logits

    @torch.no_grad()
    def _scale(self) -> Tensor:
        """The scale (m, 1), which follows from the clean images; asks for them if the last query was another."""
        if self.scale is None:
            asked = torch.equal(self.leaf, self.clean)
            self.scale = self._scale_of(self.logits.detach() if asked else self.target(self.clean))
        return self.scale

    def _scale_of(self, logits: Tensor) -> Tensor:
        """The scale (m, 1) that follows from the clean images' logits (m, C)."""
        y = self.labels
        rivals = logits.scatter(1, y[:, None], -torch.inf)
        margin = logits.gather(1, y[:, None]) - rivals.amax(dim=1, keepdim=True)  # (m, 1)
        return CLEAN_MARGIN / margin.abs().clamp_min(1e-12)

    def _repair(self, queries: Tensor) -> Tensor:
        clean, images = self.clean, queries.clamp(0, 1)
        # NaN shows in the sum. Where layouts differ, `where` decides which the model is handed.
        if queries.stride() != clean.stride() or not images.sum().isfinite():
            images = torch.where(queries.isnan(), clean, images)
        if self.target.norm == "l0":
            images = torch.where((images - clean).abs() < UNCHANGED, clean, images)
        return images


class _GradientAtLeaf(torch.autograd.Function):
    """Hand on logits computed at a leaf, and the gradient at that leaf."""

    @staticmethod
    def forward(context: Any, queries: Tensor, computed: tuple[Tensor, Tensor]) -> Tensor:
        context.computed = computed
        return computed[1].detach().clone()

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None]:
        leaf, logits = context.computed
        if not logits.requires_grad:
            return torch.zeros_like(leaf), None
        (at_leaf,) = torch.autograd.grad(logits, leaf, gradient, retain_graph=True, allow_unused=True)
        return torch.zeros_like(leaf) if at_leaf is None else at_leaf, None
