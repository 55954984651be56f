"""The MNIST family as it is published: tiny files made to each layout are read, turned and numbered, or refused."""

import gzip
import hashlib
import io
from pathlib import Path

import numpy as np
import pytest
from scripts.data import prepare_data

from absynth.data.places import images_held, unverified
from absynth.data.sources import DATASETS, find_dataset
from absynth.data.split_files import read_format, read_split
from absynth.data.splits import format_of, load_dataset
from absynth.errors import InputError

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (40, 28, 28), np.uint8)
DIGITS = (np.arange(40) % 10).astype(np.uint8)
TEST = slice(0, 20)


def idx(array: np.ndarray) -> bytes:
    """The bytes of an IDX file, gzipped: uint8, or int32 with its values big-endian, as all of the header is."""
    code = {np.dtype(np.uint8): 8, np.dtype(np.int32): 12}[array.dtype]
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    values = array.astype(array.dtype.newbyteorder(">")).tobytes()
    return gzip.compress(bytes([0, 0, code, array.ndim]) + sizes + values, mtime=0)


def npz(*arrays: np.ndarray) -> bytes:
    """The bytes of `np.savez_compressed`, whose arrays are called arr_0, arr_1, …"""
    stream = io.BytesIO()
    np.savez_compressed(stream, *arrays)
    return stream.getvalue()


def unpackable(archive: bytes) -> bytes:
    """A zip archive whose first file is packed by a method that there is not, as a damaged byte may say."""
    changed, listed = bytearray(archive), archive.index(b"PK\x01\x02")
    changed[8] = changed[listed + 10] = 97
    return bytes(changed)


def entry(folder: Path, contents: dict[str, bytes], **more) -> dict:
    """Write files and return the entry that describes them; contents: by name, in the order of the roles."""
    roles = ("train_images", "train_labels", "test_images", "test_labels")[-len(contents) :]
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return {"files": {role: {"name": name} for role, name in zip(roles, contents, strict=True)}, **more}


def loaded(folder: Path, described: dict) -> tuple:
    return load_dataset(find_dataset("mine", described), folder, folder / "cache")


# QMNIST: labels of eight columns (https://github.com/facebookresearch/qmnist, section 2.2)


def qmnist_labels(digits: np.ndarray) -> np.ndarray:
    """Class, series, writer, index for the writer, NIST's class code, global index, duplicate, unused."""
    n = len(digits)
    columns = [
        digits,
        np.full(n, 4),
        2100 + np.arange(n),
        np.arange(n),
        30 + digits,
        7 * np.arange(n),
        *np.zeros((2, n)),
    ]
    return np.stack(columns, axis=1).astype(np.int32)


def qmnist(folder: Path, labels: np.ndarray) -> dict:
    names = [file.name for file in DATASETS["qmnist"].files.by_role().values()]
    contents = idx(IMAGES), idx(labels), idx(IMAGES[TEST]), idx(labels[TEST])
    return entry(folder, dict(zip(names, contents, strict=True)))


def test_qmnist_has_the_class_in_the_first_of_eight_columns(tmp_path):
    images, labels, test_images, test_labels = loaded(tmp_path, qmnist(tmp_path, qmnist_labels(DIGITS)))
    np.testing.assert_array_equal(images, IMAGES)
    np.testing.assert_array_equal(labels, DIGITS)
    np.testing.assert_array_equal(test_images, IMAGES[TEST])
    np.testing.assert_array_equal(test_labels, DIGITS[TEST])


def test_the_registered_qmnist_is_verified(tmp_path):
    """Files under its names that are not its own are refused."""
    described = qmnist(tmp_path, qmnist_labels(DIGITS))
    registered = DATASETS["qmnist"]
    assert {role: file.name for role, file in registered.files.by_role().items()} == {
        role: file["name"] for role, file in described["files"].items()
    }
    with pytest.raises(InputError, match=r"md5 of the \.gz is .*, expected ed72d4157d28c017586c42bc6afe6370"):
        load_dataset(registered, tmp_path, tmp_path / "cache")


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (
            np.eye(8, dtype=np.int32)[DIGITS % 8],
            r"shape \(40, 8\), as QMNIST's, but column 4 is not NIST's code",
        ),
        (qmnist_labels(DIGITS)[:, :7].copy(), r"labels of shape \(40, 7\); \(n,\) is allowed"),
        (IMAGES.astype(np.int32), r"labels of shape \(40, 28, 28\); \(n,\) is allowed"),
    ],
    ids=["one-hot", "seven columns", "images"],
)
def test_other_labels_of_several_columns_are_refused(tmp_path, labels, message):
    with pytest.raises(InputError, match=f"qmnist-train-labels.*{message}"):
        loaded(tmp_path, qmnist(tmp_path, labels))


