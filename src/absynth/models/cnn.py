"""Feed-forward classifiers: the paper's CNNs (appendix A.5) and the architecture of Madry et al. (2018)."""

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional

from absynth.io.opening import MADE
from absynth.models.binarize import THRESHOLD, Binarized
from absynth.models.building import ModelFiles
from absynth.models.checks import check_images
from absynth.models.layers import ConvStack
from absynth.models.weights import load_weights

N_CLASSES = 10


class CNN(ConvStack):
    """The paper's CNN: (n, 1, 28, 28) in [0, 1] to logits (n, 10).

    widths: feature maps; 20, 70, 256, 10 for CNN and Binary CNN, 32, 32, 64, 10 for the substitute.
    """

    def __init__(self, widths: tuple[int, ...] = (20, 70, 256, N_CLASSES)):
        super().__init__(channels=(1, *widths), kernels=(5, 4, 3, 5), strides=(1, 2, 2, 1))

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).flatten(1)


class MadryNet(nn.Module):
    """Two convolutions, two poolings, two dense layers: (n, 1, 28, 28) in [0, 1] to logits (n, 10)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_0 = nn.Conv2d(1, 32, 5, padding=2)
        self.conv_1 = nn.Conv2d(32, 64, 5, padding=2)
        self.dense_0 = nn.Linear(64 * 7 * 7, 1024)
        self.dense_1 = nn.Linear(1024, N_CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.max_pool2d(functional.relu(self.conv_0(x)), 2)  # (n, 32, 14, 14)
        x = functional.max_pool2d(functional.relu(self.conv_1(x)), 2)  # (n, 64, 7, 7)
        return self.dense_1(functional.relu(self.dense_0(x.flatten(1))))


class Classifier(nn.Module):
    """A trained network behind a check of its input, which is binarised if the network was trained so."""

    def __init__(self, network: nn.Module, files: ModelFiles, *, binary: bool = False):
        super().__init__()
        load_weights(files.weights[0], network, damaged=MADE)
        self.network = Binarized(network) if binary else network
        self.input_threshold = THRESHOLD if binary else None

    def forward(self, x: Tensor) -> Tensor:
        check_images(x)
        return self.network(x)


SUBSTITUTE_WIDTHS = (32, 32, 64, N_CLASSES)
NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "cnn": CNN,
    "binary_cnn": CNN,
    "madry": MadryNet,
    "substitute": lambda: CNN(SUBSTITUTE_WIDTHS),
}


def build_cnn(files: ModelFiles) -> Classifier:
    """The vanilla CNN."""
    return Classifier(NETWORKS["cnn"](), files)


def build_binary_cnn(files: ModelFiles) -> Classifier:
    """The CNN trained and tested on binarised input."""
    return Classifier(NETWORKS["binary_cnn"](), files, binary=True)


def build_madry(files: ModelFiles) -> Classifier:
    """The adversarially trained network."""
    return Classifier(NETWORKS["madry"](), files)


def build_substitute(files: ModelFiles) -> Classifier:
    """The CNN on which transfer attacks are computed."""
    return Classifier(NETWORKS["substitute"](), files)
