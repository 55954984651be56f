"""The convolution stack that the paper's CNNs, encoders and decoders share (appendix A.5)."""

from torch import Tensor, nn
from torch.nn import functional


class ConvStack(nn.Module):
    """Convolutions (or transposed ones) with batch norm and ELU after all but the last.

    Parameters are named conv_0, bn_0, conv_1, … as in the authors' released state dicts.
    """

    def __init__(
        self,
        *,
        channels: tuple[int, ...],
        kernels: tuple[int, ...],
        strides: tuple[int, ...],
        transposed: bool = False,
    ):
        super().__init__()
        layer = nn.ConvTranspose2d if transposed else nn.Conv2d
        self.depth = len(kernels)
        for i, (kernel, stride) in enumerate(zip(kernels, strides, strict=True)):
            self.add_module(f"conv_{i}", layer(channels[i], channels[i + 1], kernel, stride))
            if i < self.depth - 1:
                self.add_module(f"bn_{i}", nn.BatchNorm2d(channels[i + 1]))

    def forward(self, x: Tensor) -> Tensor:
        for i in range(self.depth):
            x = self.get_submodule(f"conv_{i}")(x)
            if i < self.depth - 1:
                x = functional.elu(self.get_submodule(f"bn_{i}")(x))
        return x
