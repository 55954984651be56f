"""What a config must fulfil as to its data set."""

import numpy as np
import pytest
from configs import OWN, plan

from absynth.data.format import PAPER, DataFormat
from absynth.errors import InputError
from absynth.workflow.data_checks import settle_dataset

PAPERS = ("cnn", "binary_cnn", "nearest_neighbor", "madry", "binary_abs", "abs")
ALONE = {"models": {"mine": OWN, **dict.fromkeys(PAPERS)}, "attacks": {"transfer": None}}


@pytest.fixture
def npz(tmp_path) -> dict:
    np.savez(tmp_path / "tinted.npz", x=np.zeros((2, 3, 4, 4), np.uint8), y=np.arange(2))
    return {"npz": str(tmp_path / "tinted.npz"), "test": {"images": "x", "labels": "y"}}


@pytest.mark.parametrize(
    ("entry", "name"),
    [
        ({"npz": "data/my set.npz"}, "my_set"),
        ({"folder": "images/"}, "images"),
        ({"load": "my_data.py:cifar10"}, "cifar10"),
        ({"load": "my_data.py:cifar10", "name": "CIFAR-10"}, "CIFAR-10"),
    ],
)
def test_a_description_in_place_gets_a_name(entry, name):
    config = {"dataset": entry, "datasets": {"other": {}}}
    settle_dataset(config)
    described = {key: value for key, value in entry.items() if key != "name"}
    assert config == {"dataset": name, "datasets": {"other": {}, name: described}}


def test_a_name_that_is_taken_is_refused():
    with pytest.raises(InputError, match=r"^config key dataset\.name: 'other' stands under datasets already"):
        settle_dataset({"dataset": {"load": "a:b", "name": "other"}, "datasets": {"other": {}}})


def test_a_run_without_training_images_plans_nothing_that_takes_them(npz):
    made = plan(**ALONE, dataset=npz)
    assert made.dataset.name == "tinted"
    assert made.splits == ["test"]
    assert made.differentiable == []
    assert made.distal_labels is None


def test_a_known_data_set_says_which_classes_are_raised():
    made = plan(dataset="digits", n_samples=10)
    assert made.splits == ["train", "calibration", "test"]
    assert made.distal_labels == list(range(PAPER.n_classes))
    assert made.dataset.format == DataFormat((1, 28, 28), 10)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"models": {"nearest_neighbor": {}}}, r"models\.nearest_neighbor: it looks neighbours up"),
        ({"models": {"cnn": {}}}, r"models\.cnn: it is trained"),
        ({"models": {"binary_abs": {}}}, r"models\.binary_abs: it is calibrated"),
        ({"models": {"p": {"kind": "prototype_abs"}}}, r"models\.p: it is trained"),
        ({"attacks": {"transfer": {}}}, r"attacks: the substitute of transfer attacks is trained"),
    ],
)
def test_what_needs_training_images_is_refused_without(npz, changes, message):
    settings = {key: {**ALONE[key], **changes.get(key, {})} for key in ALONE}
    with pytest.raises(
        InputError,
        match=rf"^config key {message}, and the data set tinted has no training images; name those in",
    ):
        plan(**settings, dataset=npz)


def test_released_weights_need_no_training_images(npz):
    settings = {**ALONE, "models": {**ALONE["models"], "cnn": {}}, "published_weights": "published"}
    assert plan(**settings, dataset=npz).splits == ["test"]


@pytest.mark.parametrize("entry", [{"npz": "gone.npz"}, {"hdf5": "gone.h5"}])
def test_a_file_that_is_not_there_is_named(entry):
    kind, path = next(iter(entry.items()))
    with pytest.raises(InputError, match=rf"^config key datasets\.gone\.{kind}: {path} is no file$"):
        plan(**ALONE, dataset={**entry, "test": {"images": "x", "labels": "y"}})


def test_a_class_that_the_data_set_lacks_is_refused():
    with pytest.raises(
        InputError, match=r"^config key distal\.labels: found 10, allowed are the classes 0 to 9 of"
    ):
        plan(distal={"labels": [3, 10]})
