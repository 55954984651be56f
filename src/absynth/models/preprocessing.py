"""What stands in front of a user's network: normalisation of the pixels, or a module of the user's own."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from absynth.data.format import DataFormat
from absynth.errors import InputError
from absynth.models.base import input_threshold


class Normalisation(nn.Module):
    """(x - mean) / std for each channel of images (n, C, H, W) with pixels in [0, 1].

    mean, std: a number for each channel, or one for all
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]):
        super().__init__()
        for name, values in (("mean", mean), ("std", std)):
            self.register_buffer(name, torch.tensor(values, dtype=torch.float64).view(1, -1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean.to(x.dtype)) / self.std.to(x.dtype)


class Preprocessed(nn.Module):
    """A network behind its preprocessing: what is attacked takes pixels in [0, 1], and gradients reach them."""

    def __init__(self, preprocessing: nn.Module, network: nn.Module):
        super().__init__()
        self.preprocessing, self.network = preprocessing, network

    def forward(self, x: Tensor) -> Tensor:
        return self.network(self.preprocessing(x))


def normalisation(
    name: str, mean: float | Sequence[float], std: float | Sequence[float], known: DataFormat | None
) -> Normalisation:
    """The `Normalisation` by one number or one for each channel.

    name: of the model, for messages; known: what its images are, None if that is not known
    Raises InputError unless there are as many numbers as channels, or one.
    """
    made = [list(value) if isinstance(value, Sequence) else [value] for value in (mean, std)]
    for key, values in zip(("mean", "std"), made, strict=True):
        if known and len(values) not in (1, known.shape[0]):
            raise InputError(
                f"{name}: preprocessing.{key} has {len(values)} numbers, allowed are one, or one for each of the "
                f"{known.shape[0]} channels of the images"
            )
    return Normalisation(*made)


def preprocessed(name: str, preprocessing: nn.Module, network: nn.Module) -> Preprocessed:
    """A network behind its preprocessing. Raises InputError, naming the model, where either binarises.

    Where it does so is stated in its own input, and attacks need it of the model as a whole.
    """
    if input_threshold(preprocessing) is not None:
        raise InputError(
            f"{name}: its preprocessing has an input_threshold; let the network itself take pixels, binarise them "
            "and have that attribute, and leave preprocessing out"
        )
    if input_threshold(network) is not None:
        raise InputError(
            f"{name}: has both an input_threshold and preprocessing; let the network itself take pixels, and leave "
            "preprocessing out"
        )
    return Preprocessed(preprocessing, network)
