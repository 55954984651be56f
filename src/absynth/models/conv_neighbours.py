"""Logits of images that differ from another in one pixel, from what a stack of convolutions made of that other.

A pixel reaches only a window of each layer's outputs. Only those are computed, as differences from the other
image's, so that what is equal in both takes no time and leaves no rounding error in their difference.
"""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from absynth.models.base import NeighbourLogits, StatelessSession, input_threshold, latest
from absynth.models.binarize import binarize
from absynth.models.layers import ConvStack


@dataclass(frozen=True)
class _Layer:
    """A convolution without padding; what follows it is folded into its weights.

    weight (out, in, k, k); bias (out,); size: of its square output; last: whether no ELU follows
    """

    weight: Tensor
    bias: Tensor
    stride: int
    size: int
    last: bool

    def linear(self, x: Tensor) -> Tensor:
        """The outputs without bias and ELU of x (n, h, w, in): (n, h', w', out)."""
        return functional.conv2d(x.permute(0, 3, 1, 2), self.weight, stride=self.stride).permute(0, 2, 3, 1)

    def reached(self, origin: Tensor, width: int) -> tuple[Tensor, int]:
        """The window of outputs that a window of inputs reaches: its first rows and columns (q, 2), its width.

        Of the last layer that are all outputs.

        origin (q, 2), width: of the window of inputs
        """
        kernel = self.weight.shape[-1]
        reached = self.size if self.last else min((width + kernel - 2) // self.stride + 1, self.size)
        first = -torch.div(kernel - 1 - origin, self.stride, rounding_mode="floor")  # the ceiling
        return first.clamp(0, self.size - reached), reached

    def asked(self, width: int) -> int:
        """The width of the window of inputs that a window of outputs of some width depends on."""
        return self.stride * (width - 1) + self.weight.shape[-1]


class ConvNeighbours:
    """Answers for images that differ in at most one pixel from one of m images.

    layers, preactivations: of the stack; the latter of the m images, (m, h, w, channels) each
    """

    def __init__(self, layers: list[_Layer], images: Tensor):
        self._layers, self._preactivations = layers, list[Tensor]()
        x = images.permute(0, 2, 3, 1)
        for layer in layers:
            self._preactivations.append((layer.linear(x) + layer.bias).contiguous())
            x = functional.elu(self._preactivations[-1])

    @classmethod
    @torch.no_grad()
    def of(cls, stack: ConvStack, images: Tensor) -> Self:
        """Those of images (m, c, h, w), square, for a stack in evaluation mode, of convolutions not transposed."""
        return cls(_layers(stack, images.shape[-1]), images)

    def logits(self, owner: Tensor, pixel: Tensor, change: Tensor) -> Tensor:
        """The last outputs (q, C), flattened as the stack's own (q, c, h, w), once a pixel has changed.

        owner (q,): which of the m images; pixel (q, 2): its row and column; change (q, c): what is added, by channel
        """
        change, origin, width = change[:, None, None], pixel, 1
        for layer, before in zip(self._layers, self._preactivations, strict=True):
            first, reached = layer.reached(origin, width)
            inputs = _window(change, layer.stride * first - origin, layer.asked(reached))
            rise = layer.linear(inputs)
            old = _parts(before, owner, first, reached)
            change, origin, width = rise, first, reached
            if not layer.last:
                change = functional.elu(old + rise) - functional.elu(old)
        return (old + rise).permute(0, 3, 1, 2).flatten(1)


def _window(patch: Tensor, offset: Tensor, width: int) -> Tensor:
    """Windows (q, width, width, c) of patches (q, n, n, c) from rows and columns `offset` (q, 2) on, 0 beyond."""
    n = patch.shape[1]
    places = offset[..., None] + torch.arange(width, device=patch.device)  # (q, 2, width)
    places = torch.where((places >= 0) & (places < n), places, n)
    padded = functional.pad(patch, (0, 0, 0, 1, 0, 1))
    number = torch.arange(len(patch), device=patch.device)[:, None, None]
    return padded[number, places[:, 0, :, None], places[:, 1, None, :]]


def _parts(whole: Tensor, owner: Tensor, first: Tensor, width: int) -> Tensor:
    """Windows (q, width, width, c) of whole[owner], (m, h, w, c), from rows and columns `first` (q, 2) on."""
    places = first[..., None] + torch.arange(width, device=first.device)  # (q, 2, width)
    return whole[owner[:, None, None], places[:, 0, :, None], places[:, 1, None, :]]


def _layers(stack: ConvStack, size: int) -> list[_Layer]:
    """The layers of a stack for square images of a size, in pixels."""
    layers = []
    for i in range(stack.depth):
        conv, last = stack.get_submodule(f"conv_{i}"), i == stack.depth - 1
        assert isinstance(conv, nn.Conv2d)
        assert conv.bias is not None
        kernel, stride = conv.kernel_size[0], conv.stride[0]
        size = (size - kernel) // stride + 1
        weight, bias = conv.weight, conv.bias
        if not last:
            norm = stack.get_submodule(f"bn_{i}")
            assert isinstance(norm, nn.BatchNorm2d)
            assert norm.running_mean is not None
            assert norm.running_var is not None
            weight, bias = nn.utils.fuse_conv_bn_weights(
                weight, bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
            )
        layers.append(_Layer(weight.detach(), bias.detach(), stride, size, last))
    return layers


class ConvSession(StatelessSession):
    """The session of a stack of convolutions: stateless, but for the neighbours of an image, which share its work.

    model: what answers all other queries: the stack in evaluation mode, behind a threshold if it binarises its input
    images (n, c, h, w): the clean ones
    """

    def __init__(self, model: nn.Module, stack: ConvStack, images: Tensor):
        super().__init__(model)
        self._stack = stack
        self._prepare = nn.Identity() if input_threshold(model) is None else binarize
        self._last = images.clone()  # the last query of each that logits were asked for

    def logits(self, queries: Tensor, rows: Tensor) -> Tensor:
        last = latest(rows, len(self._last))
        self._last[rows[last]] = queries.detach()[last]
        return super().logits(queries, rows)

    @torch.no_grad()
    def neighbour_logits(self, rows: Tensor) -> NeighbourLogits:
        """As in `Session`; neighbours that differ in more than one pixel are asked for one by one."""
        middles = self._prepare(self._last[rows])
        near = ConvNeighbours.of(self._stack, middles)

        @torch.no_grad()
        def ask(neighbours: Tensor, owner: Tensor) -> Tensor:
            changes = (self._prepare(neighbours) - middles[owner]).flatten(2)  # (q, c, h · w)
            changed = (changes != 0).any(dim=1)
            place = changed.int().argmax(dim=1)
            change = changes.gather(2, place[:, None, None].expand(-1, changes.shape[1], 1)).squeeze(2)
            width = neighbours.shape[-1]
            logits = near.logits(owner, torch.stack([place // width, place % width], dim=1), change)
            others = changed.sum(dim=1) > 1
            if others.any():
                logits[others] = self.model(neighbours[others].clone())
            return logits

        return ask
