"""Read published files of images or labels, IDX or .npz, and bring them into the order that the library has.

QMNIST's labels have eight columns, EMNIST's images have rows and columns exchanged and its letters are numbered from
1, and Kannada-MNIST and KMNIST have an .npz file for each array. The source of each layout is named in
docs/how-to/add-a-data-set.md.
"""

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from absynth.data.idx import decompress, parse_idx
from absynth.data.own_headers import DAMAGED
from absynth.data.own_readers import as_images, as_labels
from absynth.data.places import ZIP_MAGIC
from absynth.data.sources import Dataset
from absynth.errors import InputError
from absynth.io.opening import opening

Array = npt.NDArray[Any]
Splits = tuple[Array, Array, Array, Array]  # images and labels for training, then for the test

_COLUMNS = 8  # of QMNIST's labels, the class first
_CLASS_CODE, _CODE_OF_ZERO = 4, 30  # the column of NIST's code of the class, and its code of a 0


def parse(payload: bytes, name: str) -> Array:
    """The array of the decompressed bytes of a file: of IDX, or the only one of an .npz file.

    Raises `InputError`, naming `name`, as `parse_idx`, and for an .npz file of several arrays, of none or of objects.
    """
    return _parse_npz(payload, name) if payload.startswith(ZIP_MAGIC) else parse_idx(payload, name)


def _parse_npz(payload: bytes, name: str) -> Array:
    try:
        with np.load(io.BytesIO(payload), allow_pickle=False) as file:
            keys = file.files
            found = file[keys[0]] if len(keys) == 1 else None
    except (OSError, *DAMAGED):
        raise InputError(f"{name}: damaged, or no .npz file of plain arrays") from None
    if len(keys) != 1:
        listed = ", ".join(keys[:5]) + (", …" if len(keys) > 5 else "")
        raise InputError(
            f"{name}: holds {len(keys)} arrays ({listed or 'none'}), and each of `files` is to hold one; describe an "
            ".npz file of several arrays by npz and the keys of these"
        )
    if not isinstance(found, np.ndarray):
        raise InputError(f"{name}: holds {keys[0]}, which is no NumPy array; unpack it")
    return found


def _read(path: str | os.PathLike[str]) -> Array:
    with opening(path):
        raw = Path(path).read_bytes()
    return parse(decompress(raw, str(path)), str(path))


def read_images(path: str | os.PathLike[str], channels: str | None = None) -> Array:
    """The images of one file: uint8 (n, H, W) of IDX, or what `as_images` makes of the array of an .npz file.

    Raises `InputError` for a file that is neither, and for values that are no images or no intensities.
    """
    images = _read(path)
    if images.dtype == np.uint8 and images.ndim == 3:
        return images
    return as_images(images, str(path), channels)


def read_labels(path: str | os.PathLike[str]) -> Array:
    """The labels (n,) of one file, integers: the first column of QMNIST's eight, else all that it holds.

    Raises `InputError` for a file that is neither IDX nor .npz, and for any other shape or type.
    """
    labels = _read(path)
    if labels.ndim == 2 and labels.shape[1] == _COLUMNS and labels.dtype == np.int32:
        if (labels[:, _CLASS_CODE] != labels[:, 0] + _CODE_OF_ZERO).any():
            raise InputError(
                f"{path}: labels of shape {labels.shape}, as QMNIST's, but column {_CLASS_CODE} is not NIST's code "
                f"of the class in column 0, that is the class + {_CODE_OF_ZERO}; (n,) is allowed"
            )
        labels = labels[:, 0]
    return labels if labels.dtype == np.uint8 and labels.ndim == 1 else as_labels(labels, str(path))


def as_described(splits: Splits, dataset: Dataset) -> Splits:
    """Both splits as the entry of the data set says: images turned (`transposed`), classes from 0 (`first_label`).

    Raises `InputError` for a label below `first_label`.
    """
    train_images, train_labels, test_images, test_labels = splits
    if dataset.options.get("transposed"):
        train_images, test_images = (
            np.ascontiguousarray(images.swapaxes(-1, -2)) for images in (train_images, test_images)
        )
    first = dataset.options.get("first_label", 0)
    if first:
        train_labels, test_labels = (_from(first, labels, dataset) for labels in (train_labels, test_labels))
    return train_images, train_labels, test_images, test_labels


def _from(first: int, labels: Array, dataset: Dataset) -> Array:
    """Labels of which `first` is that of class 0."""
    if labels.size and labels.min() < first:
        raise InputError(
            f"{dataset.name}: label {labels.min()} found; first_label: {first} allows {first} and above"
        )
    return labels.astype(np.int64) - first
