"""Feed-forward classifiers: the paper's CNNs (appendix A.5) and the architecture of Madry et al. (2018)."""

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional

from absynth.data.format import PAPER, DataFormat, check_taken
from absynth.errors import InputError
from absynth.io.opening import MADE
from absynth.models.base import Session, StatelessSession
from absynth.models.binarize import THRESHOLD, Binarized
from absynth.models.building import ModelFiles
from absynth.models.checks import check_images
from absynth.models.conv_neighbours import ConvSession, layers_of, unchanged
from absynth.models.layers import ConvStack
from absynth.models.weights import load_weights


class CNN(ConvStack):
    """The paper's CNN, for images as MNIST's: (n, 1, 28, 28) in [0, 1] to logits (n, 10).

    widths: feature maps; 20, 70, 256, 10 for CNN and Binary CNN, 32, 32, 64, 10 for the substitute.
    """

    def __init__(self, widths: tuple[int, ...] = (20, 70, 256, PAPER.n_classes)):
        super().__init__(channels=(1, *widths), kernels=(5, 4, 3, 5), strides=(1, 2, 2, 1))

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).flatten(1)


class MadryNet(nn.Module):
    """Two convolutions, two poolings, two dense layers: (n, C, H, W) in [0, 1], H and W at least 4, to logits (n, K).

    format: C, H, W and K
    """

    def __init__(self, format: DataFormat = PAPER) -> None:
        super().__init__()
        channels, height, width = format.shape
        if min(height, width) < 4:
            raise InputError(f"madry takes images of 4×4 pixels and more, and the data set has {format}")
        self.conv_0 = nn.Conv2d(channels, 32, 5, padding=2)
        self.conv_1 = nn.Conv2d(32, 64, 5, padding=2)
        self.dense_0 = nn.Linear(64 * (height // 4) * (width // 4), 1024)
        self.dense_1 = nn.Linear(1024, format.n_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.max_pool2d(functional.relu(self.conv_0(x)), 2)  # (n, 32, H/2, W/2)
        x = functional.max_pool2d(functional.relu(self.conv_1(x)), 2)  # (n, 64, H/4, W/4)
        return self.dense_1(functional.relu(self.dense_0(x.flatten(1))))


class Classifier(nn.Module):
    """A trained network behind a check of its input, which is binarised if the network was trained so.

    name: a key of NETWORKS
    """

    def __init__(self, name: str, files: ModelFiles, *, binary: bool = False):
        super().__init__()
        self.shape = (files.format or PAPER).shape
        network = NETWORKS[name](files.format or PAPER)
        load_weights(files.weights[0], network, damaged=MADE)
        self.network = Binarized(network) if binary else network
        self.input_threshold = THRESHOLD if binary else None

    def forward(self, x: Tensor) -> Tensor:
        check_images(x, self.shape)
        return self.network(x)

    def start_session(self, images: Tensor, labels: Tensor) -> Session:
        """A session in which images that differ in a pixel share work: on a CPU, by the paper's network as it is."""
        stack = self.network.model if isinstance(self.network, Binarized) else self.network
        if type(self) is Classifier and type(stack) is CNN and images.is_cpu and unchanged(self):
            layers = layers_of(stack, images.shape[-1])
            if layers:
                return ConvSession(self, layers, images)
        return StatelessSession(self)


SUBSTITUTE_WIDTHS = (32, 32, 64, PAPER.n_classes)
# Untrained networks for the images of a data set.
NETWORKS: dict[str, Callable[[DataFormat], nn.Module]] = {
    "cnn": lambda format: _of_paper("cnn", format),
    "binary_cnn": lambda format: _of_paper("binary_cnn", format),
    "madry": MadryNet,
    "substitute": lambda format: _of_paper("substitute", format, SUBSTITUTE_WIDTHS),
}


def _of_paper(name: str, format: DataFormat, *widths: tuple[int, ...]) -> CNN:
    check_taken(name, PAPER, format)
    return CNN(*widths)


def build_cnn(files: ModelFiles) -> Classifier:
    """The vanilla CNN."""
    return Classifier("cnn", files)


def build_binary_cnn(files: ModelFiles) -> Classifier:
    """The CNN trained and tested on binarised input."""
    return Classifier("binary_cnn", files, binary=True)


def build_madry(files: ModelFiles) -> Classifier:
    """The adversarially trained network."""
    return Classifier("madry", files)


def build_substitute(files: ModelFiles) -> Classifier:
    """The CNN on which transfer attacks are computed."""
    return Classifier("substitute", files)
