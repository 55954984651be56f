"""The nearest-neighbour classifier: logit_c(x) = -min over training images of class c of ‖x - image‖²."""

import torch
from torch import Tensor, nn

from absynth.data.format import PAPER, DataFormat
from absynth.data.split_files import read_format, read_split
from absynth.errors import InputError
from absynth.models.building import ModelFiles
from absynth.models.checks import check_images

_QUERIES = 256  # images compared at a time: 256 × the images of one class are some 6 MB
_CANDIDATES = 4  # images whose distance is computed without cancellation


class NearestNeighbor(nn.Module):
    """Exact squared distances to the nearest training image of each class, differentiable.

    images (N, d) float32 and labels (N,) of the training set; every class must occur. offsets (N,) are all 0.
    format: the shape (C, H, W) of images, of d values, and the number of classes
    Candidates come from ‖t‖² - 2x·t, one matrix product a class; the distances to them are then computed from
    differences, so that the gradient 2(t - x) is exact too.
    """

    images: Tensor
    offsets: Tensor
    squares: Tensor

    def __init__(self, images: Tensor, labels: Tensor, format: DataFormat = PAPER):
        super().__init__()
        order = labels.argsort(stable=True)
        self.shape, self.channels = format.shape, format.shape[0]
        self.counts = torch.bincount(labels, minlength=format.n_classes).tolist()
        if 0 in self.counts:
            raise InputError(
                f"no training image of class {self.counts.index(0)}: it has no nearest neighbour"
            )
        self.register_buffer("images", images[order], persistent=False)
        self.register_buffer("offsets", self.images.new_zeros(len(images)), persistent=False)
        self.register_buffer("squares", self.images.square().sum(dim=1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        check_images(x, self.shape)
        flat = x.flatten(1)
        with torch.no_grad():
            nearest = torch.cat([self.nearest(part) for part in flat.split(_QUERIES)])  # (n, K)
        return -(flat[:, None] - self.images[nearest]).square().sum(dim=2)

    def nearest(self, x: Tensor) -> Tensor:
        """The position in `images` of the nearest image of each class: x (n, d) to (n, K) int64."""
        found, first = [], 0
        for count in self.counts:
            images = self.images[first : first + count]
            relative = torch.addmm(self.squares[first : first + count], x, images.T, alpha=-2)  # (n, count)
            candidates = relative.topk(min(_CANDIDATES, count), largest=False).indices  # (n, k)
            exact = (x[:, None] - images[candidates]).square().sum(dim=2)
            found.append(candidates.gather(1, exact.argmin(dim=1, keepdim=True)) + first)
            first += count
        return torch.cat(found, dim=1)


def build_nearest_neighbor(files: ModelFiles) -> NearestNeighbor:
    """Nothing is trained: the model is the training split."""
    if files.train is None:
        raise InputError("nearest neighbour: no training split is given")
    images, labels = read_split(files.train)
    flat = torch.from_numpy(images).flatten(1)
    return NearestNeighbor(flat, torch.from_numpy(labels), read_format(files.train))
