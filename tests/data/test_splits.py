"""Splits: the data sets as arrays, the calibration split, and the HDF5 files that the rest of a run reads."""

import gzip
import logging
import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripts.data import prepare_data

from absynth import __version__
from absynth.data import split_files
from absynth.data.files import ROLES
from absynth.data.sources import DATASETS, dataset_from_config, find_dataset
from absynth.data.split_files import read_split, write_split
from absynth.data.splits import load_dataset, resize_digits, split_calibration
from absynth.errors import InputError

RNG_SEED = 1


def random_pair(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Random images, and labels 0, 1, …, 9, 0, …"""
    images = np.random.default_rng(RNG_SEED).integers(0, 256, (n, 28, 28), dtype=np.uint8)
    return images, (np.arange(n) % 10).astype(np.uint8)


# Data sets


def test_digits_have_the_stated_counts_and_mixed_classes(tmp_path):
    train_images, train_labels, test_images, test_labels = load_dataset(DATASETS["digits"], None, tmp_path)
    assert train_images.shape == (1437, 28, 28)
    assert test_images.shape == (360, 28, 28)
    assert {array.dtype for array in (train_images, train_labels, test_images, test_labels)} == {
        np.dtype("uint8")
    }
    assert (train_images.min(), train_images.max()) == (0, 255)
    # scikit-learn's 1797 digits hold 174 to 183 of a class, a fifth of which is 35 to 37.
    assert set(np.bincount(test_labels)) <= {35, 36, 37}
    assert len(set(test_labels[:50])) == 10
    assert len(set(train_labels[-50:])) == 10


def test_digits_are_each_used_once_and_split_alike_every_time(tmp_path):
    from sklearn.datasets import load_digits

    first, second = (load_dataset(DATASETS["digits"], None, tmp_path) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)
    bunch = load_digits()
    expected = sorted(zip(map(bytes, resize_digits(bunch.images)), bunch.target.tolist(), strict=True))
    found = [*zip(map(bytes, first[0]), first[1].tolist(), strict=True)]
    found += zip(map(bytes, first[2]), first[3].tolist(), strict=True)
    assert sorted(found) == expected


def test_resizing_is_bilinear():
    rows, columns = np.meshgrid(np.arange(8.0), np.arange(8.0), indexing="ij")
    plane = rows + columns  # 0 in one corner, 14 in the other; bilinear interpolation keeps a plane
    steps = np.arange(28)[:, None] + np.arange(28)[None, :]  # each 7/27 of a coarse pixel
    expected = (2 * 7 * 255 * steps + 27 * 16) // (2 * 27 * 16)  # exact, halves up
    np.testing.assert_array_equal(resize_digits(plane[None]), expected[None])


@pytest.mark.parametrize(("intensity", "expected"), [(0, 0), (16, 255), (8, 128)])
def test_constant_digit_stays_constant(intensity, expected):
    assert set(resize_digits(np.full((1, 8, 8), float(intensity))).ravel()) == {expected}


def write_idx(path: Path, array: np.ndarray) -> None:
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    path.write_bytes(gzip.compress(bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes()))


def describe(folder: Path, n_train: int = 40, n_test: int = 20) -> dict:
    """Write a data set of random IDX files into `folder` and return its config entry."""
    arrays = dict(zip(ROLES, (*random_pair(n_train), *random_pair(n_test)), strict=True))
    for role, array in arrays.items():
        write_idx(folder / f"{role}.gz", array)
    return {"files": {role: {"name": f"{role}.gz"} for role in ROLES}}


def test_described_data_set_is_loaded(tmp_path):
    dataset = find_dataset("mine", describe(tmp_path) | {"n_test": 20})
    for found, expected in zip(
        load_dataset(dataset, tmp_path, tmp_path / "cache"), (*random_pair(40), *random_pair(20)), strict=True
    ):
        np.testing.assert_array_equal(found, expected)


def test_wrong_stated_count_is_refused(tmp_path):
    dataset = find_dataset("mine", describe(tmp_path) | {"n_test": 21})
    with pytest.raises(InputError, match=r"mine test: 20 images found, 21 stated \(n_test\)"):
        load_dataset(dataset, tmp_path, tmp_path)


def test_images_without_their_labels_are_refused(tmp_path):
    dataset = find_dataset("mine", describe(tmp_path))
    write_idx(tmp_path / "test_labels.gz", np.zeros(19, np.uint8))
    with pytest.raises(InputError, match="mine test: 20 images but 19 labels"):
        load_dataset(dataset, tmp_path, tmp_path)


@pytest.mark.skipif(
    "ABSYNTH_DATA" not in os.environ, reason="ABSYNTH_DATA names no folder with the MNIST files"
)
def test_mnist(tmp_path):
    train_images, train_labels, test_images, test_labels = load_dataset(DATASETS["mnist"], None, tmp_path)
    assert train_images.shape == (60_000, 28, 28)
    assert train_labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert test_images.shape == (10_000, 28, 28)
    assert test_labels[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    assert np.bincount(test_labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert (train_images.mean() / 255).round(4) == 0.1307  # the mean that MNIST is usually normalised with
    assert not list(tmp_path.iterdir())  # nothing was downloaded


# Calibration


@given(st.integers(11, 60), st.data())
def test_calibration_is_the_end_of_training(n, data):
    images, labels = random_pair(n)
    n_calibration = data.draw(st.integers(1, n - 10))
    parts = split_calibration(images, labels, n_calibration)
    assert len(parts[3]) == n_calibration
    np.testing.assert_array_equal(np.concatenate([parts[0], parts[2]]), images)
    np.testing.assert_array_equal(np.concatenate([parts[1], parts[3]]), labels)
    np.testing.assert_array_equal(parts[2], images[n - n_calibration :])


def test_labels_that_begin_at_one_are_named():
    images, labels = random_pair(40)
    with pytest.raises(
        InputError, match=r"no training image is of class 0; labels are 0 to 9, each of them in use"
    ):
        split_calibration(images, np.maximum(labels, 1), 10)


@pytest.mark.parametrize("n_calibration", [-1, 0, 20, 21])
def test_calibration_outside_the_set_is_refused(n_calibration):
    with pytest.raises(InputError, match=f"n_calibration: {n_calibration}; 1 to 19 are allowed"):
        split_calibration(*random_pair(20), n_calibration)


def test_calibration_must_leave_every_class():
    with pytest.raises(InputError, match="n_calibration: 12 leaves no training image of class 8, 9;"):
        split_calibration(*random_pair(20), 12)


# Files


@pytest.fixture
def split_file(tmp_path) -> Path:
    write_split(tmp_path / "test.h5", *random_pair(30), "toy", "test")
    return tmp_path / "test.h5"


def test_file_says_what_it_holds(split_file):
    images, labels = random_pair(30)
    with h5py.File(split_file) as file:
        assert dict(file.attrs) == {
            "dataset": "toy",
            "split": "test",
            "n_classes": 10,
            "absynth": __version__,
        }
        assert dict(file["images"].attrs) == {"axes": "sample,channel,row,column", "unit": "intensity / 255"}
        assert dict(file["labels"].attrs) == {"axes": "sample", "unit": "class"}
        assert file["images"].dtype == file["labels"].dtype == np.uint8
        np.testing.assert_array_equal(file["images"][:], images[:, None])
        np.testing.assert_array_equal(file["labels"][:], labels)


def test_file_is_read_back(split_file):
    images, labels = read_split(split_file)
    expected_images, expected_labels = random_pair(30)
    assert (images.dtype, labels.dtype) == (np.float32, np.int64)
    np.testing.assert_array_equal(images, expected_images[:, None].astype(np.float32) / np.float32(255))
    np.testing.assert_array_equal(labels, expected_labels)
    assert (images.min(), images.max()) == (0, 1)


@pytest.mark.parametrize(("start", "stop"), [(0, 30), (3, 17), (29, None), (None, 4), (5, 5)])
def test_range_is_read(split_file, start, stop):
    images, labels = read_split(split_file, start, stop)
    every_image, every_label = read_split(split_file)
    np.testing.assert_array_equal(images, every_image[start:stop])
    np.testing.assert_array_equal(labels, every_label[start:stop])


@pytest.mark.parametrize(("start", "stop"), [(0, 31), (-1, 5), (31, None), (6, 5)])
def test_range_outside_the_file_is_refused(split_file, start, stop):
    with pytest.raises(
        InputError,
        match=r"test\.h5: samples .* requested, the file has 0 to 30; for test .* n_samples: 30 or less",
    ):
        read_split(split_file, start, stop)


def test_same_data_gives_the_same_bytes(split_file, tmp_path):
    write_split(tmp_path / "again.h5", *random_pair(30), "toy", "test")
    assert (tmp_path / "again.h5").read_bytes() == split_file.read_bytes()
    with h5py.File(split_file) as file:  # times have a resolution of a second: equal bytes could be luck
        assert [h5py.h5g.get_objinfo(file.id, name).mtime for name in (b"images", b"labels")] == [0, 0]


def test_written_pair_must_match(tmp_path):
    images, labels = random_pair(30)
    with pytest.raises(InputError, match="toy test: 29 images but 30 labels"):
        write_split(tmp_path / "test.h5", images[1:], labels, "toy", "test")
    assert not list(tmp_path.iterdir())


def test_interrupted_writing_leaves_no_file(tmp_path, monkeypatch):
    monkeypatch.setattr(split_files, "_UNITS", {"images": "intensity / 255"})  # fails at the second dataset
    with pytest.raises(KeyError):
        write_split(tmp_path / "test.h5", *random_pair(30), "toy", "test")
    assert not list(tmp_path.iterdir())


def test_missing_file_names_the_rule(tmp_path):
    with pytest.raises(InputError, match=r"test\.h5: no such file; it is written by the rule prepare_data"):
        read_split(tmp_path / "test.h5")


@pytest.mark.parametrize("kept", [0, 100, 0.5, 0.99])
def test_truncated_file_is_refused(split_file, kept):
    whole = split_file.read_bytes()
    split_file.write_bytes(whole[: int(kept * len(whole)) if kept < 1 else kept])
    with pytest.raises(InputError, match=r"test\.h5: not a whole HDF5 file .*; delete it and rerun"):
        read_split(split_file)


def test_damaged_values_are_refused(split_file):
    content = bytearray(split_file.read_bytes())
    with h5py.File(split_file) as file:
        stored = file["images"].id.get_chunk_info(0)
    content[stored.byte_offset + stored.size // 2] ^= 0xFF
    split_file.write_bytes(content)
    with pytest.raises(InputError, match="not a whole HDF5 file"):
        read_split(split_file)


def test_any_flipped_bit_is_refused_or_harmless(split_file):
    whole, rng = split_file.read_bytes(), np.random.default_rng(1)
    read = read_split(split_file)
    messages = []
    for place in rng.permutation(len(whole))[:150].tolist():
        content = bytearray(whole)
        content[place] ^= 1 << int(rng.integers(8))
        split_file.write_bytes(content)
        try:
            found = read_split(split_file)
        except InputError as error:
            messages.append(str(error))
            continue
        assert place < 512  # the user block, most of which nobody reads
        np.testing.assert_equal(found, read)
    assert len(messages) > 130
    assert all("; delete it and rerun the rule prepare_data" in message for message in messages)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"labels": np.zeros(3, np.uint8)}, r"no dataset 'images', found \['labels'\]"),
        ({"images": np.zeros((3, 1, 28, 28), np.uint8)}, "no dataset 'labels'"),
        ({"images": np.zeros((3, 1, 28, 28))}, "'images' has dtype float64, uint8 or float32 is allowed"),
        ({"images": np.zeros((3, 28, 28), np.uint8)}, r"images \(3, 28, 28\) and labels \(3,\) found"),
        ({"images": np.uint8(1)}, r"images \(\) and labels \(3,\) found"),
        (
            {"labels": np.zeros(4, np.uint8)},
            r"images \(3, 1, 28, 28\) and labels \(4,\) found, \(n, channels, rows, columns\) and",
        ),
        ({"labels": np.array([0, 10, 3], np.uint8)}, "label 10 found, 0 to 9 are allowed"),
    ],
)
def test_foreign_hdf5_is_refused(tmp_path, arrays, message):
    whole = {"images": np.zeros((3, 1, 28, 28), np.uint8), "labels": np.zeros(3, np.uint8)}
    written = arrays if message.startswith("no dataset") else whole | arrays
    with h5py.File(tmp_path / "foreign.h5", "w") as file:
        for name, array in written.items():
            file[name] = array
    with pytest.raises(InputError, match=rf"foreign\.h5: {message}.*; delete it"):
        read_split(tmp_path / "foreign.h5")


# The rule


def test_prepare_data_writes_the_three_splits(tmp_path):
    paths = {split: tmp_path / "run" / f"{split}.h5" for split in ("train", "calibration", "test")}
    prepare_data.main(
        **paths,
        dataset="mine",
        description=describe(tmp_path),
        data_dir=str(tmp_path),
        cache=str(tmp_path / "cache"),
        n_calibration=7,
    )
    images, labels = random_pair(40)
    for split, first, last in (("train", 0, 33), ("calibration", 33, 40)):
        found_images, found_labels = read_split(paths[split])
        np.testing.assert_array_equal(np.rint(found_images * 255), images[first:last, None])
        np.testing.assert_array_equal(found_labels, labels[first:last])
    assert len(read_split(paths["test"])[1]) == 20
    with h5py.File(paths["calibration"]) as file:
        assert (file.attrs["dataset"], file.attrs["split"]) == ("mine", "calibration")


def sorted_set(folder: Path) -> dict:
    """A data set whose images are sorted by class, 20 of each in training and 10 in test; the description of it."""
    description = describe(folder)
    for role, of_each in (("train", 20), ("test", 10)):
        labels = np.repeat(np.arange(10, dtype=np.uint8), of_each)
        images = np.full((len(labels), 28, 28), 200, np.uint8)
        images[:, 0, 0] = np.arange(len(labels))
        write_idx(folder / description["files"][f"{role}_images"]["name"], images)
        write_idx(folder / description["files"][f"{role}_labels"]["name"], labels)
    return description | {"n_test": 100}


@pytest.fixture
def prepared(tmp_path, caplog, monkeypatch):
    """Prepare the sorted data set; the labels of each split, and what was said."""
    monkeypatch.setattr(logging.getLogger("absynth"), "propagate", True)

    def prepared(n_samples=8, **options):
        paths = {split: tmp_path / f"{split}.h5" for split in ("train", "calibration", "test")}
        caplog.clear()
        prepare_data.main(
            **paths, dataset="mine", description=sorted_set(tmp_path), data_dir=str(tmp_path),
            cache=str(tmp_path / "cache"), n_calibration=40, n_samples=n_samples, **options,
        )  # fmt: skip
        said = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
        said = [message for message in said if message.startswith("mine ")]
        return paths, {split: read_split(path)[1] for split, path in paths.items()}, said

    return prepared


def test_images_sorted_by_class_are_drawn_at_random_with_the_seed(prepared):
    paths, labels, said = prepared(n_samples=60, seed=1)
    assert len(set(labels["test"][:60])) == len(set(labels["calibration"])) == 10
    assert said == [
        f"mine {part}: the order of the labels is far from random; images are drawn at random with seed 1"
        for part in ("train", "test")
    ]
    positions = []
    for split, images_in_all in (("train", 200), ("calibration", 200), ("test", 100)):
        with h5py.File(paths[split]) as file:
            index = file["source_index"][:]
            np.testing.assert_array_equal(file["images"][:, 0, 0, 0], index)
            np.testing.assert_array_equal(file["labels"][:], index * 10 // images_in_all)
            positions.append(index)
    assert sorted(np.concatenate(positions[:2])) == list(range(200))
    again = prepared(n_samples=60, seed=1)[1]
    np.testing.assert_array_equal(again["test"], labels["test"])
    assert (prepared(n_samples=60, seed=2)[1]["test"] != labels["test"]).any()


def test_images_sorted_by_class_are_kept_so_where_that_is_asked_for(prepared):
    with pytest.raises(InputError, match="leaves no training image of class 8, 9"):
        prepared(image_order="file")


def test_a_run_whose_images_lack_classes_says_so(prepared):
    _, labels, said = prepared(n_samples=3, image_order="random", seed=0)
    lacking = sorted(set(range(10)) - set(labels["test"][:3]))
    assert said[-1] == (
        f"mine test: the 3 images attacked hold none of classes {', '.join(map(str, lacking))}"
    )


def test_more_images_than_there_are_are_refused_with_both_numbers(prepared, tmp_path):
    prepared(n_samples=100)
    for path in tmp_path.glob("*.h5"):
        path.unlink()
    with pytest.raises(
        InputError, match=r"^config key n_samples: found 101, allowed are the 100 test images of mine$"
    ):
        prepared(n_samples=101)
    assert not list(tmp_path.glob("*.h5"))


def test_a_class_that_the_test_part_lacks_is_named(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("absynth"), "propagate", True)
    description = describe(tmp_path)
    labels = np.arange(20, dtype=np.uint8) % 9
    write_idx(tmp_path / description["files"]["test_labels"]["name"], labels)
    paths = {split: tmp_path / f"{split}.h5" for split in ("train", "calibration", "test")}
    prepare_data.main(
        **paths, dataset="mine", description=description, data_dir=str(tmp_path),
        cache=str(tmp_path / "cache"), n_calibration=7, n_samples=20,
    )  # fmt: skip
    assert "mine test: the 20 images attacked hold none of class 9" in caplog.messages


@pytest.mark.parametrize(
    ("scale", "message"),
    [
        (0, "all 20 images are black; multiply pixels of .* by 255 and round them before they become uint8"),
        (1, "images hold only 0 and 1, and as uint8 black is 0 and white 255"),
    ],
)
def test_bytes_of_zero_and_one_are_no_images(tmp_path, scale, message):
    """A float image in [0, 1] that was cast to uint8, as it happens."""
    description = describe(tmp_path)
    images = (np.random.default_rng(0).random((20, 28, 28)) > 0.5).astype(np.uint8) * scale
    write_idx(tmp_path / description["files"]["test_images"]["name"], images)
    with pytest.raises(InputError, match=f"^mine test: {message}"):
        load_dataset(dataset_from_config("mine", description), tmp_path, tmp_path / "cache")


def test_prepare_data_does_without_torch():
    code = "import sys, scripts.data.prepare_data; print('torch' in sys.modules)"
    root = Path(prepare_data.__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
