"""Data sets of one's own: arrays in a file, a folder of images, what a function returns."""

import os
import re
from pathlib import Path

import colour_digits
import h5py
import numpy as np
import pytest
import torch
from PIL import Image

from absynth.data.format import DataFormat
from absynth.data.own import folder_digest, own_files
from absynth.data.own_headers import known_images
from absynth.data.own_readers import as_images, as_labels
from absynth.data.sources import dataset_from_config
from absynth.data.split_files import read_format, read_split, write_split
from absynth.data.splits import format_of, load_dataset, split_calibration
from absynth.errors import InputError

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (24, 3, 6, 5), np.uint8)
LABELS = np.arange(24) % 12
LAST = IMAGES.transpose(0, 2, 3, 1)


def loaded(name: str, **entry) -> tuple:
    """The arrays of a data set, and what it is."""
    dataset = dataset_from_config(name, entry)
    splits = load_dataset(dataset, None, "no-cache")
    return splits, format_of(dataset, splits)


# What images and labels may be


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (IMAGES, IMAGES),
        (LAST, IMAGES),
        (IMAGES[:, 0], IMAGES[:, :1]),
        (torch.from_numpy(IMAGES), IMAGES),
        ([Image.fromarray(image) for image in LAST], IMAGES),
        (list(LAST), IMAGES),
        (LAST / 255, (IMAGES / 255).astype(np.float32)),
        (torch.from_numpy(IMAGES).half() / 255, (torch.from_numpy(IMAGES).half() / 255).float().numpy()),
    ],
    ids=["first", "last", "grey", "tensor", "PIL", "list", "float64", "float16"],
)
def test_images_become_channels_first(values, expected):
    found = as_images(values, "mine")
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(("channels", "expected"), [("first", (9, 3, 5, 3)), ("last", (9, 3, 3, 5))])
def test_an_order_that_is_not_plain_must_be_said(channels, expected):
    images = np.zeros((9, 3, 5, 3), np.uint8)
    with pytest.raises(
        InputError, match=r"^mine: images of shape \(9, 3, 5, 3\) may .* write channels: first or"
    ):
        as_images(images, "mine")
    assert as_images(images, "mine", channels).shape == expected


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (IMAGES.astype(np.int64), "images of type int64; uint8, and floats"),
        (IMAGES > 5, "images of type bool"),
        (IMAGES.reshape(24, -1), r"images of shape \(24, 90\)"),
        ([IMAGES[0], IMAGES[0, :2]], "its images make no array"),
        (np.zeros((2, 7, 6, 5)), r"images of shape \(2, 7, 6, 5\) may have their channels first or last"),
        (None, "images of type object"),
        ("images", "images of type <U6"),
    ],
)
def test_other_images_are_refused(values, message):
    with pytest.raises(InputError, match=f"^mine: {message}"):
        as_images(values, "mine")


@pytest.mark.parametrize("values", [[3, 1, 2], torch.tensor([3, 1, 2]), np.array([3, 1, 2], np.uint16)])
def test_labels_become_integers(values):
    found = as_labels(values, "mine")
    assert found.dtype == np.int64
    assert found.tolist() == [3, 1, 2]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([0.0, 1.0], "labels of type float64"),
        (["cat", "dog"], "labels of type <U3"),
        ([[0], [1]], r"labels of shape \(2, 1\)"),
    ],
)
def test_other_labels_are_refused(values, message):
    with pytest.raises(InputError, match=f"^mine: {message}"):
        as_labels(values, "mine")


# Where they may come from


def write_npz(folder: Path) -> dict:
    np.savez(folder / "mine.npz", a=LAST, b=LABELS, c=LAST[:12], d=LABELS[:12])
    return {"npz": str(folder / "mine.npz"), "train": {"images": "a", "labels": "b"}} | {
        "test": {"images": "c", "labels": "d"}
    }


