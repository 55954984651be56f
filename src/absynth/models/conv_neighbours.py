"""Logits of images that differ from another in one pixel, from what a stack of convolutions made of that other.

A pixel reaches only a window of each layer's outputs. Only those are computed, as differences from the other
image's, so that what is equal in both takes no time and leaves no rounding error in their difference.
"""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from absynth.models.base import NeighbourLogits, StatelessSession, input_threshold
from absynth.models.binarize import binarize
from absynth.models.checks import check_images
from absynth.models.layers import ConvStack

_KEPT = 4  # queries remembered of each row; beam search goes on from as many sets as that, or fewer


@dataclass(frozen=True)
class Layer:
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

    def __init__(self, layers: list[Layer], preactivations: list[Tensor]):
        self._layers, self._preactivations = layers, preactivations

    @classmethod
    def of(cls, layers: list[Layer], images: Tensor) -> Self:
        """Those of images (m, c, h, w), square."""
        return cls(layers, _preactivations(layers, images))

    @torch.no_grad()
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


def layers_of(stack: ConvStack, size: int) -> list[Layer] | None:
    """The layers of a stack for square images of a size; None where one of them is not as `ConvStack` makes it.

    Those are convolutions, not transposed, with bias and without padding, and batch norms in evaluation mode.
    """
    layers = []
    for i in range(stack.depth):
        conv, last = getattr(stack, f"conv_{i}", None), i == stack.depth - 1
        if type(conv) is not nn.Conv2d or conv.bias is None or not _plain(conv):
            return None
        size = (size - conv.kernel_size[0]) // conv.stride[0] + 1
        weight, bias = conv.weight, conv.bias
        if not last:
            norm = getattr(stack, f"bn_{i}", None)
            if type(norm) is not nn.BatchNorm2d or norm.running_mean is None or norm.running_var is None:
                return None
            weight, bias = nn.utils.fuse_conv_bn_weights(
                weight, bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
            )
        layers.append(Layer(weight.detach(), bias.detach(), conv.stride[0], size, last))
    return layers


def _plain(conv: nn.Conv2d) -> bool:
    """Whether a convolution is square, its outputs depend on all channels, and nothing is padded or left out."""
    square = len({*conv.kernel_size}) == len({*conv.stride}) == 1
    return square and {*conv.dilation, conv.groups} == {1} and {*conv.padding} == {0}


def unchanged(model: nn.Module) -> bool:
    """Whether a module and all in it are in evaluation mode and answer as their classes say: without hooks."""
    return not any(
        module.training or module._forward_hooks or module._forward_pre_hooks or "forward" in vars(module)
        for module in model.modules()
    )


