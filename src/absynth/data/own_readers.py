"""Read data sets of one's own (`absynth.data.own`): arrays of a file, images of a folder, or what a function returns.

What is read becomes images (n, C, H, W), uint8 or float32, and labels (n,) int64, whatever it was before.
"""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from absynth.data.own_headers import DAMAGED, FEW_CHANNELS, SUFFIXES, no_array
from absynth.data.sources import Dataset
from absynth.errors import InputError
from absynth.io.log import LOGGER
from absynth.io.modules import is_file, load_module
from absynth.io.opening import opening

Array = npt.NDArray[Any]
Splits = tuple[Array, Array, Array, Array]  # images and labels for training, then for the test
Part = tuple[Any, Any]  # images and labels as they are found

NO_IMAGES = (np.empty((0, 1, 1, 1), np.uint8), np.empty(0, np.int64))  # and their labels

_GREY_MODES = ("1", "L", "LA")  # of Pillow, 8 bits per channel
_MODES = (*_GREY_MODES, "P", "PA", "RGB", "RGBA", "CMYK")


def _pixels(image: Any, name: str) -> Array:
    """The pixels of one of Pillow's images, uint8: (rows, columns) if it is grey, (rows, columns, 3) if not."""
    if image.mode not in _MODES:
        raise InputError(
            f"{name}: has mode {image.mode}; 8 bits per channel are allowed ({', '.join(_MODES)})"
        )
    return np.asarray(image.convert("L" if image.mode in _GREY_MODES else "RGB"))


def _alike(images: Sequence[Array]) -> list[Array]:
    """What `_pixels` gives of several images: all grey, or all with three channels, the last axis."""
    if all(image.ndim == 2 for image in images):
        return list(images)
    return [image if image.ndim == 3 else np.stack([image] * 3, axis=2) for image in images]


def as_images(values: Any, name: str, channels: str | None = None) -> Array:
    """Images (n, C, H, W), uint8 or float32 within [0, 1] if the values are.

    values: (n, H, W), (n, C, H, W) or (n, H, W, C), uint8 or floating: arrays, tensors or a list of images, Pillow's
        too, which become RGB unless all are grey
    channels: "first" or "last"; None: on the side on which there are 1, 3 or 4
    Raises `InputError`, naming `name`, for anything else, and where that is on both sides or on neither.
    """
    if isinstance(values, list | tuple) and values and all(hasattr(image, "convert") for image in values):
        values = _alike([_pixels(image, f"{name} image {index}") for index, image in enumerate(values)])
        channels = "last"
    images = _array(values, name, "images", "images of one shape")
    if images.dtype != np.uint8 and not np.issubdtype(images.dtype, np.floating):
        raise InputError(f"{name}: images of type {images.dtype}; uint8, and floats in [0, 1], are allowed")
    if images.ndim not in (3, 4):
        raise InputError(
            f"{name}: images of shape {images.shape}; (n, rows, columns), (n, channels, rows, columns) and (n, rows, "
            "columns, channels) are allowed"
        )
    if images.ndim == 4 and _last(images.shape, name, channels):
        images = np.moveaxis(images, 3, 1)
    images = images[:, None] if images.ndim == 3 else images
    return np.ascontiguousarray(images, dtype=np.uint8 if images.dtype == np.uint8 else np.float32)


def _last(shape: tuple[int, ...], name: str, channels: str | None) -> bool:
    """Whether the last axis of images of this shape is that of the channels."""
    if channels:
        return channels == "last"
    first, last = (size in FEW_CHANNELS for size in (shape[1], shape[3]))
    if first == last:
        raise InputError(
            f"{name}: images of shape {shape} may have their channels first or last; write channels: first or "
            "channels: last in the data set's entry"
        )
    return last


