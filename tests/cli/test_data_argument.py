"""What `--data` says, as a data set of a config."""

import zipfile

import h5py
import numpy as np
import pytest

from absynth.cli.data_argument import chosen_keys, dataset_entry
from absynth.data.own_headers import npz_shapes
from absynth.errors import InputError

IMAGES, LABELS = (20, 8, 8), (20,)


@pytest.mark.parametrize(
    ("shapes", "keys"),
    [
        ({"a": IMAGES, "b": LABELS}, ("a", "b")),
        ({"x_train": (90, 8, 8), "y_train": (90,), "x_test": IMAGES, "y_test": LABELS}, ("x_test", "y_test")),
        ({"Images": (20, 3, 8, 8), "Labels": LABELS, "weights": (7,)}, ("Images", "Labels")),
        ({"x": IMAGES, "ids": LABELS, "y": LABELS}, ("x", "y")),
        ({"train/x": (90, 8, 8), "train/y": (90,), "test/x": IMAGES, "test/y": LABELS}, ("test/x", "test/y")),
    ],
)
def test_arrays_are_told_by_their_names_and_shapes(shapes, keys):
    assert chosen_keys(shapes, "my.npz") == keys


@pytest.mark.parametrize(
    "shapes",
    [
        {},
        {"a": IMAGES},
        {"a": IMAGES, "b": (19,)},
        {"a": IMAGES, "b": IMAGES, "c": LABELS},  # which of the two?
        {"a": IMAGES, "b": LABELS, "c": LABELS},
        {"train_images": (20, 8, 8), "other": IMAGES, "labels": LABELS},
    ],
)
def test_arrays_that_cannot_be_told_are_listed(shapes):
    with pytest.raises(InputError, match="say --keys IMAGES LABELS") as raised:
        chosen_keys(shapes, "my.npz")
    assert all(key in str(raised.value) for key in shapes)


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez("my.npz", x=np.zeros(IMAGES), y=np.zeros(LABELS, int))
    with h5py.File("my.h5", "w") as file:
        file["test/images"], file["test/labels"] = np.zeros(IMAGES), np.zeros(LABELS, int)
    (tmp_path / "plain" / "cat").mkdir(parents=True)
    (tmp_path / "split" / "val" / "cat").mkdir(parents=True)
    (tmp_path / "bad.npz").write_text("no archive")
    return tmp_path


@pytest.mark.parametrize(
    ("data", "entry"),
    [
        ("mnist", "mnist"),
        ("my.npz", {"npz": "my.npz", "test": {"images": "x", "labels": "y"}}),
        ("my.h5", {"hdf5": "my.h5", "test": {"images": "test/images", "labels": "test/labels"}}),
        ("plain", {"folder": "plain", "test": "."}),
        ("split", {"folder": "split", "test": "val"}),
        ("my_data.py:load", {"load": "my_data.py:load"}),
    ],
)
def test_what_is_named_becomes_an_entry(files, data, entry):
    assert dataset_entry(data, None, {}) == entry


def test_keys_and_arguments_are_handed_on(files):
    assert dataset_entry("my.npz", ["x", "y"], {})["test"] == {"images": "x", "labels": "y"}
    assert dataset_entry("my.module:load", None, {"n": 3}) == {
        "load": "my.module:load",
        "arguments": {"n": 3},
    }


@pytest.mark.parametrize(
    ("data", "keys", "arguments", "said"),
    [
        ("mnits", None, {}, "did you mean mnist"),
        ("my.npz", ["x", "z"], {}, "no array z; it has x, y"),
        ("mnist", ["x", "y"], {}, "--keys: names arrays"),
        ("my.npz", None, {"n": 3}, "--data-args: are those of a function"),
        ("bad.npz", None, {}, "is not an .npz file of plain arrays"),
        ("nowhere.h5", None, {}, "nowhere.h5 is no file"),
    ],
)
def test_what_cannot_be_is_refused(files, data, keys, arguments, said):
    with pytest.raises(InputError, match=said):
        dataset_entry(data, keys, arguments)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_are_told_without_being_read(files, save, monkeypatch):
    save("big.npz", x=np.zeros(IMAGES), y=np.zeros(LABELS, int), scale=np.float32(0.5))
    monkeypatch.delattr(np, "load")
    assert npz_shapes("big.npz") == {"x": IMAGES, "y": LABELS, "scale": ()}
    assert dataset_entry("big.npz", None, {})["test"] == {"images": "x", "labels": "y"}


def test_archives_without_arrays_and_damaged_ones_are_refused(files):
    whole = (files / "my.npz").read_bytes()
    (files / "cut.npz").write_bytes(whole[: len(whole) // 2])
    (files / "header.npz").write_bytes(whole.replace(b"\x93NUMPY", b"\x93NUMPX"))
    for name in ("cut.npz", "header.npz"):
        with pytest.raises(InputError, match=r"is not an \.npz file of plain arrays"):
            dataset_entry(name, None, {})
    with zipfile.ZipFile("text.npz", "w") as archive:
        archive.writestr("notes.txt", "none")
    with pytest.raises(InputError, match="holds no arrays"):
        dataset_entry("text.npz", None, {})


@pytest.mark.parametrize("name", ["X_kannada_MNIST_test.npz", "t10k-images-idx3-ubyte.gz"])
def test_images_in_a_file_of_their_own_are_described_in_a_config(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    np.savez("X_kannada_MNIST_test.npz", np.zeros(IMAGES, np.uint8))
    with pytest.raises(InputError, match=rf"{name} ?.*describe them by files in a config"):
        dataset_entry(name, None, {})
