"""Networks that are files by themselves: programs of TorchScript and torch.export."""

import os
import pickle
import zipfile

import pytest
import torch
from torch import nn

from absynth.data.format import DataFormat
from absynth.errors import InputError
from absynth.evaluation.probe import probe
from absynth.evaluation.probe_checks import Subject
from absynth.models.building import ModelFiles
from absynth.models.custom import build_custom
from absynth.models.programs import load_program
from absynth.models.weights import load_weights

FORMAT = DataFormat((3, 6, 5), 4)
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
KINDS = ["script", "trace", "freeze", "export"]


def network(*, training: bool = False) -> nn.Module:
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(), nn.Flatten(), nn.Linear(48, 4)]
    return nn.Sequential(*layers).train(training)


def images(n: int = 7) -> torch.Tensor:
    return torch.rand(n, *FORMAT.shape, generator=torch.Generator().manual_seed(1))


def saved(folder, kind: str, model: nn.Module, *, batch=None) -> str:
    """The file of a program of one kind."""
    path = folder / f"{kind}.{'pt2' if kind == 'export' else 'pt'}"
    if kind == "export":
        sizes = {0: torch.export.Dim("n")} if batch is None else batch
        torch.export.save(torch.export.export(model, (images(),), dynamic_shapes=(sizes,)), path)
    else:
        script = torch.jit.trace(model, images()) if kind == "trace" else torch.jit.script(model)
        (torch.jit.freeze(script) if kind == "freeze" else script).save(path)
    return str(path)


def built(path: str, **options):
    return build_custom(ModelFiles(format=FORMAT), name="mine", program=path, **options).eval()


@pytest.mark.parametrize("kind", KINDS)
def test_a_program_answers_as_its_network_and_passes_the_probe(tmp_path, kind):
    original = network()
    model = built(saved(tmp_path, kind, original)).requires_grad_(False)
    for n in (1, 7, 40):
        torch.testing.assert_close(model(images(n)), original(images(n)))
    x, y = images().requires_grad_(), images().requires_grad_()
    (found,) = torch.autograd.grad(model(x).sum(), x)
    (expected,) = torch.autograd.grad(original(y).sum(), y)
    torch.testing.assert_close(found, expected)
    labels = original(images()).argmax(dim=1)
    assert probe(Subject("mine", model, True, binarises=False), images(), labels).accuracy == 1


@pytest.mark.parametrize("kind", ["script", "export"])
def test_a_program_takes_preprocessing_and_is_named_in_messages(tmp_path, kind):
    model = built(saved(tmp_path, kind, network()), preprocessing={"mean": 0.5, "std": [0.1, 0.2, 0.4]})
    scaled = (images() - 0.5) / torch.tensor([0.1, 0.2, 0.4]).view(1, 3, 1, 1)
    torch.testing.assert_close(model(images()), network()(scaled))
    assert model.name == f"mine ({kind}.{'pt2' if kind == 'export' else 'pt'})"


def test_a_script_saved_in_training_is_evaluated(tmp_path):
    model = built(saved(tmp_path, "script", network(training=True)))
    torch.testing.assert_close(model(images()), network()(images()))


@pytest.mark.parametrize(
    ("batch", "found"),
    [
        ({}, "exactly 7 images"),
        ({0: torch.export.Dim("n", max=50)}, "at most 50 images"),
        ({0: torch.export.Dim("n", min=3)}, "at least 3 images"),
        ({0: torch.export.Dim("n", min=3, max=50)}, "at most 50 images"),
    ],
)
def test_an_exported_program_that_does_not_take_any_number_of_images_is_refused(tmp_path, batch, found):
    path = saved(tmp_path, "export", network(), batch=batch)
    with pytest.raises(InputError, match=rf"export\.pt2: takes {found} at a time; export it for any number"):
        load_program(path, FORMAT)


def test_an_exported_program_of_two_images_or_more_answers_one(tmp_path):
    """torch.export does not check a least number of two."""
    model = built(saved(tmp_path, "export", network(), batch={0: torch.export.Dim("n", min=2)}))
    torch.testing.assert_close(model(images(1)), network()(images(1)))


