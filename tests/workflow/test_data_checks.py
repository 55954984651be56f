"""What a config must fulfil as to its data set."""

import zipfile

import numpy as np
import pytest
from configs import OWN, plan

from absynth.data.format import PAPER, DataFormat
from absynth.data.own_headers import known_images
from absynth.data.sources import find_dataset
from absynth.errors import InputError
from absynth.workflow.data_checks import settle_dataset
from absynth.workflow.outputs import Outputs

PAPERS = ("cnn", "binary_cnn", "nearest_neighbor", "madry", "binary_abs", "abs")
FEW = {"n_samples": 2, "shards": 1}
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
    made = plan(**ALONE, **FEW, dataset=npz)
    assert made.dataset.name == "tinted"
    assert made.splits == ["test"]
    assert made.differentiable == []
    assert made.distal_labels is None


def test_a_known_data_set_says_which_classes_are_raised():
    made = plan(dataset="digits", n_samples=10, n_calibration=200)
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
        plan(**settings, **FEW, dataset=npz)


def test_released_weights_need_no_training_images(tmp_path, npz):
    np.savez(tmp_path / "tinted.npz", x=np.zeros((2, 28, 28), np.uint8), y=np.arange(2))
    settings = {**ALONE, "models": {**ALONE["models"], "cnn": {}}, "published_weights": "published"}
    assert plan(**settings, **FEW, dataset=npz).splits == ["test"]


@pytest.mark.parametrize("entry", [{"npz": "gone.npz"}, {"hdf5": "gone.h5"}])
def test_a_file_that_is_not_there_is_named(entry):
    kind, path = next(iter(entry.items()))
    with pytest.raises(InputError, match=rf"^config key dataset\.{kind}: {path} is no file$"):
        plan(**ALONE, dataset={**entry, "test": {"images": "x", "labels": "y"}})
    with pytest.raises(InputError, match=rf"^config key datasets\.gone\.{kind}: {path} is no file$"):
        plan(**ALONE, dataset="gone", datasets={"gone": {**entry, "test": {"images": "x", "labels": "y"}}})


def test_a_class_that_the_data_set_lacks_is_refused():
    with pytest.raises(
        InputError, match=r"^config key distal\.labels: found 10, allowed are the classes 0 to 9 of"
    ):
        plan(distal={"labels": [3, 10]})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"test": None}, r"\.test: missing; needed are npz, test"),
        ({"test": {"images": "x"}}, r"\.test\.labels: missing"),
        ({"test": {"images": "x", "labels": 3}}, r"\.test\.labels: 3; a text is allowed"),
        ({"tset": {}}, r"\.tset: \{\}; allowed keys are"),
        ({"channels": "middle"}, r"\.channels: 'middle'; first and last are allowed"),
        ({"hdf5": "x.h5"}, r": found npz, test, hdf5; one of files, npz, hdf5, folder, load is allowed"),
        ({"n_test": 0}, r"\.n_test: 0; a positive number of images"),
    ],
)
@pytest.mark.parametrize("in_place", [True, False])
def test_a_description_is_refused_by_the_key_that_it_stands_at(npz, changes, message, in_place):
    entry = {key: value for key, value in {**npz, **changes}.items() if value is not None}
    settings = {"dataset": entry} if in_place else {"dataset": "mine", "datasets": {"mine": entry}}
    key = "dataset" if in_place else r"datasets\.mine"
    with pytest.raises(InputError, match=rf"^config key {key}{message}"):
        plan(**ALONE, **FEW, **settings)


@pytest.mark.parametrize("kind", ["npz", "folder"])
def test_more_images_than_there_are_is_refused_where_that_can_be_known(tmp_path, npz, kind):
    if kind == "folder":
        for name in ("test/a/0.png", "test/b/1.PNG", "test/.hidden/2.png", "test/b/notes.txt"):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).touch()
        npz = {"folder": str(tmp_path), "test": "test", "name": "tinted"}
    with pytest.raises(
        InputError, match=r"^config key n_samples: found 3, allowed are the 2 test images of tinted"
    ):
        plan(**ALONE, n_samples=3, shards=1, dataset=npz)


@pytest.mark.parametrize(
    ("shape", "channels", "known"),
    [
        ((2, 5, 4), None, (1, 5, 4)),
        ((2, 3, 5, 6), None, (3, 5, 6)),
        ((2, 5, 6, 3), None, (3, 5, 6)),
        ((2, 3, 5, 3), "last", (3, 3, 5)),
        ((2, 3, 5, 3), None, None),
        ((2, 6, 5, 7), None, None),
        ((2, 9), None, None),
    ],
)
@pytest.mark.parametrize("version", [(1, 0), (3, 0)])
def test_what_a_file_holds_is_known_by_its_header(tmp_path, shape, channels, known, version):
    with zipfile.ZipFile(tmp_path / "mine.npz", "w") as archive, archive.open("x.npy", "w") as stored:
        np.lib.format.write_array(stored, np.zeros(shape, np.uint8), version)
    entry = {"npz": str(tmp_path / "mine.npz"), "test": {"images": "x", "labels": "y"}}
    found = known_images(find_dataset("mine", entry | ({"channels": channels} if channels else {})))
    assert found == (2, known)


def test_what_cannot_be_known_is_left_to_the_reader(tmp_path, npz):
    assert known_images(find_dataset("mine", npz | {"test": {"images": "gone", "labels": "y"}})) == (
        None,
        None,
    )
    (tmp_path / "tinted.npz").write_bytes(b"no archive")
    assert known_images(find_dataset("mine", npz)) == (None, None)
    assert known_images(find_dataset("mine", {"load": "mine:f"})) == (None, None)


def test_a_folder_without_folders_of_images_is_told_from_one_that_is_not_there(tmp_path):
    entry = {"folder": str(tmp_path), "test": "."}
    np.savez(tmp_path / "X_test.npz", np.zeros((2, 4, 4)))  # arrays where folders of images should be
    with pytest.raises(
        InputError,
        match=r"^config key datasets\.mine\.test: found .*, which holds no folder of images; .* files",
    ):
        known_images(find_dataset("mine", entry))
    assert known_images(find_dataset("mine", entry | {"test": "gone"})) == (None, None)
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "1.PNG").touch()
    assert known_images(find_dataset("mine", entry)) == (1, None)


def test_a_substitute_for_other_images_is_refused_at_the_start(tmp_path):
    np.savez(tmp_path / "big.npz", x=np.zeros((2, 3, 5, 6), np.uint8), y=np.arange(2))
    parts = {"images": "x", "labels": "y"}
    entry = {"npz": str(tmp_path / "big.npz"), "test": parts, "train": parts}
    with pytest.raises(
        InputError,
        match=r"^config key attacks: the substitute of transfer attacks takes 1×28×28 .* has 3×5×6 images",
    ):
        plan(models=ALONE["models"], **FEW, dataset=entry)
    assert plan(**ALONE, **FEW, dataset=entry).takes == {}


def test_images_that_are_known_late_are_checked_where_they_are_read():
    made = plan(models=ALONE["models"], **FEW, dataset={"load": "mine:f", "train": True})
    taken = {"shape": (1, 28, 28), "n_classes": 10}
    assert Outputs(made).data_limits == {
        "takes": {"config key attacks: the substitute of transfer attacks": taken}
    }
    assert Outputs(plan()).data_limits == {}


def test_calibration_images_beyond_the_training_images_are_refused():
    with pytest.raises(InputError, match=r"^config key n_calibration: found 1437, allowed are up to 1436"):
        plan(dataset="digits", n_samples=10, n_calibration=1437)