def test_labels_in_the_place_of_images_are_refused(tmp_path):
    described = qmnist(tmp_path, qmnist_labels(DIGITS))
    name = described["files"]["train_images"]["name"]
    (tmp_path / name).write_bytes(idx(IMAGES.astype(np.int32)))
    with pytest.raises(InputError, match=f"{name}: images of type int32; uint8"):
        loaded(tmp_path, described)


@pytest.mark.parametrize("transposed", [True, False])
@pytest.mark.parametrize(
    ("content", "shape"),
    [(idx(DIGITS), r"\(40,\)"), (idx(IMAGES.reshape(40, -1)), r"\(40, 784\)"), (npz(np.uint8(3)), r"\(\)")],
    ids=["labels", "flat", "scalar"],
)
def test_what_is_no_image_is_refused_before_it_is_turned(tmp_path, content, shape, transposed):
    described = entry(tmp_path, {"images": content, "labels": idx(DIGITS)}, transposed=transposed)
    with pytest.raises(InputError, match=rf"images: images of shape {shape}; \(n, rows, columns\)"):
        loaded(tmp_path, described)


# EMNIST: rows and columns exchanged, letters from 1 (https://arxiv.org/abs/1702.05373)


def emnist(folder: Path, **more) -> dict:
    letters = 1 + np.arange(40) % 26
    published = IMAGES[:, :, :20].swapaxes(1, 2).copy()  # (40, 20, 28): not square, so that the turn shows
    contents = (
        idx(published),
        idx(letters.astype(np.uint8)),
        idx(published[:26]),
        idx(letters[:26].astype(np.uint8)),
    )
    roles = ("train-images-idx3", "train-labels-idx1", "test-images-idx3", "test-labels-idx1")
    names = [f"emnist-letters-{role}-ubyte.gz" for role in roles]
    return entry(folder, dict(zip(names, contents, strict=True)), **more)


def test_emnist_letters_are_turned_and_numbered_from_0(tmp_path):
    described = emnist(tmp_path, transposed=True, first_label=1)
    images, labels, test_images, test_labels = loaded(tmp_path, described)
    np.testing.assert_array_equal(images, IMAGES[:, :, :20])
    np.testing.assert_array_equal(test_images, IMAGES[:26, :, :20])
    np.testing.assert_array_equal(labels, np.arange(40) % 26)
    np.testing.assert_array_equal(test_labels, np.arange(26))
    found = format_of(find_dataset("mine", described), (images, labels, test_images, test_labels))
    assert (found.shape, found.n_classes) == ((1, 28, 20), 26)


def test_emnist_is_kept_as_it_is_where_the_entry_says_so(tmp_path):
    """For a model trained on what torchvision returns: images as published, 27 classes, the first of them unused."""
    described = emnist(tmp_path, transposed=False, n_classes=27)
    images, labels, *_ = loaded(tmp_path, described)
    np.testing.assert_array_equal(images, IMAGES[:, :, :20].swapaxes(1, 2))
    assert (labels.min(), labels.max()) == (1, 26)


def test_emnist_whose_entry_does_not_say_how_it_lies_is_refused(tmp_path):
    with pytest.raises(
        InputError, match=r"^mine\.transposed: missing; emnist-letters.* true turns .*torchvision"
    ):
        find_dataset("mine", emnist(tmp_path))


def test_letters_from_1_are_refused_unless_the_entry_says_so(tmp_path):
    with pytest.raises(
        InputError, match=r"labels are 1 to 26, and none is 0; .* write first_label: 1 .* n_classes: 27"
    ):
        loaded(tmp_path, emnist(tmp_path, transposed=True))
    with pytest.raises(InputError, match="mine: label 1 found; first_label: 2 allows 2 and above"):
        loaded(tmp_path, emnist(tmp_path, transposed=True, first_label=2))


@pytest.mark.parametrize("kind", ["npz", "load"])
def test_other_kinds_are_turned_and_numbered_alike(tmp_path, kind):
    published, labels = IMAGES[:, :, :20].swapaxes(1, 2), 1 + np.arange(40) % 26
    np.savez(tmp_path / "mine.npz", x=published, y=labels)
    code = "import numpy as np\ndef both(path):\n    file = np.load(path)\n    return file['x'], file['y']\n"
    (tmp_path / "my_data.py").write_text(code)
    file = str(tmp_path / "mine.npz")
    described = {
        "npz": {"npz": file, "test": {"images": "x", "labels": "y"}},
        "load": {"load": f"{tmp_path}/my_data.py:both", "arguments": {"path": file}},
    }[kind]
    _, _, images, found = loaded(tmp_path, described | {"transposed": True, "first_label": 1})
    np.testing.assert_array_equal(images[:, 0], IMAGES[:, :, :20])
    np.testing.assert_array_equal(found, labels - 1)


