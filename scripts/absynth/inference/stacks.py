"""One network per class with the same architecture, as one function.

Batch norm is folded into the convolutions. Inputs are *pairs* of something and a class, sorted by class, so
that work can be left out pair by pair. On the CPU each class's pairs go through oneDNN's kernels in chunks
that stay in cache; elsewhere all classes run as groups of one convolution.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from absynth.models.layers import ConvStack


class FoldedStacks(nn.Module):
    """C convolution stacks with frozen, folded weights: weight_i (C, in, out, k, k), bias_i (C, out).

    in and out stand the other way round for convolutions that are not transposed, as in torch.
    """

    def __init__(self, stacks: Sequence[ConvStack]):
        super().__init__()
        self.n_classes = len(stacks)
        self.depth = stacks[0].depth
        self.strides = [stacks[0].get_submodule(f"conv_{i}").stride[0] for i in range(self.depth)]
        for i in range(self.depth):
            weights, biases = zip(*(_fold(stack, i) for stack in stacks), strict=True)
            self.register_buffer(f"weight_{i}", torch.stack(weights))
            self.register_buffer(f"bias_{i}", torch.stack(biases))

    @property
    def device(self) -> torch.device:
        return self.weight_0.device

    @property
    def dtype(self) -> torch.dtype:
        return self.weight_0.dtype

    def _map(
        self, run: Callable[[slice, Tensor], tuple[Tensor, ...]], pairs: Tensor, counts: Sequence[int], chunk: int
    ) -> tuple[Tensor, ...]:
        """Apply `run(classes, (C, m, d))` to pairs (P, d), by class on the CPU, padded and at once elsewhere."""
        if pairs.is_cpu:
            results = [
                run(slice(c, c + 1), part[None])
                for c, of_class in enumerate(pairs.split(list(counts)))
                for part in of_class.split(chunk)
                if len(part)
            ]
            return tuple(torch.cat(parts, dim=1)[0] for parts in zip(*results, strict=True))
        sizes = torch.tensor(counts, device=pairs.device)
        filled = torch.arange(max(counts), device=pairs.device) < sizes[:, None]  # (C, m)
        padded = pairs.new_zeros(*filled.shape, pairs.shape[1]).masked_scatter(filled[:, :, None], pairs)
        return tuple(result[filled] for result in run(slice(None), padded))

    def _weight(self, classes: slice, i: int) -> Tensor:
        return getattr(self, f"weight_{i}")[classes]

    def _bias(self, classes: slice, i: int) -> Tensor:
        return getattr(self, f"bias_{i}")[classes, None, :, None, None]  # (C, 1, out, 1, 1)

    def _convolve(self, operation: Callable[..., Tensor], classes: slice, i: int, x: Tensor) -> Tensor:
        """Layer i as one grouped convolution: x (C, m, in, h, h) to (C, m, out, H, H), no bias."""
        weight = self._weight(classes, i)
        c = len(weight)
        if c == 1:
            grouped = x[0].contiguous(memory_format=torch.channels_last)
        else:
            grouped = x.transpose(0, 1).flatten(1, 2)  # (m, C · in, h, h)
        y = operation(grouped, weight.flatten(0, 1), stride=self.strides[i], groups=c)
        return y.unflatten(1, (c, -1)).transpose(0, 1)


def _fold(stack: ConvStack, i: int) -> tuple[Tensor, Tensor]:
    """Weight and bias (out,) of layer i with its batch norm, in evaluation mode, folded in."""
    convolution = stack.get_submodule(f"conv_{i}")
    weight, bias = convolution.weight.detach(), convolution.bias.detach()
    if i < stack.depth - 1:
        norm = stack.get_submodule(f"bn_{i}")
        scale = norm.weight.detach() / torch.sqrt(norm.running_var + norm.eps)  # (out,)
        shape = (1, -1, 1, 1) if isinstance(convolution, nn.ConvTranspose2d) else (-1, 1, 1, 1)
        weight = weight * scale.view(shape)
        bias = (bias - norm.running_mean) * scale + norm.bias.detach()
    return weight, bias
