"""Networks of factory functions, as model libraries have them, and of files; and what stands in front of them."""

import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from absynth.data.format import DataFormat
from absynth.errors import InputError
from absynth.models.building import ModelFiles
from absynth.models.custom import build_custom
from absynth.models.weights import save_weights

FORMAT = DataFormat((3, 4, 4), 5)
NET = """
import torch
from torch import nn

class Net(nn.Sequential):
    def __init__(self, num_classes=5):
        super().__init__(nn.Flatten(), nn.Linear(48, num_classes))
"""
# Stand-ins with the signatures of the libraries' own functions.
LIBRARIES = {
    "robustbench/utils.py": NET
    + """
def load_model(model_name, model_dir="./models", dataset="cifar10", threat_model="Linf", custom_norm=None):
    torch.manual_seed({"Standard": 1}[model_name])
    assert (dataset, threat_model) == ("cifar10", "L2")
    return Net()
""",
    "torchvision/models/__init__.py": NET
    + """
def resnet18(*, weights=None, progress=True, **kwargs):
    torch.manual_seed(2 if weights == "DEFAULT" else 3)
    return Net(**kwargs)
""",
    "timm/__init__.py": NET
    + """
def create_model(model_name, pretrained=False, **kwargs):
    torch.manual_seed(4 if pretrained else 5)
    return Net(**kwargs)
""",
}
ENTRIES = {
    1: (
        "robustbench.utils:load_model",
        {"model_name": "Standard", "dataset": "cifar10", "threat_model": "L2"},
    ),
    2: ("torchvision.models:resnet18", {"weights": "DEFAULT"}),
    4: ("timm:create_model", {"model_name": "resnet18", "pretrained": True, "num_classes": 5}),
}


def forget(before: set[str], folder: Path) -> None:
    """Let modules that a test's folder holds be imported anew."""
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", None)).startswith(str(folder)):
            del sys.modules[name]


@pytest.fixture
def libraries(tmp_path, monkeypatch):
    """The stand-ins, importable, and forgotten afterwards."""
    before = set(sys.modules)
    for name, text in LIBRARIES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    forget(before, tmp_path)


@pytest.fixture
def own(tmp_path):
    """A file of the user's own, beside a module that it imports, and weights."""
    before = set(sys.modules)
    (tmp_path / "beside_nets.py").write_text(NET)
    (tmp_path / "own_nets.py").write_text(
        "from beside_nets import Net\nfrom torch import nn\n\n"
        "def seeded():\n    import torch\n    torch.manual_seed(6)\n    return Net()\n\n"
        "class Negative(nn.Module):\n    def forward(self, x):\n        return 1 - x\n\n"
        "def nothing():\n    return 3\n"
    )
    torch.manual_seed(7)
    save_weights(tmp_path / "net.pt", nn.Sequential(nn.Flatten(), nn.Linear(48, 5)))
    yield tmp_path
    forget(before, tmp_path)


def seeded(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(48, 5))


def images() -> torch.Tensor:
    return torch.rand(6, *FORMAT.shape, generator=torch.Generator().manual_seed(1))


def built(named: str, **options):
    return build_custom(ModelFiles(format=FORMAT), name="mine", **{"class": named}, **options).eval()


@pytest.mark.parametrize("seed", ENTRIES)
def test_functions_of_model_libraries_make_networks_with_their_weights(libraries, seed):
    named, arguments = ENTRIES[seed]
    torch.testing.assert_close(built(named, arguments=arguments)(images()), seeded(seed)(images()))


def test_weights_replace_those_of_a_function(libraries, own):
    model = built("timm:create_model", arguments={"model_name": "resnet18"}, weights=str(own / "net.pt"))
    torch.testing.assert_close(model(images()), seeded(7)(images()))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"model_name": "Standard", "threat": "L2"}, r"cannot be made with arguments .*unexpected keyword"),
        ({"model_name": "Unknown"}, r"cannot be made with arguments .*KeyError: 'Unknown'"),
    ],
)
def test_what_a_function_refuses_is_told_in_one_line(libraries, arguments, message):
    with pytest.raises(InputError, match=message):
        built("robustbench.utils:load_model", arguments=arguments)


def test_a_file_is_named_by_its_path_and_imports_what_is_beside_it(own):
    torch.testing.assert_close(built(f"{own}/own_nets.py:seeded")(images()), seeded(6)(images()))
    loaded = built(f"{own}/own_nets.py:Net", weights=str(own / "net.pt"))
    torch.testing.assert_close(loaded(images()), seeded(7)(images()))