def as_labels(values: Any, name: str) -> npt.NDArray[np.int64]:
    """Labels as (n,) int64. Raises `InputError`, naming `name`, for anything but whole numbers, one per image."""
    labels = _array(values, name, "labels", "integers 0, 1, …, one for each image,")
    if not np.issubdtype(labels.dtype, np.integer):
        raise InputError(f"{name}: labels of type {labels.dtype}; integers 0, 1, … are allowed")
    if labels.ndim != 1:
        raise InputError(f"{name}: labels of shape {labels.shape}; (n,) is allowed")
    return labels.astype(np.int64)


def _array(values: Any, name: str, what: str, allowed: str) -> Array:
    try:
        return np.asarray(values)
    except Exception as error:  # whatever an object raises that is asked for an array
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{name}: its {what} make no array ({reason}); {allowed} are allowed") from None


def _splits(dataset: Dataset, read: Callable[[str], Part], channels: str | None = None) -> Splits:
    """Both splits, of which `read` returns one by its name; `channels` first or last, if not as the entry says."""
    channels = channels or dataset.options.get("channels")
    found: list[Array] = []
    for split in ("train", "test"):
        if split == "train" and not dataset.has_train:
            found += NO_IMAGES
            continue
        name, (images, labels) = f"{dataset.name} {split}", read(split)
        found += [as_images(images, name, channels), as_labels(labels, name)]
    return found[0], found[1], found[2], found[3]


def read_npz(dataset: Dataset, *_: object) -> Splits:
    """Read the arrays of an .npz file that the entry names; never unpickles."""
    path = Path(dataset.options["npz"]).expanduser()
    try:
        with opening(path), path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            return _splits(dataset, lambda split: _named(file, dataset, split, path, file.keys()))
    except InputError:
        raise
    except (OSError, *DAMAGED):  # NumPy's own words advise to unpickle
        raise InputError(f"{path}: no .npz file of plain arrays") from None


def read_hdf5(dataset: Dataset, *_: object) -> Splits:
    """Read the datasets of an HDF5 file that the entry names."""
    path = Path(dataset.options["hdf5"]).expanduser()
    try:
        with opening(path), h5py.File(path, "r") as file:
            known: list[str] = []
            file.visit(known.append)
            return _splits(dataset, lambda split: _named(file, dataset, split, path, known))
    except InputError:
        raise
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        raise InputError(f"{path}: damaged or not HDF5 ({' '.join(str(error).split())[:200]})") from None


def _named(file: Any, dataset: Dataset, split: str, path: Path, known: Sequence[str]) -> Part:
    """The images and labels of a split under the keys of the entry."""
    parts = []
    for part in ("images", "labels"):
        key = dataset.options[split][part]
        if key not in file or not hasattr(file[key], "shape"):
            raise no_array(dataset, split, part, path, known)
        parts.append(file[key][()])
    return parts[0], parts[1]


def read_folder(dataset: Dataset, *_: object) -> Splits:
    """Read the images of a folder that has a folder for each class; classes are numbered in the order of their names.

    A class without test images keeps its empty folder, so that the others keep their numbers. Grey images stay grey,
    where all are; others become RGB. Raises `InputError` for images of several sizes, for classes without training
    images where there are any, and for classes of the test that these lack.
    """
    root = Path(dataset.options["folder"]).expanduser()
    splits = [split for split in ("train", "test") if split in dataset.options]
    folders = {split: root / dataset.options[split] for split in splits}
    names = {split: class_folders(folder) for split, folder in folders.items()}
    classes = names[splits[0]]
    if not classes:
        raise InputError(f"{folders[splits[0]]}: no folders; one for each class is needed")
    empty = [name for name in classes if not _pictures(folders[splits[0]] / name)]
    if len(empty) == len(classes) or (empty and splits[0] == "train"):
        raise InputError(f"{folders[splits[0]] / empty[0]}: holds no image, and its folder is a class")
    for split in splits:
        unknown = sorted(set(names[split]) - set(classes))
        if unknown:
            raise InputError(
                f"{folders[split]}: class {unknown[0]!r} is not among the training images' classes"
            )
    LOGGER.info(
        "%s: classes are %s", dataset.name, ", ".join(f"{i} {name}" for i, name in enumerate(classes))
    )
    return _splits(dataset, lambda split: _folder_part(folders[split], classes), "last")


