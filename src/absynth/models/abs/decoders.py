"""The decoders of all classes as one function, with forward-mode Jacobians.

Batch norm is folded into the convolutions. Latents come as *pairs* of an image and a class, sorted by class, so
that work can be left out pair by pair. On the CPU each class's pairs go through oneDNN's kernels in chunks that
stay in cache; elsewhere all classes run as groups of one convolution.
"""

from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from absynth.models.abs.vae import LATENT, Decoder

PIXELS = 784
CHUNK = 48  # images a class decodes at a time on the CPU, so that 48 × 10,000 activations stay in cache
_JACOBIAN_CHUNK = 12  # the same with eight tangents each


class Decoders(nn.Module):
    """The decoders G_c with frozen, folded weights: weight_i (C, in, out, k, k), bias_i (C, out)."""

    weight_0: Tensor

    def __init__(self, decoders: Sequence[Decoder]):
        super().__init__()
        self.n_classes = len(decoders)
        self.depth = decoders[0].depth
        self.strides = [_convolution(decoders[0], i).stride[0] for i in range(self.depth)]
        for i in range(self.depth):
            weights, biases = zip(*(_fold(decoder, i) for decoder in decoders), strict=True)
            self.register_buffer(f"weight_{i}", torch.stack(weights))
            self.register_buffer(f"bias_{i}", torch.stack(biases))

    @property
    def device(self) -> torch.device:
        return self.weight_0.device

    @property
    def dtype(self) -> torch.dtype:
        return self.weight_0.dtype

    def forward(self, z: Tensor, counts: Sequence[int]) -> Tensor:
        """Decode pairs: z (P, 8) sorted by class, counts[c] of them for class c; returns (P, 784).

        Differentiable with respect to z.
        """
        (images,) = self._map(lambda classes, latents: (self._decode(classes, latents),), z, counts, CHUNK)
        return images

    @torch.no_grad()
    def with_jacobian(self, z: Tensor, counts: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Images (P, 784) and their Jacobians ∂G/∂z (P, 8, 784), latent index first."""
        images, jacobians = self._map(self._decode_with_jacobian, z, counts, _JACOBIAN_CHUNK)
        return images, jacobians

    def _map(
        self, run: Callable[[slice, Tensor], tuple[Tensor, ...]], z: Tensor, counts: Sequence[int], chunk: int
    ) -> tuple[Tensor, ...]:
        """Apply `run(classes, (C, m, 8))` to pairs (P, 8), by class on the CPU, padded and at once elsewhere."""
        if z.is_cpu:
            results = [
                run(slice(c, c + 1), part[None])
                for c, of_class in enumerate(z.split(list(counts)))
                for part in of_class.split(chunk)
                if len(part)
            ]
            return tuple(torch.cat(parts, dim=1)[0] for parts in zip(*results, strict=True))
        sizes = torch.tensor(counts, device=z.device)
        filled = torch.arange(max(counts), device=z.device) < sizes[:, None]  # (C, m)
        padded = z.new_zeros(*filled.shape, LATENT).masked_scatter(filled[:, :, None], z)
        return tuple(result[filled] for result in run(slice(None), padded))

    def _decode(self, classes: slice, z: Tensor) -> Tensor:
        """z (C, m, 8) to images (C, m, 784)."""
        x = _ELU.apply(self._first(classes, z))
        for i in range(1, self.depth - 1):
            x = _ELU.apply(self._convolve(classes, i, x) + self._bias(classes, i))
        return torch.sigmoid(self._last(classes, x) + self._bias(classes, self.depth - 1).flatten(2))

    def _decode_with_jacobian(self, classes: slice, z: Tensor) -> tuple[Tensor, Tensor]:
        """z (C, m, 8) to images (C, m, 784) and Jacobians (C, m, 8, 784), by eight tangents in one batch.

        The derivative of ELU at its output y is min(1, y + 1), that of the sigmoid y (1 - y).
        """
        c, m = z.shape[:2]
        x = functional.elu(self._first(classes, z))
        weight = self._weight(classes, 0)
        tangents = weight[:, None] * (x.clamp(max=0) + 1)[:, :, None]  # (C, m, 8, 32, 4, 4)
        for i in range(1, self.depth - 1):
            x = functional.elu(self._convolve(classes, i, x) + self._bias(classes, i))
            slopes = (x.clamp(max=0) + 1)[:, :, None]
            pushed = self._convolve(classes, i, tangents.flatten(1, 2))
            tangents = pushed.unflatten(1, (m, LATENT)).mul_(slopes)
        image = torch.sigmoid(self._last(classes, x) + self._bias(classes, self.depth - 1).flatten(2))
        pushed = self._last(classes, tangents.flatten(1, 2)).view(c, m, LATENT, PIXELS)
        return image, pushed.mul_((image * (1 - image))[:, :, None])

    def _first(self, classes: slice, z: Tensor) -> Tensor:
        """The first layer, a matrix product: z (C, m, 8) to (C, m, 32, 4, 4), bias added."""
        weight = self._weight(classes, 0)
        return torch.bmm(z, weight.flatten(2)).view(*z.shape[:2], *weight.shape[2:]) + self._bias(classes, 0)

    def _last(self, classes: slice, x: Tensor) -> Tensor:
        """The last layer, to one channel: x (C, m, in, h, h) to (C, m, 784), no bias."""
        return _ToOneChannel.apply(x, self._weight(classes, self.depth - 1).squeeze(2)).flatten(2)

    def _weight(self, classes: slice, i: int) -> Tensor:
        return getattr(self, f"weight_{i}")[classes]

    def _bias(self, classes: slice, i: int) -> Tensor:
        return getattr(self, f"bias_{i}")[classes, None, :, None, None]  # (C, 1, out, 1, 1)

    def _convolve(self, classes: slice, i: int, x: Tensor) -> Tensor:
        """Layer i as one grouped convolution: x (C, m, in, h, h) to (C, m, out, H, H), no bias."""
        weight = self._weight(classes, i)
        c = len(weight)
        if c == 1:
            grouped = x[0].contiguous(memory_format=torch.channels_last)
        else:
            grouped = x.transpose(0, 1).flatten(1, 2)  # (m, C · in, h, h)
        y = functional.conv_transpose2d(grouped, weight.flatten(0, 1), stride=self.strides[i], groups=c)
        return y.unflatten(1, (c, -1)).transpose(0, 1)


def _fold(decoder: Decoder, i: int) -> tuple[Tensor, Tensor]:
    """Weight (in, out, k, k) and bias (out,) of layer i with its batch norm, in evaluation mode, folded in."""
    convolution = _convolution(decoder, i)
    assert convolution.bias is not None
    weight, bias = convolution.weight.detach(), convolution.bias.detach()
    if i < decoder.depth - 1:
        norm = cast(nn.BatchNorm2d, decoder.get_submodule(f"bn_{i}"))
        assert norm.running_mean is not None
        assert norm.running_var is not None
        scale = norm.weight.detach() / torch.sqrt(norm.running_var + norm.eps)  # (out,)
        weight = weight * scale[None, :, None, None]
        bias = (bias - norm.running_mean) * scale + norm.bias.detach()
    return weight, bias


def _convolution(decoder: Decoder, i: int) -> nn.ConvTranspose2d:
    return cast(nn.ConvTranspose2d, decoder.get_submodule(f"conv_{i}"))


class _ELU(torch.autograd.Function):
    """ELU whose way back is taken at its output y: its derivative is min(1, y + 1).

    Torch's own takes four times as long where the gradient lies in memory in another order than y.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        y = functional.elu(x)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        return y.clamp(max=0).add_(1).mul_(gradient)


class _ToOneChannel(torch.autograd.Function):
    """Transposed convolution of stride 1 to a single channel: x (C, m, in, h, h), weight (C, in, k, k).

    One product with all taps and shifted sums take a third of the time of oneDNN's kernel; the way back is a
    plain convolution. Differentiable with respect to x alone.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(weight)
        c, m, _, h = x.shape[:4]
        size = weight.shape[-1]
        planes = x.transpose(1, 2).flatten(2)  # (C, in, m · h · h), a view of what oneDNN leaves
        taps = torch.matmul(weight.flatten(2).mT, planes).view(c, size, size, m, h, h)
        rows = x.new_zeros(c, size, m, h, h + size - 1)
        for j in range(size):
            rows[..., j : j + h] += taps[:, :, j]
        image = x.new_zeros(c, m, h + size - 1, h + size - 1)
        for i in range(size):
            image[:, :, i : i + h] += rows[:, i]
        return image

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (weight,) = ctx.saved_tensors
        c = len(weight)
        back = functional.conv2d(gradient.transpose(0, 1), weight.flatten(0, 1)[:, None], groups=c)
        return back.unflatten(1, (c, -1)).transpose(0, 1), None