def write_hdf5(folder: Path) -> dict:
    with h5py.File(folder / "mine.h5", "w") as file:
        file["train/x"], file["train/y"], file["test/x"], file["test/y"] = (
            IMAGES,
            LABELS,
            IMAGES[:12],
            LABELS[:12],
        )
    parts = {split: {"images": f"{split}/x", "labels": f"{split}/y"} for split in ("train", "test")}
    return {"hdf5": str(folder / "mine.h5"), **parts}


def write_folder(folder: Path) -> dict:
    for split, n in (("train", 24), ("test", 12)):
        for i in range(n):
            place = folder / "pictures" / split / f"class_{LABELS[i]:02d}"
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(LAST[i]).save(place / f"{i:02d}.png")
    (folder / "pictures" / "train" / "class_00" / "notes.txt").write_text("no image")
    return {"folder": str(folder / "pictures"), "train": "train", "test": "test"}


def write_function(folder: Path) -> dict:
    np.save(folder / "images.npy", IMAGES)
    (folder / "my_data.py").write_text(
        """
from pathlib import Path
import numpy as np

def both(n):
    images = np.load(Path(__file__).with_name("images.npy"))
    labels = [i % 12 for i in range(len(images))]
    return {"train": (images, labels), "test": (images[:n], labels[:n])}
"""
    )
    return {"load": f"{folder}/my_data.py:both", "arguments": {"n": 12}, "train": True}


SOURCES = {"npz": write_npz, "hdf5": write_hdf5, "folder": write_folder, "load": write_function}


@pytest.mark.parametrize("kind", SOURCES)
def test_every_source_gives_the_same_images(tmp_path, kind):
    splits, about = loaded("mine", **SOURCES[kind](tmp_path))
    assert about == DataFormat((3, 6, 5), 12)
    order = (
        [LABELS.argsort(kind="stable"), LABELS[:12].argsort(kind="stable")]
        if kind == "folder"
        else [..., ...]
    )
    expected = (IMAGES[order[0]], LABELS[order[0]], IMAGES[:12][order[1]], LABELS[:12][order[1]])
    for found, array in zip(splits, expected, strict=True):
        np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize("kind", SOURCES)
def test_test_images_alone_will_do(tmp_path, kind):
    entry = {key: value for key, value in SOURCES[kind](tmp_path).items() if key != "train"}
    splits, about = loaded("mine", **entry)
    assert [len(part) for part in splits] == [0, 0, 12, 12]
    assert about.n_classes == 12


def test_grey_pictures_stay_grey_and_mixed_ones_become_coloured(tmp_path):
    for name, image in (("a", LAST[0][..., 0]), ("b", LAST[1][..., 0])):
        (tmp_path / "test" / name).mkdir(parents=True)
        Image.fromarray(image).save(tmp_path / "test" / name / "0.png")
    entry = {"folder": str(tmp_path), "test": "test"}
    (*_, images, labels), about = loaded("mine", **entry)
    assert (about, labels.tolist()) == (DataFormat((1, 6, 5), 2), [0, 1])
    np.testing.assert_array_equal(images[:, 0], IMAGES[:2, 0])
    Image.fromarray(LAST[2]).save(tmp_path / "test" / "b" / "1.png")
    (*_, images, labels), about = loaded("mine", **entry)
    assert about.shape == (3, 6, 5)
    np.testing.assert_array_equal(images[0], IMAGES[[0, 0, 0], 0][:, :].reshape(3, 6, 5))


class TorchvisionSet:
    """A stand-in of torchvision's CIFAR10: arrays with channels last, labels in a list, and pairs by position."""

    def __init__(self):
        self.data, self.targets = LAST, LABELS.tolist()

    def __getitem__(self, i):
        return Image.fromarray(self.data[i]), self.targets[i]

    def __len__(self):
        return len(self.data)


