"""What `--data` says, as the config's entry `dataset`."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from absynth.data.own_headers import npz_shapes
from absynth.data.sources import DATASETS
from absynth.errors import InputError
from absynth.io.opening import opening
from absynth.io.spelling import nearest

_SUFFIXES = {".npz": "npz", ".h5": "hdf5", ".hdf5": "hdf5"}
_TEST_FOLDERS = ("test", "val", "validation")  # of images, beside those for training
# How arrays of test images and labels are called, the likeliest first; compared in lower case.
_IMAGES = ("x_test", "test_images", "test_x", "test/images", "test/x", "images", "x", "data")
_LABELS = ("y_test", "test_labels", "test_y", "test/labels", "test/y", "labels", "y", "targets", "target")
_IMAGE_AXES = (3, 4)  # numbers of axes: (n, H, W), and with channels

Shapes = Mapping[str, Sequence[int]]  # of the arrays of a file, by their keys


def dataset_entry(
    data: str, keys: Sequence[str] | None, arguments: Mapping[str, Any]
) -> str | dict[str, Any]:
    """The value of the config key `dataset` for a registered name, a file, a folder or a function.

    keys: of images and labels in a file; None: by their names and shapes
    arguments: of a function
    Raises InputError for anything else, and for a file whose arrays cannot be told.
    """
    if data in DATASETS:
        entry: str | dict[str, Any] = data
    elif ":" in data and not Path(data).exists():
        entry = {"load": data, **({"arguments": dict(arguments)} if arguments else {})}
    elif Path(data).is_dir():
        entry = _folder(Path(data))
    elif Path(data).suffix.lower() in _SUFFIXES:
        entry = _arrays(Path(data), keys)
    else:
        idx = f"; {_BY_FILES}" if "idx" in Path(data).name else ""
        raise InputError(f"--data: found {data!r}{_meant(data)}; allowed are {_ALLOWED}{idx}")
    kind = "data" if isinstance(entry, str) else next(iter(entry))
    if keys and kind not in _SUFFIXES.values():
        raise InputError(f"--keys: names arrays of an .npz or HDF5 file, and --data is {data}; leave it out")
    if arguments and kind != "load":
        raise InputError(f"--data-args: are those of a function, and --data is {data}; leave them out")
    return entry


def chosen_keys(shapes: Shapes, name: str) -> tuple[str, str]:
    """The keys of the test images and labels of a file, by usual names, else as the only ones of their kind.

    Images have three or four axes, labels one, and there are as many of both.
    Raises InputError, with the keys there are, if that leaves several or none.
    """
    images = _named(shapes, _IMAGES, _IMAGE_AXES)
    for image in images:
        labels = [key for key in _named(shapes, _LABELS, (1,)) if shapes[key][0] == shapes[image][0]]
        if labels and (len(labels) == 1 or labels[0].lower() in _LABELS):
            if len(images) == 1 or image.lower() in _IMAGES:
                return image, labels[0]
            break
    found = ", ".join(f"{key} {tuple(shape)}" for key, shape in shapes.items()) or "no arrays"
    several = "" if _named(shapes, (), (1,)) else f", or, where these lie in files of their own, {_BY_FILES}"
    raise InputError(
        f"--data: {name} holds {found}; which are the test images and labels? say --keys IMAGES LABELS{several}"
    )


def _named(shapes: Shapes, names: Sequence[str], axes: Iterable[int]) -> list[str]:
    """The keys of arrays with so many axes: those with usual names in the order of these, then the others."""
    fitting = [key for key, shape in shapes.items() if len(shape) in axes]
    known = {key.lower(): key for key in fitting}
    usual = [known[name] for name in names if name in known]
    return [*usual, *(key for key in fitting if key not in usual)]


def _arrays(path: Path, keys: Sequence[str] | None) -> dict[str, Any]:
    if not path.is_file():
        raise InputError(f"--data: {path} is no file")
    shapes = _shapes(path)
    for key in keys or ():
        if key not in shapes:
            raise InputError(f"--keys: {path} has no array {key}; it has {', '.join(shapes) or 'none'}")
    images, labels = keys or chosen_keys(shapes, str(path))
    return {_SUFFIXES[path.suffix.lower()]: str(path), "test": {"images": images, "labels": labels}}


def _shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """The shapes of the arrays of a file."""
    import h5py

    try:
        with opening(path):
            if _SUFFIXES[path.suffix.lower()] == "npz":
                return npz_shapes(path)
            shapes: dict[str, tuple[int, ...]] = {}
            with h5py.File(path, "r") as file:
                file.visititems(
                    lambda key, part: (
                        shapes.update({key: part.shape}) if isinstance(part, h5py.Dataset) else None
                    )
                )
            return shapes
    except (OSError, RuntimeError, ValueError, EOFError):
        kind = "an .npz file of plain arrays" if path.suffix.lower() == ".npz" else "an HDF5 file"
        raise InputError(f"--data: {path} is not {kind}") from None


def _folder(path: Path) -> dict[str, Any]:
    """A folder of images: its subfolder of test images, if it has one by a usual name, else itself."""
    test = next((name for name in _TEST_FOLDERS if (path / name).is_dir()), ".")
    return {"folder": str(path), "test": test}


def _meant(data: str) -> str:
    meant = nearest(data, DATASETS)
    return f" (did you mean {meant}?)" if meant else ""


_BY_FILES = "describe them by files in a config (docs/how-to/add-a-data-set.md)"
_ALLOWED = f"{', '.join(DATASETS)}, .npz, .h5 and .hdf5 files, folders, and my_data.py:function"
