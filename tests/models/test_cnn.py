"""The feed-forward classifiers, alone and with the authors' released weights."""

import pytest
import torch

from absynth.data.format import PAPER, DataFormat
from absynth.errors import InputError
from absynth.models.building import ModelFiles
from absynth.models.cnn import (
    CNN,
    NETWORKS,
    SUBSTITUTE_WIDTHS,
    Classifier,
    build_binary_cnn,
    build_cnn,
    build_madry,
    build_substitute,
)
from absynth.models.registry import KINDS
from absynth.models.weights import read_state, save_weights

BUILDERS = {
    "cnn": build_cnn,
    "binary_cnn": build_binary_cnn,
    "madry": build_madry,
    "substitute": build_substitute,
}


def files(tmp_path, name: str) -> ModelFiles:
    torch.manual_seed(0)
    save_weights(tmp_path / "weights.pt", NETWORKS[name](PAPER))
    return ModelFiles((tmp_path / "weights.pt",))


@pytest.mark.parametrize("name", NETWORKS)
def test_images_give_ten_logits_and_a_gradient(tmp_path, name):
    model = BUILDERS[name](files(tmp_path, name)).eval()
    x = torch.rand(3, 1, 28, 28, requires_grad=True)
    logits = model(x)
    assert logits.shape == (3, 10)
    logits.square().sum().backward()
    assert (x.grad.flatten(1).abs().amax(dim=1) > 0).all()
    with pytest.raises(InputError, match=r"allowed is \[0, 1\]"):
        model(x.detach() + 1)


@pytest.mark.parametrize("format", [DataFormat((3, 32, 20), 12), DataFormat((1, 8, 8), 100)], ids=str)
def test_madry_takes_any_images(tmp_path, format):
    save_weights(tmp_path / "weights.pt", NETWORKS["madry"](format))
    model = build_madry(ModelFiles((tmp_path / "weights.pt",), format=format)).eval()
    assert model(torch.rand(2, *format.shape)).shape == (2, format.n_classes)
    with pytest.raises(InputError, match="images have shape"):
        model(torch.rand(2, 1, 28, 28))


def test_madry_needs_four_pixels_a_side():
    with pytest.raises(
        InputError, match=r"^madry takes images of 4×4 pixels and more, .* has 1×3×9 images of 2"
    ):
        NETWORKS["madry"](DataFormat((1, 3, 9), 2))


@pytest.mark.parametrize("name", ["cnn", "binary_cnn", "substitute"])
@pytest.mark.parametrize("format", [DataFormat((3, 28, 28), 10), DataFormat((1, 28, 28), 11)], ids=str)
def test_the_papers_networks_take_its_images_alone(name, format):
    with pytest.raises(
        InputError,
        match=f"^{name} takes 1×28×28 images of 10 classes alone, and the data set has {format}; leave",
    ):
        NETWORKS[name](format)


def parameters(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_sizes_on_paper():
    """Convolutions k²·in·out + out, batch norms 2·out; dense layers in·out + out."""

    def cnn(a, b, c, d):
        maps = (25 * a + a) + (16 * a * b + b) + (9 * b * c + c) + (25 * c * d + d)
        return maps + 2 * (a + b + c)

    assert parameters(CNN()) == cnn(20, 70, 256, 10)
    assert parameters(NETWORKS["substitute"](PAPER)) == cnn(*SUBSTITUTE_WIDTHS)
    madry = (25 * 32 + 32) + (25 * 32 * 64 + 64) + (3136 * 1024 + 1024) + (10240 + 10)
    assert parameters(NETWORKS["madry"](PAPER)) == madry


def test_spatial_sizes_of_the_paper():
    """28 → 24 → 11 → 5 → 1 with kernels 5, 4, 3, 5 and strides 1, 2, 2, 1."""
    sizes, x = [], torch.rand(2, 1, 28, 28)
    model = CNN().eval()
    for i in range(4):
        x = model.get_submodule(f"conv_{i}")(x)
        sizes.append(tuple(x.shape[1:]))
    assert sizes == [(20, 24, 24), (70, 11, 11), (256, 5, 5), (10, 1, 1)]


def test_only_the_binary_one_is_blind_to_shades(tmp_path):
    x = torch.rand(3, 1, 28, 28)
    binary = build_binary_cnn(files(tmp_path, "binary_cnn")).eval()
    grey = build_cnn(files(tmp_path, "cnn")).eval()
    assert torch.equal(binary(x), binary((x >= 0.5).float()))
    assert torch.equal(binary(x), grey((x >= 0.5).float()))
    assert not torch.equal(binary(x), grey(x))


def test_weights_of_another_network_are_refused(tmp_path):
    with pytest.raises(InputError, match="has shape"):
        build_substitute(files(tmp_path, "cnn"))


@pytest.mark.published
@pytest.mark.mnist
@pytest.mark.parametrize("name", ["cnn", "binary_cnn", "substitute"])
def test_published_weights_read_mnist(name, published, mnist_test):
    model = BUILDERS[name](ModelFiles((published / KINDS[name].published[0],))).eval()
    images, labels = mnist_test
    with torch.no_grad():
        accuracy = (model(images).argmax(dim=1) == labels).float().mean()
    assert isinstance(model, Classifier)
    assert accuracy >= 0.98


@pytest.mark.published
def test_published_binary_weights_are_not_the_vanilla_ones(published):
    """The authors' own loader mixes them up."""
    binary, vanilla = (read_state(published / KINDS[name].published[0]) for name in ("binary_cnn", "cnn"))
    assert binary.keys() == vanilla.keys()
    assert not torch.equal(binary["conv_0.weight"], vanilla["conv_0.weight"])