class HuggingFaceSet:
    """A stand-in of a Hugging Face `Dataset`, whose columns are lists of decoded images and of integers."""

    def __getitem__(self, column):
        return {"img": [Image.fromarray(image) for image in LAST], "label": LABELS.tolist()}[column]


FUNCTIONS = {
    "torchvision, its arrays": lambda: (TorchvisionSet().data, TorchvisionSet().targets),
    "torchvision, its pairs": lambda: tuple(zip(*TorchvisionSet(), strict=True)),
    "hugging face": lambda: (HuggingFaceSet()["img"], HuggingFaceSet()["label"]),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_data_sets_of_other_libraries_are_a_few_lines(monkeypatch, name):
    monkeypatch.setattr("colour_digits.theirs", FUNCTIONS[name], raising=False)
    (*_, images, labels), about = loaded("theirs", load="colour_digits:theirs")
    np.testing.assert_array_equal(images, IMAGES)
    np.testing.assert_array_equal(labels, LABELS)
    assert about == DataFormat((3, 6, 5), 12)


# What is refused


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (None, r"returns a NoneType for test; a pair of images and labels"),
        ((IMAGES,), r"returns a tuple of 1 for test"),
        ({"train": (IMAGES, LABELS)}, r"returns a dict with 'train'; a mapping with test, "),
        ({}, r"returns a dict with nothing; a mapping with test, "),
        ((IMAGES, LABELS[:-1]), r"24 images but 23 labels"),
        ((IMAGES, LABELS - 1), r"label -1 found"),
        ((IMAGES[:0], LABELS[:0]), r"no images"),
        ((LAST * 1.0, LABELS), r"float pixels from 0 to 255; 0 to 1 is allowed; divide them by 255"),
        ((np.full(LAST.shape, np.nan), LABELS), r"24 of 24 images hold NaN \(first at 0\)"),
        ((IMAGES // 200, LABELS), r"images hold only 0 and 1, and as uint8"),
    ],
)
def test_a_function_that_returns_something_else_is_named(monkeypatch, returned, message):
    monkeypatch.setattr("colour_digits.theirs", lambda: returned, raising=False)
    with pytest.raises(InputError, match=rf"^theirs.*: {message}"):
        loaded("theirs", load="colour_digits:theirs")


def test_training_images_that_a_function_does_not_return_are_missed(monkeypatch):
    monkeypatch.setattr("colour_digits.theirs", lambda: (IMAGES, LABELS), raising=False)
    with pytest.raises(InputError, match=r"a mapping with test and train, a pair .* each, is needed"):
        loaded("theirs", load="colour_digits:theirs", train=True)


def test_a_function_that_fails_is_named(monkeypatch):
    monkeypatch.setattr("colour_digits.theirs", lambda: 1 // 0, raising=False)
    with pytest.raises(
        InputError, match=r"^theirs \(colour_digits:theirs\): fails \(ZeroDivisionError: integer division"
    ):
        loaded("theirs", load="colour_digits:theirs")
    with pytest.raises(InputError, match=r"fails \(ModuleNotFoundError: No module named 'no_such'\)"):
        loaded("theirs", load="no_such:function")
    with pytest.raises(InputError, match=r"fails \(AttributeError"):
        loaded("theirs", load="colour_digits:no_such")


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({}, "mine: found nothing; one of files, npz, hdf5, folder, load is allowed"),
        ({"npz": "a", "load": "b:c"}, "mine: found npz, load; one of"),
        ({"npz": "a"}, r"mine\.test: missing"),
        ({"npz": 3, "test": {"images": "x", "labels": "y"}}, r"mine\.npz: 3; a text"),
        ({"npz": "a", "test": {"images": "x"}}, r"mine\.test\.labels: missing"),
        ({"npz": "a", "test": {"images": "x", "labels": 0}}, r"mine\.test\.labels: 0; a text"),
        ({"folder": "a", "test": {"images": "x"}}, r"mine\.test: .*; a text"),
        ({"load": "my_data.py"}, r"mine\.load: 'my_data\.py'; my_data\.py:function and"),
        ({"load": "a:b", "train": "yes"}, r"mine\.train: 'yes'; true and false"),
        ({"load": "a:b", "arguments": [1]}, r"mine\.arguments: \[1\]; a mapping"),
        ({"load": "a:b", "channels": "middle"}, r"mine\.channels: 'middle'; first and last"),
        ({"load": "a:b", "n_classes": 1}, r"mine\.n_classes: 1; a whole number from 2 on"),
        ({"load": "a:b", "colour": True}, r"mine\.colour: True; allowed keys are"),
    ],
)
def test_a_description_that_is_not_sound_is_refused(entry, message):
    with pytest.raises(InputError, match=f"^{message}"):
        dataset_from_config("mine", entry)