@pytest.mark.filterwarnings("ignore:.*training mode")
def test_an_exported_program_in_training_mode_is_refused_by_the_probe(tmp_path):
    model = built(saved(tmp_path, "export", network(training=True))).requires_grad_(False)
    with pytest.raises(InputError, match=r"^probe: mine: changes itself when it is asked"):
        probe(Subject("mine", model, True, binarises=False), images(), torch.zeros(7, dtype=torch.int64))


def test_an_exported_program_without_gradients_is_refused_by_the_probe_unless_it_says_so(tmp_path):
    class Graded(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            with torch.no_grad():
                return self.network(x)

    model = built(saved(tmp_path, "export", Graded().eval())).requires_grad_(False)
    labels = network()(images()).argmax(dim=1)
    with pytest.raises(InputError, match=r"^probe: mine: .*no gradient.*gradients: false"):
        probe(Subject("mine", model, True, binarises=False), images(), labels)
    assert probe(Subject("mine", model, False, binarises=False), images(), labels).accuracy == 1


def test_an_exported_program_for_other_images_is_refused(tmp_path):
    path = saved(tmp_path, "export", network())
    with pytest.raises(InputError, match=r"takes images 3×6×5, and the data set has 1×28×28$"):
        load_program(path, DataFormat((1, 28, 28), 10))
    assert load_program(path) is not None


def test_an_exported_program_of_two_inputs_is_refused(tmp_path):
    class Two(nn.Module):
        def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            return x + y

    torch.export.save(torch.export.export(Two(), (images(), images())), tmp_path / "two.pt2")
    with pytest.raises(InputError, match=r"two\.pt2: takes 2 inputs, allowed is one batch of images"):
        load_program(tmp_path / "two.pt2", FORMAT)


def test_nothing_in_an_exported_program_is_unpickled(tmp_path, monkeypatch):
    """torch.export.load unpickles what torch.load(weights_only=True) refuses; here it does not."""

    class Evil:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path / 'ran'}",)

    monkeypatch.delenv("TORCH_FORCE_WEIGHTS_ONLY_LOAD", raising=False)
    path = saved(tmp_path, "export", network())
    spoilt = tmp_path / "spoilt.pt2"
    with zipfile.ZipFile(path) as given, zipfile.ZipFile(spoilt, "w") as made:
        for name in given.namelist():
            replaced = name.endswith("sample_inputs/model.pt")
            made.writestr(name, pickle.dumps(Evil(), protocol=2) if replaced else given.read(name))
        assert any(name.endswith("sample_inputs/model.pt") for name in given.namelist())
    with pytest.raises(InputError, match=r"spoilt\.pt2: cannot be loaded .*, without unpickling"):
        load_program(spoilt)
    assert not (tmp_path / "ran").exists()
    assert "TORCH_FORCE_WEIGHTS_ONLY_LOAD" not in os.environ
    load_program(path)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gone.pt", r"gone\.pt: no such file of a program"),
        (
            "state.pt",
            r"state\.pt: is no TorchScript program; save one with torch\.jit\.save, or, if it is a state",
        ),
        ("state.pt2", r"state\.pt2: cannot be loaded as a program of torch\.export"),
        (
            "net.onnx",
            r"net\.onnx: ONNX files are not read; name a function that converts it, such as class: onnx2",
        ),
        ("net.h5", r"net\.h5: allowed are \.pt, \.pth, \.ts, \.pt2, of TorchScript and torch\.export"),
    ],
)
def test_other_files_are_refused(tmp_path, name, message):
    for suffix in ("pt", "pt2"):
        torch.save(network().state_dict(), tmp_path / f"state.{suffix}")
    (tmp_path / "net.onnx").touch()
    with pytest.raises(InputError, match=message):
        load_program(tmp_path / name)


def test_a_program_in_place_of_weights_is_refused_with_the_cure(tmp_path):
    with pytest.raises(
        InputError, match=r"script\.pt: is a TorchScript program, not a state dict; name it under prog"
    ):
        load_weights(saved(tmp_path, "script", network()), network())
