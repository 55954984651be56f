"""The splits of a run, train, calibration and test: from a data set to HDF5 files and back."""

import os
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt

from absynth import __version__
from absynth.data.fetch import locate
from absynth.data.idx import IMAGE_SHAPE, N_CLASSES, check_pair, read_idx
from absynth.data.sources import ROLES, Dataset
from absynth.errors import InputError
from absynth.io.integrity import check_seal, sealed_hdf5

Bytes = npt.NDArray[np.uint8]
Splits = tuple[Bytes, Bytes, Bytes, Bytes]  # images and labels of one split, then of another

_CHUNK = 256  # images per chunk: a shard of test images reads few, a training reads all
_AXES = {"images": "sample,channel,row,column", "labels": "sample"}
_UNITS = {"images": "intensity / 255", "labels": "class"}
_REMEDY = "delete it and rerun the rule prepare_data"


def load_dataset(
    dataset: Dataset, data_dir: str | os.PathLike[str] | None, cache: str | os.PathLike[str]
) -> Splits:
    """Load a data set from `data_dir`, ABSYNTH_DATA, the folder `cache` or its mirrors (see `locate`).

    Returns train_images (n, 28, 28), train_labels (n,), test_images (m, 28, 28), test_labels (m,), all uint8
    Raises  `InputError` if a file is missing or corrupt, images and labels do not belong together, or there
            are not as many as `dataset` states.
    """
    splits = READERS[dataset.reader](dataset, data_dir, cache)
    for split, images, labels, stated in (
        ("train", *splits[:2], dataset.n_train),
        ("test", *splits[2:], dataset.n_test),
    ):
        check_pair(images, labels, f"{dataset.name} {split}")
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


def write_split(path: str | os.PathLike[str], images: Bytes, labels: Bytes, dataset: str, split: str) -> None:
    """Write `images` (n, 28, 28) uint8 and `labels` (n,) uint8 as one HDF5 file, `images` as (n, 1, 28, 28).

    The same arguments give the same bytes. Raises `InputError` if images and labels do not belong together.
    """
    check_pair(images, labels, f"{dataset} {split}")
    arrays = {"images": images[:, None].astype(np.uint8), "labels": labels.astype(np.uint8)}
    with sealed_hdf5(path) as file:
        file.attrs.update({"dataset": dataset, "split": split, "absynth": __version__})
        for name, array in arrays.items():
            stored = file.create_dataset(
                name,
                data=array,
                chunks=(min(_CHUNK, len(array)), *array.shape[1:]),
                compression="gzip",
                compression_opts=1,
                fletcher32=True,
                track_times=False,
            )
            stored.attrs.update({"axes": _AXES[name], "unit": _UNITS[name]})


def read_split(
    path: str | os.PathLike[str], start: int | None = None, stop: int | None = None
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Read the samples start to stop - 1 (None: from the first, to the last) of a file of `write_split`.

    Returns images (n, 1, 28, 28) float32 in [0, 1]; labels (n,) int64
    Raises  `InputError` if the file is missing, damaged, of another kind, or lacks these samples.
    """
    if not Path(path).is_file():
        raise InputError(f"{path}: no such file; it is written by the rule prepare_data")
    try:
        check_seal(path)
        with h5py.File(path, "r") as file:
            stored_images, stored_labels = _stored(file, "images", path), _stored(file, "labels", path)
            start, stop = _check_layout(path, stored_images, stored_labels, start, stop)
            images, labels = stored_images[start:stop], stored_labels[start:stop]
    except OSError as error:
        raise InputError(
            f"{path}: not a whole HDF5 file ({' '.join(str(error).split())}); {_REMEDY}"
        ) from error
    if labels.size and labels.max() >= N_CLASSES:
        raise InputError(f"{path}: label {labels.max()} found, 0 to {N_CLASSES - 1} are allowed; {_REMEDY}")
    return images.astype(np.float32) / np.float32(255), labels.astype(np.int64)


def _stored(file: h5py.File, name: str, path: str | os.PathLike[str]) -> h5py.Dataset:
    stored = file.get(name)
    if not isinstance(stored, h5py.Dataset):
        raise InputError(f"{path}: no dataset {name!r}, found {sorted(file)}; {_REMEDY}")
    if stored.dtype != np.uint8:
        raise InputError(f"{path}: {name!r} has dtype {stored.dtype}, uint8 is allowed; {_REMEDY}")
    return stored


def _check_layout(
    path: str | os.PathLike[str],
    images: h5py.Dataset,
    labels: h5py.Dataset,
    start: int | None,
    stop: int | None,
) -> tuple[int, int]:
    """Check shapes and the requested range; return the range with its defaults filled in."""
    n = images.shape[0] if images.ndim else 0
    if images.shape != (n, 1, *IMAGE_SHAPE) or labels.shape != (n,):
        raise InputError(
            f"{path}: images {images.shape} and labels {labels.shape} found, "
            f"(n, 1, 28, 28) and (n,) are allowed; {_REMEDY}"
        )
    first, last = 0 if start is None else start, n if stop is None else stop
    if not 0 <= first <= last <= n:
        raise InputError(f"{path}: samples {first} to {last} requested, the file has 0 to {n}")
    return first, last