def test_parts_that_do_not_agree_are_refused(tmp_path):
    entry = write_npz(tmp_path)
    np.savez(tmp_path / "mine.npz", a=LAST, b=LABELS, c=LAST[:, :5], d=LABELS)
    with pytest.raises(
        InputError, match=r"^mine: training images of shape \(3, 6, 5\) and type uint8, test images"
    ):
        loaded("mine", **entry)
    np.savez(tmp_path / "mine.npz", a=LAST, b=LABELS, c=LAST, d=LABELS)
    with pytest.raises(InputError, match=r"^mine: label 11 found; n_classes: 11 allows 0 to 10$"):
        loaded("mine", **entry, n_classes=11)
    assert loaded("mine", **entry, n_classes=20)[1].n_classes == 20


def test_files_that_are_not_what_they_should_be_are_named(tmp_path):
    entry = write_npz(tmp_path)
    with pytest.raises(
        InputError,
        match=rf"^config key datasets\.mine\.test\.images: {re.escape(entry['npz'])} has no array 'z'; it has a, b",
    ):
        loaded("mine", **{**entry, "test": {"images": "z", "labels": "b"}})
    np.savez(tmp_path / "mine.npz", a=np.array([{}, {}]), b=LABELS, c=LAST, d=LABELS)
    with pytest.raises(InputError, match=r"mine\.npz: no \.npz file of plain arrays"):
        loaded("mine", **entry)
    write_npz(tmp_path)
    sound = (tmp_path / "mine.npz").read_bytes()
    listed = sound.rindex(b"c.npy") - 46  # where the archive's list tells of the test images
    for place, value, known in (
        (200, 255, (12, (3, 6, 5))),
        (listed + 10, 97, (None, None)),
        (listed, 0, (None, None)),
    ):
        # a value, how the array is packed, and the list itself
        (tmp_path / "mine.npz").write_bytes(sound[:place] + bytes([value]) + sound[place + 1 :])
        with pytest.raises(InputError, match=r"mine\.npz: no \.npz file of plain arrays"):
            loaded("mine", **entry)
        assert known_images(dataset_from_config("mine", entry)) == known
    hdf5 = write_hdf5(tmp_path)
    with pytest.raises(InputError, match=r"has no array 'test'; it has test, test/x"):
        loaded("mine", **{**hdf5, "test": {"images": "test", "labels": "test/y"}})
    (tmp_path / "mine.h5").write_bytes(b"no HDF5")
    with pytest.raises(InputError, match=r"mine\.h5: damaged or not HDF5"):
        loaded("mine", **hdf5)


def test_folders_that_are_not_what_they_should_be_are_named(tmp_path):
    entry = write_folder(tmp_path)
    Image.fromarray(LAST[0][:, :4]).save(tmp_path / "pictures" / "test" / "class_01" / "99.png")
    with pytest.raises(
        InputError, match=r"99\.png: 6×4 pixels, but .*00\.png has 6×5; all must be of one size"
    ):
        loaded("mine", **entry)
    (tmp_path / "pictures" / "test" / "class_01" / "99.png").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"99\.png: no readable image"):
        loaded("mine", **entry)
    (tmp_path / "pictures" / "test" / "class_99").mkdir()
    with pytest.raises(InputError, match="class 'class_99' is not among the training images' classes"):
        loaded("mine", **entry)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="empty: no folders; one for each class is needed"):
        loaded("mine", folder=str(tmp_path), test="empty")


