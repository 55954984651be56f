"""The nearest-neighbour classifier: logit_c(x) = -min over training images of class c of ‖x - image‖²."""

import torch
from torch import Tensor

from absynth.data.format import PAPER, DataFormat
from absynth.data.split_files import read_format, read_split
from absynth.errors import InputError
from absynth.models.building import ModelFiles
from absynth.models.least_energy import LeastEnergy


class NearestNeighbor(LeastEnergy):
    """Exact squared distances to the nearest training image of each class, differentiable.

    images (N, d) float32 and labels (N,) of the training set; every class must occur. Offsets are all 0.
    format: the shape (C, H, W) of images, of d values, and the number of classes
    """

    def __init__(self, images: Tensor, labels: Tensor, format: DataFormat = PAPER):
        order = labels.argsort(stable=True)
        counts: list[int] = torch.bincount(labels, minlength=format.n_classes).tolist()
        if 0 in counts:
            raise InputError(f"no training image of class {counts.index(0)}: it has no nearest neighbour")
        offsets = images.new_zeros(len(images))
        super().__init__(images[order], offsets, counts, format.shape, persistent=False)


def build_nearest_neighbor(files: ModelFiles) -> NearestNeighbor:
    """Nothing is trained: the model is the training split."""
    if files.train is None:
        raise InputError("nearest neighbour: no training split is given")
    images, labels = read_split(files.train)
    flat = torch.from_numpy(images).flatten(1)
    return NearestNeighbor(flat, torch.from_numpy(labels), read_format(files.train))