def class_folders(folder: Path) -> list[str]:
    """The names of the folders in a folder, one for each class, in their order; hidden ones are none."""
    return sorted(path.name for path in folder.glob("*/") if not path.name.startswith("."))


def _pictures(folder: Path) -> list[Path]:
    """The images in a folder, in the order of their names."""
    return sorted(path for path in folder.glob("*") if path.suffix.lower() in SUFFIXES)


def _folder_part(folder: Path, classes: Sequence[str]) -> Part:
    from PIL import Image, UnidentifiedImageError

    images, labels = [], []
    sizes: dict[tuple[int, ...], Path] = {}
    for label, name in enumerate(classes):
        for path in _pictures(folder / name):
            try:
                with opening(path), Image.open(path) as image:
                    images.append(_pixels(image, str(path)))
            except (UnidentifiedImageError, OSError) as error:
                raise InputError(
                    f"{path}: no readable image ({' '.join(str(error).split())[:200]})"
                ) from None
            labels.append(label)
            sizes.setdefault(images[-1].shape[:2], path)
    if not images:
        raise InputError(f"{folder}: no images in its folders; {', '.join(sorted(SUFFIXES))} are read")
    if len(sizes) > 1:
        (one, first), (other, second), *_ = sizes.items()
        raise InputError(
            f"{second}: {other[0]}×{other[1]} pixels, but {first} has {one[0]}×{one[1]}; all must be of one size"
        )
    return _alike(images), labels


def read_load(dataset: Dataset, *_: object) -> Splits:
    """Call the function that the entry names.

    It returns test images and labels as a pair, or a mapping with the pairs `test` and, if the entry says `train:
    true`, `train`. Images may be whatever `as_images` takes.
    """
    shown = f"{dataset.name} ({dataset.options['load']})"
    returned = _called(dataset, shown)
    pairs = returned if isinstance(returned, Mapping) else {"test": returned}
    wanted = ["test", "train"] if dataset.has_train else ["test"]
    for split in wanted:
        if split not in pairs:
            raise InputError(
                f"{shown}: returns {_shown(returned)}; a mapping with {' and '.join(wanted)}, a pair of images and "
                "labels each, is needed (train: true asks for train)"
            )
        if not isinstance(pairs[split], tuple | list) or len(pairs[split]) != 2:
            raise InputError(
                f"{shown}: returns {_shown(pairs[split])} for {split}; a pair of images and labels is needed"
            )
    return _splits(dataset, lambda split: tuple(pairs[split]))


def _called(dataset: Dataset, shown: str) -> Any:
    """What the function returns; the working directory is put back."""
    module, _, name = dataset.options["load"].rpartition(":")
    before = os.getcwd()
    try:
        return getattr(_module(module), name)(**dataset.options.get("arguments", {}))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # whatever a user's own code raises, SystemExit included
        reason = " ".join([f"{type(error).__name__}:", *str(error).split()])[:300]
        raise InputError(f"{shown}: fails ({reason})") from error
    finally:
        os.chdir(before)


def _module(named: str) -> Any:
    """The module of a file, or by its name, which is looked for in the working directory as well."""
    if not is_file(named) and os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    return load_module(named)


def _shown(value: Any) -> str:
    """What a function returned, in few words."""
    if isinstance(value, Mapping):
        return f"a {type(value).__name__} with {', '.join(map(repr, list(value)[:5])) or 'nothing'}"
    size = f" of {len(value)}" if isinstance(value, tuple | list) else ""
    return f"a {type(value).__name__}{size}"


OWN_READERS: dict[str, Callable[..., Splits]] = {
    "npz": read_npz,
    "hdf5": read_hdf5,
    "folder": read_folder,
    "load": read_load,
}
