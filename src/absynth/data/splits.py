"""The splits of a run, train, calibration and test, from a data set."""

import os
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from absynth.data.fetch import locate
from absynth.data.idx import IMAGE_SHAPE, N_CLASSES, check_intensities, check_pair, read_idx
from absynth.data.intensities import check_varied
from absynth.data.sources import ROLES, Dataset
from absynth.errors import InputError

Bytes = npt.NDArray[np.uint8]
Splits = tuple[Bytes, Bytes, Bytes, Bytes]  # images and labels of one split, then of another


def load_dataset(
    dataset: Dataset, data_dir: str | os.PathLike[str] | None, cache: str | os.PathLike[str]
) -> Splits:
    """Load a data set from `data_dir`, ABSYNTH_DATA, the folder `cache` or its mirrors (see `locate`).

    Returns train_images (n, 28, 28), train_labels (n,), test_images (m, 28, 28), test_labels (m,), all uint8
    Raises  `InputError` if a file is missing or corrupt, images and labels do not belong together, images
            are all the same or hold only 0 and 1, or there are not as many as `dataset` states.
    """
    splits = READERS[dataset.reader](dataset, data_dir, cache)
    for split, images, labels, stated in (
        ("train", *splits[:2], dataset.n_train),
        ("test", *splits[2:], dataset.n_test),
    ):
        check_pair(images, labels, f"{dataset.name} {split}")
        check_varied(images, f"{dataset.name} {split}")
        check_intensities(images, f"{dataset.name} {split}")
        if stated is not None and len(images) != stated:
            raise InputError(
                f"{dataset.name} {split}: {len(images)} images found, {stated} stated (n_{split})"
            )
    return splits


def _read_idx_files(
    dataset: Dataset, data_dir: str | os.PathLike[str] | None, cache: str | os.PathLike[str]
) -> Splits:
    train_images, train_labels, test_images, test_labels = (
        read_idx(locate(getattr(dataset.files, role), dataset, data_dir, cache)) for role in ROLES
    )
    return train_images, train_labels, test_images, test_labels


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


READERS: dict[str, Callable[..., Splits]] = {"idx": _read_idx_files, "digits": _read_digits}


def resize_digits(images: npt.NDArray[np.float64]) -> Bytes:
    """Resize `images` (n, 8, 8), intensities 0 to 16, to (n, 28, 28) uint8, 0 to 255.

    Bilinear, corner pixels map to corner pixels; halves are rounded up.
    """
    from scipy.ndimage import zoom  # type: ignore[attr-defined]  # scipy defines it at run time

    factors = (1, IMAGE_SHAPE[0] / images.shape[1], IMAGE_SHAPE[1] / images.shape[2])
    resized = zoom(images * (255 / 16), factors, order=1, mode="nearest")  # (n, 28, 28)
    # Halves are common (8/16 is 127.5) and computed with a rounding error, which must not affect the result.
    return np.floor(resized + (0.5 + 1e-6)).clip(0, 255).astype(np.uint8)


def split_calibration(images: Bytes, labels: Bytes, n_calibration: int) -> Splits:
    """Take the last `n_calibration` training images for calibration.

    Reads   images (n, 28, 28), labels (n,)
    Returns train_images (n - n_calibration, 28, 28), train_labels, calibration_images (n_calibration, 28, 28),
            calibration_labels
    Raises  `InputError` if `n_calibration` is not in 1..n - 1 or leaves a class without a training image.
    """
    n_train = len(labels) - n_calibration
    if n_calibration < 1 or n_train < 1:
        raise InputError(f"n_calibration: {n_calibration}; 1 to {len(labels) - 1} are allowed")
    missing = np.setdiff1d(np.arange(N_CLASSES), labels[:n_train])
    if len(missing):
        raise InputError(
            f"n_calibration: {n_calibration} leaves no training image of class {', '.join(map(str, missing))}; "
            f"at least one of each of the {N_CLASSES} classes is needed"
        )
    return images[:n_train], labels[:n_train], images[n_train:], labels[n_train:]
