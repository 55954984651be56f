"""The weights that ship load like those of a run, with the accuracy on MNIST that their calibration states."""

from pathlib import Path

import pytest
import torch

from absynth import load_model
from absynth.models.building import ModelFiles
from absynth.models.calibration_file import read_calibration
from absynth.models.cnn import build_substitute

pytestmark = pytest.mark.slow

WEIGHTS = Path(__file__).parents[2] / "resources" / "weights"
RUN = WEIGHTS / "mnist-small"
MODELS = ("abs", "binary_abs", "cnn", "binary_cnn", "madry")


@pytest.mark.mnist
@pytest.mark.parametrize("name", MODELS)
def test_accuracy_on_the_first_test_images_is_that_on_all(name, mnist_test):
    x, y = (part[:500] for part in mnist_test)
    with torch.no_grad():
        accuracy = (load_model(RUN, name)(x).argmax(dim=1) == y).double().mean().item()
    assert accuracy == pytest.approx(
        read_calibration(RUN / "models" / name / "calibration.json")["test_accuracy"], abs=0.02
    )


@pytest.mark.mnist
def test_the_substitute_reads_them_too(mnist_test):
    x, y = (part[:500] for part in mnist_test)
    model = build_substitute(ModelFiles((RUN / "models" / "substitute" / "weights.pt",))).eval()
    with torch.no_grad():
        assert (model(x).argmax(dim=1) == y).double().mean() >= 0.98


@pytest.mark.parametrize("name", MODELS)
def test_their_accuracies_are_those_in_the_readme(name):
    calibration = read_calibration(RUN / "models" / name / "calibration.json")
    found = [f"{100 * calibration[key]:.2f} %" for key in ("test_accuracy", "accuracy")]
    assert f"| `{name}` | {found[0]} | {found[1]} |" in (WEIGHTS / "README.md").read_text(encoding="utf-8")
