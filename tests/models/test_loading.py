"""Models of a finished run, loaded by name."""

import json

import pytest
import torch

import absynth
from absynth.errors import InputError
from absynth.models.abs.model import ABS
from absynth.models.abs.vae import VAE
from absynth.models.base import with_inference
from absynth.models.cnn import CNN
from absynth.models.loading import load_model
from absynth.models.weights import save_weights

ABS_SPEC = {
    "builder": "absynth.models.abs.model:build_abs",
    "options": {"prior_samples": 30, "steps": 1},
    "weights": [f"models/abs/vae_{label}.pt" for label in range(2)],
    "train": None,
    "calibration": None,
}
SPECS = {
    "cnn": {
        "builder": "absynth.models.cnn:build_cnn",
        "options": {},
        "weights": ["models/cnn/weights.pt"],
        "train": None,
        "calibration": None,
    },
    "abs": ABS_SPEC,
    "binary_abs": {
        **ABS_SPEC,
        "builder": "absynth.models.abs.model:build_binary_abs",
        "calibration": "models/binary_abs/calibration.json",
    },
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The models of a run, untrained, ABS with two classes."""
    folder = tmp_path_factory.mktemp("toy")
    torch.manual_seed(0)
    save_weights(folder / "models/cnn/weights.pt", CNN())
    for path in ABS_SPEC["weights"]:
        save_weights(folder / path, VAE())
    for name, spec in SPECS.items():
        (folder / "models" / name).mkdir(exist_ok=True)
        content = {"alpha": 2.0, "eta": 1.0, "gamma": [1.0, 0.95], "model": spec}
        (folder / "models" / name / "calibration.json").write_text(json.dumps(content))
    return folder


@pytest.fixture
def x():
    return torch.rand(2, 1, 28, 28, generator=torch.Generator().manual_seed(0))


def test_model_is_frozen_differentiable_and_that_of_the_files(run, x):
    model = load_model(run, "cnn")
    assert not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())
    network = CNN().eval()
    network.load_state_dict(torch.load(run / "models/cnn/weights.pt", weights_only=True))
    x.requires_grad_()
    torch.testing.assert_close(model(x), network(x))
    model(x)[:, 0].sum().backward()
    assert x.grad.abs().sum() > 0


def test_package_offers_the_loader(run, x):
    assert absynth.load_model is load_model
    assert torch.equal(absynth.load_model(str(run), "cnn")(x), load_model(run, "cnn")(x))


def test_gamma_comes_from_the_calibration(run):
    assert load_model(run, "binary_abs").gamma.tolist() == pytest.approx([1.0, 0.95])
    assert load_model(run, "abs").gamma.tolist() == [1.0, 1.0]


@pytest.mark.parametrize(("asked", "used"), [(None, "fast"), ("fast", "fast"), ("reference", "reference")])
def test_inference_may_be_chosen(run, x, asked, used):
    model = load_model(run, "abs", inference=asked)
    assert isinstance(model, ABS)
    assert model.inference == used
    assert model(x).shape == (2, 2)


def test_models_without_a_choice_are_returned_as_they_are(run):
    model = load_model(run, "cnn", inference="reference")
    assert with_inference(model, "fast") is model


def test_unknown_inference_is_named(run):
    with pytest.raises(InputError, match="unknown inference 'slow'; there are reference and fast"):
        load_model(run, "abs", inference="slow")


def test_an_unknown_inference_is_named_whatever_the_model(run):
    with pytest.raises(InputError, match="unknown inference 'fsat'; there are reference and fast"):
        load_model(run, "cnn", inference="fsat")


@pytest.mark.parametrize("device", ["gpu", "cpu:x", "cuda:1000", 1.5])
def test_a_device_that_is_not_there_is_named(run, device):
    with pytest.raises(
        InputError, match=rf"^device: found {device!r}, which cannot be used here \(.+\); allowed"
    ):
        load_model(run, "cnn", device=device)


def test_unknown_model_is_named_with_those_there_are(run):
    with pytest.raises(InputError, match=r"has no calibrated model 'madry'; it has abs, binary_abs, cnn$"):
        load_model(run, "madry")


def test_folder_that_is_no_run_is_named(tmp_path):
    with pytest.raises(InputError, match=r"nowhere has no calibrated model 'cnn'; it has none$"):
        load_model(tmp_path / "nowhere", "cnn")


def test_damaged_calibration_is_named(tmp_path):
    path = tmp_path / "models" / "cnn" / "calibration.json"
    path.parent.mkdir(parents=True)
    path.write_text('{"alpha": 2.0, "mod')
    with pytest.raises(InputError, match=r"calibration\.json: not valid JSON .*; delete it and rerun"):
        load_model(tmp_path, "cnn")


def test_missing_weights_are_named(tmp_path):
    path = tmp_path / "models" / "cnn" / "calibration.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"model": SPECS["cnn"]}))
    with pytest.raises(InputError, match=r"weights\.pt: no such weights file"):
        load_model(tmp_path, "cnn")