def test_a_file_with_the_name_of_a_module_that_is_there_does_not_replace_it(own):
    (own / "json.py").write_text("from own_nets import seeded\n")
    import json

    torch.testing.assert_close(built(f"{own}/json.py:seeded")(images()), seeded(6)(images()))
    assert sys.modules["json"] is json


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "own_nets.py:Net",
            r"Net\): is a class, whose weights are random where none are named; name its state dict",
        ),
        ("own_nets.py:nothing", r"nothing\): makes a int, expected a torch\.nn\.Module"),
        ("own_nets.py:gone", r"gone: cannot be imported \(.*no attribute 'gone'"),
        ("gone.py:Net", r"gone\.py:Net: cannot be imported \(.*gone\.py is no file"),
    ],
)
def test_what_is_no_network_is_refused(own, name, message):
    with pytest.raises(InputError, match=message):
        built(f"{own}/{name}")


@pytest.mark.parametrize(
    ("mean", "std"),
    [(0.25, 0.5), ([0.1, 0.2, 0.3], [0.5, 0.25, 2.0]), ([0.1, 0.2, 0.3], 0.5), ([0.1], [0.5])],
)
def test_pixels_are_normalised_by_channel_and_gradients_reach_them(own, mean, std):
    model = built(f"{own}/own_nets.py:seeded", preprocessing={"mean": mean, "std": std})
    x = images().requires_grad_()
    weight = seeded(6)[1].weight.view(5, 3, 4, 4)
    mean, std = (torch.tensor(value).view(-1, 1, 1) for value in (mean, std))
    torch.testing.assert_close(model(x), seeded(6)((x - mean) / std))
    (found,) = torch.autograd.grad(model(x)[:, 2].sum(), x)
    torch.testing.assert_close(found, (weight[2] / std).expand(6, 3, 4, 4))


def test_a_network_in_another_dtype_is_normalised_in_it(own):
    (own / "doubles.py").write_text(
        "from own_nets import seeded\n\ndef net():\n    return seeded().double()\n"
    )
    model = built(f"{own}/doubles.py:net", preprocessing={"mean": 0.25, "std": 0.5})
    expected = seeded(6).double()((images().double() - 0.25) / 0.5)
    torch.testing.assert_close(model(images()).diff(), expected.diff().float(), check_dtype=False)


def test_images_go_through_a_module_of_the_users_first(own):
    model = built(f"{own}/own_nets.py:seeded", preprocessing=f"{own}/own_nets.py:Negative")
    torch.testing.assert_close(model(images()), seeded(6)(1 - images()))


def test_as_many_numbers_as_channels_are_needed(own):
    with pytest.raises(
        InputError, match=r"preprocessing\.std has 2 numbers, allowed are one, or one for each of the 3"
    ):
        built(f"{own}/own_nets.py:seeded", preprocessing={"mean": 0, "std": [1, 2]})


def test_a_network_that_binarises_takes_no_preprocessing(own):
    (own / "binary_nets.py").write_text(
        "from own_nets import Net\n\nclass Binary(Net):\n    input_threshold = 0.5\n\n"
        "def binary():\n    return Binary()\n"
    )
    with pytest.raises(InputError, match="has both an input_threshold and preprocessing"):
        built(f"{own}/binary_nets.py:binary", preprocessing={"mean": 0, "std": 1})


def test_preprocessing_that_binarises_is_refused(own):
    (own / "binary_fronts.py").write_text(
        "from torch import nn\n\nclass Binarise(nn.Module):\n    input_threshold = 0.5\n\n"
        "    def forward(self, x):\n        return (x >= 0.5).float()\n"
    )
    with pytest.raises(InputError, match="its preprocessing has an input_threshold; let the network itself"):
        built(f"{own}/own_nets.py:seeded", preprocessing=f"{own}/binary_fronts.py:Binarise")


def test_a_class_without_parameters_needs_no_weights(own):
    (own / "plain_nets.py").write_text(
        "from torch import nn\n\nclass Mean(nn.Module):\n    def forward(self, x):\n"
        "        return x.flatten(2).mean(2)\n"
    )
    model = build_custom(ModelFiles(), **{"class": f"{own}/plain_nets.py:Mean"})
    torch.testing.assert_close(model(images()), images().mean(dim=(2, 3)))
