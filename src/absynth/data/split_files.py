"""The files that hold the splits of a run: HDF5, written by the rule prepare_data and read by all others."""

import os
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from absynth import __version__
from absynth.data.format import PAPER, DataFormat
from absynth.data.pairs import check_pair, image_shape
from absynth.errors import InputError
from absynth.io.integrity import check_seal, sealed_hdf5
from absynth.io.opening import MADE, opening

Array = npt.NDArray[Any]

_CHUNK = 256  # images per chunk: a shard of test images reads few, a training reads all
_AXES = {"images": "sample,channel,row,column", "labels": "sample", "source_index": "sample"}
_UNITS = {"images": "intensity / 255", "labels": "class", "source_index": "position in the data set"}
_FLOAT_UNIT = "intensity in [0, 1]"
_LABELS = (np.uint8, np.uint16)
_REMEDY = f"{MADE} the rule prepare_data"


def write_split(
    path: str | os.PathLike[str],
    images: Array,
    labels: Array,
    dataset: str,
    split: str,
    source_index: npt.NDArray[np.int64] | None = None,
    n_classes: int = PAPER.n_classes,
) -> None:
    """Write images and labels (n,) as one HDF5 file, `images` as (n, C, H, W) uint8 or float32 in [0, 1].

    images: (n, H, W), which are grey, or (n, C, H, W), uint8 or float32
    source_index: the images' positions in the data set (n,), written unless they are in its order
    The same arguments give the same bytes. Raises `InputError` if images and labels do not belong together.
    """
    check_pair(images, labels, f"{dataset} {split}", DataFormat(image_shape(images), n_classes))
    images = images[:, None] if images.ndim == 3 else images
    arrays: dict[str, Array] = {
        "images": images if images.dtype == np.float32 else images.astype(np.uint8),
        "labels": labels.astype(_LABELS[n_classes > 256]),
    }
    if source_index is not None:
        arrays["source_index"] = source_index.astype(np.int64)
    with sealed_hdf5(path) as file:
        about = {"dataset": dataset, "split": split, "n_classes": n_classes, "absynth": __version__}
        file.attrs.update(about)
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
            unit = _FLOAT_UNIT if array.dtype == np.float32 else _UNITS[name]
            stored.attrs.update({"axes": _AXES[name], "unit": unit})


def read_split(
    path: str | os.PathLike[str], start: int | None = None, stop: int | None = None
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Read the samples start to stop - 1 (None: from the first, to the last) of a file of `write_split`.

    Returns images (n, C, H, W) float32 in [0, 1]; labels (n,) int64
    Raises  `InputError` if the file is missing, damaged, of another kind, or lacks these samples.
    """
    images, labels, _ = _read(path, start, stop)
    scaled = images if images.dtype == np.float32 else images.astype(np.float32) / np.float32(255)
    return scaled, labels.astype(np.int64)


def read_format(path: str | os.PathLike[str]) -> DataFormat:
    """What the images of a file of `write_split` are. Raises `InputError` as `read_split`."""
    return _read(path, 0, 0)[2]


def _read(
    path: str | os.PathLike[str], start: int | None, stop: int | None
) -> tuple[Array, Array, DataFormat]:
    """The samples as they are stored, and what they are."""
    try:
        with opening(path, "no such file; it is written by the rule prepare_data"):
            check_seal(path)
            with h5py.File(path, "r") as file:
                stored_images, stored_labels = _stored(file, "images", path), _stored(file, "labels", path)
                start, stop = _check_layout(path, stored_images, stored_labels, start, stop)
                images, labels = stored_images[start:stop], stored_labels[start:stop]
                # Before data sets could have others there were ten classes, and files do not say so.
                about = DataFormat(stored_images.shape[1:], int(file.attrs.get("n_classes", PAPER.n_classes)))
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        raise InputError(
            f"{path}: not a whole HDF5 file ({' '.join(str(error).split())}); {_REMEDY}"
        ) from error
    if labels.size and labels.max() >= about.n_classes:
        raise InputError(
            f"{path}: label {labels.max()} found, 0 to {about.n_classes - 1} are allowed; {_REMEDY}"
        )
    if images.dtype == np.float32 and not ((images >= 0) & (images <= 1)).all():
        raise InputError(f"{path}: has pixels outside [0, 1]; {_REMEDY}")
    return images, labels, about


def _stored(file: h5py.File, name: str, path: str | os.PathLike[str]) -> h5py.Dataset:
    stored = file.get(name)
    if not isinstance(stored, h5py.Dataset):
        raise InputError(f"{path}: no dataset {name!r}, found {sorted(file)}; {_REMEDY}")
    allowed = (np.uint8, np.float32) if name == "images" else _LABELS
    if stored.dtype not in allowed:
        words = " or ".join(kind.__name__ for kind in allowed)
        raise InputError(f"{path}: {name!r} has dtype {stored.dtype}, {words} is allowed; {_REMEDY}")
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
    if images.ndim != 4 or labels.shape != (n,):
        raise InputError(
            f"{path}: images {images.shape} and labels {labels.shape} found, "
            f"(n, channels, rows, columns) and (n,) are allowed; {_REMEDY}"
        )
    first, last = 0 if start is None else start, n if stop is None else stop
    if not 0 <= first <= last <= n:
        raise InputError(
            f"{path}: samples {first} to {last} requested, the file has 0 to {n}; "
            f"for test images write n_samples: {n} or less"
        )
    return first, last