@pytest.mark.parametrize("kind", SOURCES)
def test_files_are_inputs_and_missing_ones_are_named(tmp_path, kind):
    entry = SOURCES[kind](tmp_path)
    files = own_files(dataset_from_config("mine", entry))
    assert [Path(file).parent for file in files] == ([] if kind == "folder" else [tmp_path])
    wrong = {**entry, kind: entry[kind].replace(str(tmp_path), "/no/such")}
    with pytest.raises(
        InputError, match=rf"^config key datasets\.mine\.{'test' if kind == 'folder' else kind}: /no"
    ):
        own_files(dataset_from_config("mine", wrong))


def test_a_folder_is_known_by_its_files(tmp_path):
    dataset = dataset_from_config("mine", write_folder(tmp_path))
    before = folder_digest(dataset)
    assert before == folder_digest(dataset)
    path = tmp_path / "pictures" / "test" / "class_03" / "03.png"
    held = path.read_bytes()
    path.write_bytes(held[:-1] + bytes([held[-1] ^ 1]))  # another image of the same size
    os.utime(path, (0, 0))
    assert folder_digest(dataset) != before
    path.write_bytes(held)
    assert folder_digest(dataset) == before
    path.unlink()
    assert folder_digest(dataset) != before
    assert folder_digest(dataset_from_config("mine", write_npz(tmp_path))) is None


# Split files of any shape


@pytest.mark.parametrize("n_classes", [2, 12, 300])
def test_a_split_file_says_what_it_holds(tmp_path, n_classes):
    images = RNG.random((5, 2, 7, 3)).astype(np.float32)
    labels = np.array([0, 1, 0, 1, n_classes - 1])
    write_split(tmp_path / "test.h5", images, labels, "mine", "test", n_classes=n_classes)
    assert read_format(tmp_path / "test.h5") == DataFormat((2, 7, 3), n_classes)
    found, classes = read_split(tmp_path / "test.h5", 1, 5)
    np.testing.assert_array_equal(found, images[1:])
    np.testing.assert_array_equal(classes, labels[1:])
    with pytest.raises(InputError, match=f"label {n_classes - 1} found; 0 to {n_classes - 2} are allowed"):
        write_split(tmp_path / "test.h5", images, labels, "mine", "test", n_classes=n_classes - 1)


def test_calibration_leaves_every_class_of_the_data(tmp_path):
    images, labels = colour_digits.tinted(36)
    assert len(split_calibration(images, labels, 24, 12)[1]) == 12
    with pytest.raises(
        InputError, match="leaves no training image of class 11; at least one of each of the 12"
    ):
        split_calibration(images, labels, 25, 12)


def one_class_folder(tmp_path, pixels: np.ndarray, *names: str) -> dict:
    """The entry of a folder with the same picture in a folder of each name."""
    for name in names:
        (tmp_path / "test" / name).mkdir(parents=True)
        Image.fromarray(pixels).save(tmp_path / "test" / name / "0.png")
    return {"folder": str(tmp_path), "test": "test"}


def test_hidden_folders_are_no_classes(tmp_path):
    pixels = np.arange(16, dtype=np.uint8).reshape(4, 4)
    entry = one_class_folder(tmp_path, pixels, "a", "b", ".ipynb_checkpoints")
    (*_, labels), _ = loaded("mine", **one_class_folder(tmp_path / "c", pixels, "a"))
    assert labels.tolist() == [0]
    with pytest.raises(InputError, match="all 2 images are the same image"):  # and not all 3
        loaded("mine", **entry)


