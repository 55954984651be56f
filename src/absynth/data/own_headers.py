"""What is known of a data set of one's own before its images are read: from the headers of files, and their number.

Imported when a workflow starts, so it does without numpy; what cannot be known so is left to who reads the data.
"""

import ast
import math
import os
import struct
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from absynth.data.sources import Dataset
from absynth.errors import InputError

FEW_CHANNELS = (1, 3, 4)  # that images are taken to have where the order of their axes is not stated
SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm"}
# What a damaged .npz file raises besides OSError, by zipfile and by NumPy, and one whose arrays are no plain ones.
DAMAGED = (
    *(ValueError, LookupError, TypeError, AttributeError, EOFError, SyntaxError, RuntimeError),
    *(struct.error, zipfile.BadZipFile, zlib.error),
)
_MAGIC = b"\x93NUMPY"


def known_images(dataset: Dataset) -> tuple[int | None, tuple[int, int, int] | None]:
    """How many test images there are, and their shape (C, H, W); None where it takes reading them to know.

    Raises InputError for a folder that holds no folder of images.
    """
    try:
        if dataset.reader == "npz":
            return _of_npz(dataset.options)
        if dataset.reader == "folder":
            return _in_folder(dataset), None
    except (OSError, *DAMAGED):
        pass
    return None, None


def _of_npz(options: Mapping[str, Any]) -> tuple[int | None, tuple[int, int, int] | None]:
    with (
        zipfile.ZipFile(os.path.expanduser(options["npz"])) as archive,
        archive.open(f"{options['test']['images']}.npy") as stored,
    ):
        n, *image = _array_shape(stored)
    if len(image) == 2:
        return n, _turned((1, image[0], image[1]), options)
    if len(image) != 3:
        return n, None
    first, last = (size in FEW_CHANNELS for size in (image[0], image[2]))
    stated = options.get("channels")
    if stated is None and first == last:
        return n, None
    if stated == "last" or (stated is None and last):
        image = [image[2], *image[:2]]
    return n, _turned((image[0], image[1], image[2]), options)


def _turned(shape: tuple[int, int, int], options: Mapping[str, Any]) -> tuple[int, int, int]:
    """The shape of an image once it is turned as the entry says."""
    return (shape[0], shape[2], shape[1]) if options.get("transposed") else shape


def npz_shapes(path: str | os.PathLike[str]) -> dict[str, tuple[int, ...]]:
    """The shapes of the arrays of an .npz file by their keys, without reading these.

    Raises OSError if it cannot be opened, and ValueError if it is damaged or holds no arrays.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            shapes = {}
            for name in archive.namelist():
                if name.endswith(".npy"):
                    with archive.open(name) as stored:
                        shapes[name.removesuffix(".npy")] = _shape(stored)
            return shapes
    except DAMAGED as error:
        raise ValueError(f"{path}: no arrays ({error})") from None


def no_array(dataset: Dataset, split: str, part: str, path: Path, known: Iterable[str]) -> InputError:
    """The refusal of the key that the entry gives for images or labels (`part`) of a split, of a file that lacks it.

    known: the keys that the file has
    """
    key = dataset.options[split][part]
    return InputError(
        f"config key datasets.{dataset.name}.{split}.{part}: {path} has no array {key!r}; it has "
        f"{', '.join(sorted(known)) or 'none'}"
    )


def _array_shape(stored: Any) -> tuple[int, ...]:
    """The shape of an array of images."""
    shape = _shape(stored)
    if not shape or math.prod(shape) < 0:
        raise ValueError("no images")
    return shape


def _shape(stored: Any) -> tuple[int, ...]:
    """The shape of an array in NumPy's own format, by its header."""
    stream: BinaryIO = stored
    if stream.read(6) != _MAGIC:
        raise ValueError("no array")
    major = stream.read(2)[0]
    size = struct.unpack("<H", stream.read(2)) if major == 1 else struct.unpack("<I", stream.read(4))
    return tuple(ast.literal_eval(stream.read(size[0]).decode("utf-8" if major > 2 else "latin-1"))["shape"])


def _in_folder(dataset: Dataset) -> int | None:
    """How many images there are in the folders of a folder, one for each class; None if there is no such folder."""
    folder = Path(dataset.options["folder"], dataset.options["test"]).expanduser()
    n = sum(path.suffix.lower() in SUFFIXES for path in folder.glob("[!.]*/*"))
    if n == 0 and folder.is_dir():
        raise InputError(
            f"config key datasets.{dataset.name}.test: found {folder}, which holds no folder of images; allowed is "
            f"one with a folder for each class, of {', '.join(sorted(SUFFIXES))}; arrays in files are described by "
            "npz, hdf5 or files (docs/how-to/add-a-data-set.md)"
        )
    return n or None
