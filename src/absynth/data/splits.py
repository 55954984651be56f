"""The splits of a run, train, calibration and test, from a data set."""

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from absynth.data.fetch import locate
from absynth.data.format import PAPER, DataFormat
from absynth.data.intensities import check_varied
from absynth.data.order import few
from absynth.data.own_readers import NO_IMAGES, OWN_READERS
from absynth.data.pairs import check_intensities, check_pair, image_shape
from absynth.data.published import as_described, read_images, read_labels
from absynth.data.sources import Dataset
from absynth.errors import InputError

Array = npt.NDArray[Any]
Bytes = npt.NDArray[np.uint8]
Splits = tuple[Array, Array, Array, Array]  # images and labels of one split, then of another


def load_dataset(
    dataset: Dataset, data_dir: str | os.PathLike[str] | None, cache: str | os.PathLike[str]
) -> Splits:
    """Load a data set from `data_dir`, ABSYNTH_DATA, the folder `cache` or its mirrors (see `locate`).

    Returns train_images, train_labels (n,), test_images, test_labels (m,): images (n, H, W), which are grey, or
            (n, C, H, W), uint8 or float32; none for training, (0, …), if the data set has no training images
    Raises  `InputError` if a file is missing or corrupt, images and labels do not belong together, images
            are all the same or hold only 0 and 1, or there are not as many as `dataset` states.
    """
    splits = as_described(READERS[dataset.reader](dataset, data_dir, cache), dataset)
    for split, images, labels, stated in (
        ("train", *splits[:2], dataset.n_train),
        ("test", *splits[2:], dataset.n_test),
    ):
        if split == "train" and not dataset.has_train:
            continue
        check_pair(images, labels, f"{dataset.name} {split}", dataset.format)
        check_varied(images, f"{dataset.name} {split}")
        check_intensities(images, f"{dataset.name} {split}")
        if stated is not None and len(images) != stated:
            raise InputError(
                f"{dataset.name} {split}: {len(images)} images found, {stated} stated (n_{split})"
            )
    format_of(dataset, splits)
    return splits


def format_of(dataset: Dataset, splits: Splits) -> DataFormat:
    """What the images of both splits are. There are as many classes as stated, else as the largest label says.

    Raises `InputError` if training and test images are not of one shape and type, or a label is too large.
    """
    train_images, train_labels, test_images, test_labels = splits
    shape, labels = image_shape(test_images), test_labels
    if dataset.has_train:
        labels = np.concatenate([train_labels, test_labels])
        trained = (image_shape(train_images), train_images.dtype)
        if trained != (shape, test_images.dtype):
            raise InputError(
                f"{dataset.name}: training images of shape {trained[0]} and type {trained[1]}, test images of shape "
                f"{shape} and type {test_images.dtype}; both must be the same"
            )
    largest, stated = int(labels.max()), dataset.format.n_classes if dataset.format else dataset.n_classes
    if stated is not None and largest >= stated:
        raise InputError(
            f"{dataset.name}: label {largest} found; n_classes: {stated} allows 0 to {stated - 1}"
        )
    if stated is None and largest >= max(_CLASSES, len(labels)):
        raise InputError(
            f"{dataset.name}: label {largest} found among {len(labels)} images; labels are 0, 1, …, K − 1, and "
            "where K is that large n_classes says so"
        )
    if stated is None:
        _check_from_zero(dataset.name, labels)
    return DataFormat(shape, stated or max(2, largest + 1))


def _check_from_zero(name: str, labels: Array) -> None:
    """Refuse labels that are 1 to K, each of them in use, where nothing says that there is a class 0."""
    used = np.unique(labels)
    if len(used) > 1 and np.array_equal(used, np.arange(1, len(used) + 1)):
        raise InputError(
            f"{name}: labels are 1 to {used[-1]}, and none is 0; classes are numbered from 0: write first_label: 1 "
            f"in the data set's entry, or, if class 0 has no image, state n_classes: {used[-1] + 1}"
        )


def _read_files(
    dataset: Dataset, data_dir: str | os.PathLike[str] | None, cache: str | os.PathLike[str]
) -> Splits:
    assert dataset.files is not None
    channels = dataset.options.get("channels")

    def read(split: str) -> tuple[Array, Array]:
        paths = {
            part: locate(files[f"{split}_{part}"], dataset, data_dir, cache) for part in ("images", "labels")
        }
        return read_images(paths["images"], channels), read_labels(paths["labels"])

    files = dataset.files.by_role()
    return (*(read("train") if dataset.has_train else NO_IMAGES), *read("test"))


def _read_digits(
    dataset: Dataset, data_dir: str | os.PathLike[str] | None, cache: str | os.PathLike[str]
) -> Splits:
    """Resize scikit-learn's bundled 8x8 digits to 28x28 and split them, stratified by class, with a fixed seed."""
    from sklearn.datasets import load_digits  # slow to import, and needed only here
    from sklearn.model_selection import train_test_split

    bunch = load_digits()
    labels = bunch.target.astype(np.uint8)
    # Both parts are shuffled: the first n test images are of mixed classes.
    train, test = train_test_split(
        np.arange(len(labels)), test_size=dataset.n_test, stratify=labels, random_state=0
    )
    images = resize_digits(bunch.images)
    return images[train], labels[train], images[test], labels[test]


_CLASSES = 1000  # no label from here on is believed without n_classes, where there are fewer images than that

READERS: dict[str, Callable[..., Splits]] = {"idx": _read_files, "digits": _read_digits, **OWN_READERS}


def resize_digits(images: npt.NDArray[np.float64]) -> Bytes:
    """Resize `images` (n, 8, 8), intensities 0 to 16, to (n, 28, 28) uint8, 0 to 255.

    Bilinear, corner pixels map to corner pixels; halves are rounded up.
    """
    from scipy.ndimage import zoom  # type: ignore[attr-defined]  # scipy defines it at run time

    _, height, width = PAPER.shape
    factors = (1, height / images.shape[1], width / images.shape[2])
    resized = zoom(images * (255 / 16), factors, order=1, mode="nearest")  # (n, 28, 28)
    # Halves are common (8/16 is 127.5) and computed with a rounding error, which must not affect the result.
    return np.floor(resized + (0.5 + 1e-6)).clip(0, 255).astype(np.uint8)


def split_calibration(
    images: Array, labels: Array, n_calibration: int, n_classes: int = PAPER.n_classes
) -> Splits:
    """Take the last `n_calibration` training images for calibration.

    Reads   images (n, …), labels (n,)
    Returns train_images (n - n_calibration, …), train_labels, calibration_images (n_calibration, …),
            calibration_labels
    Raises  `InputError` if `n_calibration` is not in 1..n - 1, or a class has or keeps no training image.
    """
    n_train = len(labels) - n_calibration
    if n_calibration < 1 or n_train < 1:
        raise InputError(f"n_calibration: {n_calibration}; 1 to {len(labels) - 1} are allowed")
    absent = np.setdiff1d(np.arange(n_classes), labels)
    if len(absent):
        raise InputError(
            f"no training image is of class {few(absent)}; labels are 0 to "
            f"{n_classes - 1}, each of them in use"
        )
    missing = np.setdiff1d(np.arange(n_classes), labels[:n_train])
    if len(missing):
        raise InputError(
            f"n_calibration: {n_calibration} leaves no training image of class {few(missing)}; "
            f"at least one of each of the {n_classes} classes is needed"
        )
    return images[:n_train], labels[:n_train], images[n_train:], labels[n_train:]
