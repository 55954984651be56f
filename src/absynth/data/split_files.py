"""The files that hold the splits of a run: HDF5, written by the rule prepare_data and read by all others."""

import os
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from absynth import __version__
from absynth.data.idx import IMAGE_SHAPE, N_CLASSES, check_pair
from absynth.errors import InputError
from absynth.io.integrity import check_seal, sealed_hdf5
from absynth.io.opening import MADE, opening

Bytes = npt.NDArray[np.uint8]

_CHUNK = 256  # images per chunk: a shard of test images reads few, a training reads all
_AXES = {"images": "sample,channel,row,column", "labels": "sample", "source_index": "sample"}
_UNITS = {"images": "intensity / 255", "labels": "class", "source_index": "position in the data set"}
_REMEDY = f"{MADE} the rule prepare_data"


def write_split(
    path: str | os.PathLike[str],
    images: Bytes,
    labels: Bytes,
    dataset: str,
    split: str,
    source_index: npt.NDArray[np.int64] | None = None,
) -> None:
    """Write `images` (n, 28, 28) uint8 and `labels` (n,) uint8 as one HDF5 file, `images` as (n, 1, 28, 28).

    source_index: the images' positions in the data set (n,), written unless they are in its order
    The same arguments give the same bytes. Raises `InputError` if images and labels do not belong together.
    """
    check_pair(images, labels, f"{dataset} {split}")
    arrays: dict[str, npt.NDArray[Any]] = {
        "images": images[:, None].astype(np.uint8),
        "labels": labels.astype(np.uint8),
    }
    if source_index is not None:
        arrays["source_index"] = source_index.astype(np.int64)
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
    try:
        with opening(path, "no such file; it is written by the rule prepare_data"):
            check_seal(path)
            with h5py.File(path, "r") as file:
                stored_images, stored_labels = _stored(file, "images", path), _stored(file, "labels", path)
                start, stop = _check_layout(path, stored_images, stored_labels, start, stop)
                images, labels = stored_images[start:stop], stored_labels[start:stop]
    except (OSError, RuntimeError, KeyError, ValueError) as error:
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
        raise InputError(
            f"{path}: samples {first} to {last} requested, the file has 0 to {n}; "
            f"for test images write n_samples: {n} or less"
        )
    return first, last