class ConvSession(StatelessSession):
    """The session of a stack of convolutions on a CPU, in which images that differ in a pixel share work.

    Remembered are the last few queries of each row whose gradient was wanted: around them, searches ask for single
    changes. A query without gradient that differs from one of them in one pixel at most is answered as its neighbour,
    whatever else is asked beside it.

    model: what answers all other queries: the stack in evaluation mode, behind a threshold if it binarises its input
    layers: of the stack
    images (n, c, h, w): the clean ones, square
    """

    def __init__(self, model: nn.Module, layers: list[Layer], images: Tensor):
        super().__init__(model)
        self._layers = layers
        self._prepare = nn.Identity() if input_threshold(model) is None else binarize
        n = len(images)
        self._kept = _room(images, n, _KEPT, *images.shape[1:])  # NaN differs from all images
        self._next = torch.zeros(n, dtype=torch.int64)  # the place of each row's next
        self._made: list[Tensor] = []  # by the layers of kept ones, flat, where they are ready
        self._ready = torch.zeros(n * _KEPT, dtype=torch.bool)

    def logits(self, queries: Tensor, rows: Tensor) -> Tensor:
        check_images(queries, self._kept.shape[2:])
        if queries.dtype != self._kept.dtype:
            return super().logits(queries, rows)
        if queries.requires_grad and torch.is_grad_enabled():
            self._keep(self._prepare(queries.detach()), rows)
            return super().logits(queries, rows)
        images, kept = self._prepare(queries), self._kept[rows]
        changes = (images[:, None] != kept).flatten(3).any(dim=2).sum(dim=2)  # (q, _KEPT) pixels
        fewest, place = changes.min(dim=1)
        near, others = (mask.nonzero().squeeze(1) for mask in (fewest <= 1, fewest > 1))
        if not len(near):
            return super().logits(queries, rows)
        owner = rows[near] * _KEPT + place[near]
        self._make_ready(owner.unique())
        near_kept = ConvNeighbours(self._layers, self._made)
        answers = near_kept.logits(owner, *_change(self._kept.flatten(0, 1)[owner], images[near]))
        logits = answers.new_empty(len(queries), answers.shape[1])
        logits[near] = answers
        if len(others):
            logits[others] = super().logits(queries[others], rows[others])
        return logits

    def neighbour_logits(self, queries: Tensor, rows: Tensor) -> NeighbourLogits:
        """As in `Session`; neighbours that differ in more than one pixel are asked for one by one."""
        if queries.dtype != self._kept.dtype:
            return super().neighbour_logits(queries, rows)
        middles = self._prepare(queries).clone()
        near = ConvNeighbours.of(self._layers, middles)

        @torch.no_grad()
        def ask(neighbours: Tensor, owner: Tensor) -> Tensor:
            images = self._prepare(neighbours)
            logits = near.logits(owner, *_change(middles[owner], images))
            others = (images != middles[owner]).flatten(2).any(dim=1).sum(dim=1) > 1
            if others.any():
                logits[others] = self.model(neighbours[others].clone())
            return logits

        return ask

    def _keep(self, images: Tensor, rows: Tensor) -> None:
        """Remember images (q, c, h, w) of `rows` (q,), of each row the last few."""
        order = rows.argsort(stable=True)
        counts = rows.bincount(minlength=len(self._next))
        first = counts.cumsum(0) - counts
        turn = torch.arange(len(rows)) - first[rows[order]]  # of a row's images, in their order
        last = turn >= counts[rows[order]] - _KEPT
        order, turn = order[last], turn[last]
        place = (self._next[rows[order]] + turn) % _KEPT
        self._kept[rows[order], place] = images[order]
        self._ready[rows[order] * _KEPT + place] = False
        self._next += counts

    def _make_ready(self, places: Tensor) -> None:
        """Have the layers make what neighbours of images at flat places need, where they have not."""
        fresh = places[~self._ready[places]]
        if not len(fresh):
            return
        made = _preactivations(self._layers, self._kept.flatten(0, 1)[fresh])
        self._made = self._made or [_room(part, len(self._ready), *part.shape[1:]) for part in made]
        for all_made, part in zip(self._made, made, strict=True):
            all_made[fresh] = part
        self._ready[fresh] = True


@torch.no_grad()
def _preactivations(layers: list[Layer], images: Tensor) -> list[Tensor]:
    """What each layer makes of images (m, c, h, w), before its ELU: (m, h, w, channels) each."""
    made, x = list[Tensor](), images.permute(0, 2, 3, 1)
    for layer in layers:
        made.append((layer.linear(x) + layer.bias).contiguous())
        x = functional.elu(made[-1])
    return made


def _room(like: Tensor, *shape: int) -> Tensor:
    """NaNs, to be overwritten in inference mode and outside of it."""
    with torch.inference_mode(False):
        return torch.full(shape, torch.nan, dtype=like.dtype, device=like.device)


def _change(middles: Tensor, images: Tensor) -> tuple[Tensor, Tensor]:
    """The first pixel (q, 2) at which images (q, c, h, w) differ from their middles, and by how much (q, c)."""
    changes = (images - middles).flatten(2)  # (q, c, h · w)
    place = (changes != 0).any(dim=1).int().argmax(dim=1)
    change = changes.gather(2, place[:, None, None].expand(-1, changes.shape[1], 1)).squeeze(2)
    width = images.shape[-1]
    return torch.stack([place // width, place % width], dim=1), change