def test_images_of_sixteen_bits_are_refused(tmp_path):
    entry = one_class_folder(tmp_path, np.full((4, 4), 900, np.uint16), "a")
    with pytest.raises(InputError, match=r"0\.png: has mode I;16; 8 bits per channel are allowed"):
        loaded("mine", **entry)


def test_pillows_images_become_rgb_unless_all_are_grey():
    grey = Image.fromarray(np.arange(12, dtype=np.uint8).reshape(4, 3))
    colour = Image.fromarray(np.arange(36, dtype=np.uint8).reshape(4, 3, 3))
    assert as_images([grey, grey], "mine").shape == (2, 1, 4, 3)
    found = as_images([grey, colour.convert("P"), colour], "mine")
    assert found.shape == (3, 3, 4, 3)
    np.testing.assert_array_equal(found[0], np.asarray(grey)[None].repeat(3, axis=0))
    np.testing.assert_array_equal(found[2], np.asarray(colour).transpose(2, 0, 1))
    with pytest.raises(InputError, match="mine image 1: has mode I;16"):
        as_images([grey, Image.fromarray(np.full((4, 3), 900, np.uint16))], "mine")


def test_a_class_without_test_images_keeps_its_number(tmp_path):
    entry = one_class_folder(tmp_path, np.arange(16, dtype=np.uint8).reshape(4, 4), "b")
    (tmp_path / "test" / "a").mkdir()
    (*_, labels), known = loaded("mine", **entry)
    assert (labels.tolist(), known.n_classes) == ([1], 2)


def test_a_folder_of_folders_without_images_is_refused(tmp_path):
    entry = one_class_folder(tmp_path, np.arange(16, dtype=np.uint8).reshape(4, 4), "b")
    for path in (tmp_path / "test" / "b").iterdir():
        path.unlink()
    with pytest.raises(InputError, match="b: holds no image, and its folder is a class"):
        loaded("mine", **entry)


def test_labels_from_one_are_refused_where_no_class_has_the_label_zero(tmp_path):
    np.savez(tmp_path / "mine.npz", a=LAST, b=LABELS + 1, c=np.where(LABELS, LABELS, 1))
    entry = {"npz": str(tmp_path / "mine.npz"), "test": {"images": "a", "labels": "b"}}
    n = int(LABELS.max()) + 1
    message = rf"^mine: labels are 1 to {n}, and none is 0; .* first_label: 1 .* state n_classes: {n + 1}$"
    with pytest.raises(InputError, match=message):
        loaded("mine", **entry)
    assert loaded("mine", **entry, n_classes=n + 1)[1].n_classes == n + 1
    splits, about = loaded("mine", **entry, first_label=1)
    assert (splits[3].tolist(), about.n_classes) == (LABELS.tolist(), n)
    gaps = {"npz": entry["npz"], "test": {"images": "a", "labels": "c"}}
    with pytest.raises(InputError, match=rf"^mine: labels are 1 to {n - 1}, and none is 0"):
        loaded("mine", **gaps)


def test_a_label_far_beyond_the_number_of_images_is_refused(tmp_path):
    np.savez(tmp_path / "mine.npz", a=LAST, b=np.where(LABELS == 3, 10**12, LABELS))
    entry = {"npz": str(tmp_path / "mine.npz"), "test": {"images": "a", "labels": "b"}}
    with pytest.raises(InputError, match="label 1000000000000 found among 24 images"):
        loaded("mine", **entry)


def test_hdf5_under_npz_is_told_without_advice_to_unpickle(tmp_path):
    with h5py.File(tmp_path / "mine.npz", "w") as file:
        file["a"] = LAST
    with pytest.raises(InputError, match=r"no \.npz file of plain arrays$"):
        loaded("mine", npz=str(tmp_path / "mine.npz"), test={"images": "a", "labels": "a"})