# Kannada-MNIST and KMNIST: an .npz file for each array (https://github.com/vinayprabhu/Kannada_MNIST,
# https://github.com/rois-codh/kmnist)

KANNADA = (
    "X_kannada_MNIST_train.npz",
    "y_kannada_MNIST_train.npz",
    "X_kannada_MNIST_test.npz",
    "y_kannada_MNIST_test.npz",
)
KMNIST = (
    "kmnist-train-imgs.npz",
    "kmnist-train-labels.npz",
    "kmnist-test-imgs.npz",
    "kmnist-test-labels.npz",
)


@pytest.mark.parametrize("names", [KANNADA, KMNIST], ids=["Kannada-MNIST", "KMNIST"])
def test_arrays_in_npz_files_of_their_own_are_read(tmp_path, names):
    contents = [npz(array) for array in (IMAGES, DIGITS, IMAGES[TEST], DIGITS[TEST])]
    described = entry(tmp_path, dict(zip(names, contents, strict=True)))
    images, labels, test_images, test_labels = loaded(tmp_path, described)
    np.testing.assert_array_equal(images, IMAGES)
    np.testing.assert_array_equal(labels, DIGITS)
    np.testing.assert_array_equal(test_images, IMAGES[TEST])
    np.testing.assert_array_equal(test_labels, DIGITS[TEST])
    assert images_held(find_dataset("mine", described), tmp_path, tmp_path) == 20  # by its header


def test_npz_files_have_checksums_too(tmp_path):
    content = npz(IMAGES)
    described = entry(tmp_path, dict(zip(KANNADA[2:], (content, npz(DIGITS)), strict=True)))
    described["files"]["test_images"]["md5"] = hashlib.md5(content).hexdigest()
    described["files"]["test_labels"]["sha256"] = "0" * 64
    assert unverified(find_dataset("mine", described), tmp_path) == {}
    with pytest.raises(InputError, match=f"{KANNADA[3]}: sha256 of the payload is"):
        loaded(tmp_path, described)
    described["files"]["test_images"]["md5"] = "0" * 32
    with pytest.raises(InputError, match=f"{KANNADA[2]}: md5 of the .npz is"):
        loaded(tmp_path, described)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            npz(DIGITS, DIGITS),
            r"holds 2 arrays \(arr_0, arr_1\), and each of `files` is to hold one; .* by npz",
        ),
        (npz(), "wrong magic number"),
        (npz(DIGITS)[:200], "damaged, or no .npz file"),
        (unpackable(npz(DIGITS)), "damaged, or no .npz file"),
        (npz(np.array([{}], dtype=object)), "damaged, or no .npz file of plain arrays"),
        (npz(DIGITS.astype(float)), "labels of type float64; integers"),
        (npz(DIGITS[:, None]), r"labels of shape \(40, 1\); \(n,\) is allowed"),
    ],
    ids=["two", "none", "cut", "method", "objects", "floats", "columns"],
)
def test_other_npz_files_are_refused(tmp_path, content, message):
    described = entry(tmp_path, dict(zip(KANNADA[2:], (npz(IMAGES), content), strict=True)))
    with pytest.raises(InputError, match=f"{KANNADA[3]}: ({message})"):
        loaded(tmp_path, described)


def test_a_test_alone_is_a_data_set(tmp_path):
    """Dig-MNIST, which Kannada-MNIST comes with, has no training images."""
    described = entry(
        tmp_path, {"X_dig_MNIST-idx3-ubyte.gz": idx(IMAGES), "y_dig_MNIST-idx1-ubyte.gz": idx(DIGITS)}
    )
    dataset = find_dataset("mine", described)
    assert not dataset.has_train
    prepare_data.main(
        test=tmp_path / "test.h5", dataset="mine", description=described, data_dir=tmp_path, cache=tmp_path / "cache",
        n_calibration=5, n_samples=7,
    )  # fmt: skip
    images, labels = read_split(tmp_path / "test.h5")
    np.testing.assert_array_equal(labels, DIGITS)
    np.testing.assert_array_equal(images[:, 0], IMAGES.astype(np.float32) / np.float32(255))
    assert read_format(tmp_path / "test.h5").n_classes == 10
