"""The HDF5 files of attacks: what is in them, writing them whole, and refusing what is not one."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from absynth.atomic import replacing
from absynth.errors import InputError

FORMAT = 1
_IMAGE = (1, 28, 28)
_PIXELS = "intensity in [0, 1]"
_DISTANCE = {
    "l0": "changed pixels",
    "l2": "Euclidean norm of the change, pixels in [0, 1]",
    "linf": "largest change of a pixel in [0, 1]",
}


class Column:
    """One dataset: its type, the shape of a row, its axes and its unit."""

    def __init__(self, dtype: str, unit: str, row: tuple[int, ...] = (), axes: str = "sample"):
        self.dtype, self.unit, self.row, self.axes = dtype, unit, row, axes


SHARD = {
    "index": Column("int64", "position in the test split"),
    "label": Column("int64", "class"),
    "clean_prediction": Column("int64", "class"),
    "adversarial_prediction": Column("int64", "class"),
    "adversarial": Column("float32", _PIXELS, _IMAGE, "sample,channel,row,column"),
    "distance": Column("float64", "distance"),
    "queries": Column("int64", "images the model was asked for"),
    "gradients": Column("int64", "images the model was asked for with a gradient"),
}
MINIMAL = {
    "index": SHARD["index"],
    "label": SHARD["label"],
    "distance": SHARD["distance"],
    "attack": Column("str", "name of the attack that found it; empty if none did"),
    "adversarial": SHARD["adversarial"],
}


def write_record(
    path: str | Path, columns: Mapping[str, Any], attributes: Mapping[str, Any], layout: Mapping[str, Column]
) -> None:
    """Write columns of equal length as `layout` says, with file attributes; whole or not at all.

    attributes: among them norm, which gives the unit of `distance`
    """
    with replacing(path) as temporary, h5py.File(temporary, "w") as file:
        for key, value in {"format": FORMAT, **attributes}.items():
            file.attrs[key] = value
        for name, column in layout.items():
            if column.dtype == "str":
                data = np.asarray(columns[name], dtype=object)
                dataset = file.create_dataset(name, data=data, dtype=h5py.string_dtype(), track_times=False)
            else:
                data = np.asarray(columns[name]).astype(column.dtype)
                packed = {"compression": "gzip", "compression_opts": 1} if column.row else {}
                dataset = file.create_dataset(name, data=data, track_times=False, **packed)
            dataset.attrs["axes"] = column.axes
            dataset.attrs["unit"] = _DISTANCE[attributes["norm"]] if name == "distance" else column.unit


def read_record(
    path: str | Path, layout: Mapping[str, Column], expected: Mapping[str, Any] | None = None
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read the columns and attributes of a file written by `write_record`.

    expected: attributes the file must have, say {"run": "mnist"}
    Raises InputError with the path, what was found and the cure.
    """
    try:
        with h5py.File(path, "r") as file:
            attributes = dict(file.attrs)
            columns = {name: file[name][()] for name in layout if isinstance(file.get(name), h5py.Dataset)}
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        raise InputError(f"{path}: damaged or not HDF5 ({error}); delete it and rerun") from None
    problem = _problem(columns, attributes, layout, expected or {})
    if problem:
        raise InputError(f"{path}: {problem}; delete it and rerun")
    for name, column in layout.items():
        if column.dtype == "str":
            columns[name] = np.array([value.decode() for value in columns[name]], dtype=object)
    return columns, attributes


def _problem(columns: dict, attributes: dict, layout: Mapping[str, Column], expected: Mapping) -> str | None:
    """What is wrong with a file's content, or None."""
    if attributes.get("format") != FORMAT:
        return f"has format {attributes.get('format')}, expected {FORMAT}"
    for key, value in expected.items():
        if attributes.get(key) != value:
            return f"belongs to {key} {attributes.get(key)!r}, expected {value!r}"
    missing = [name for name in layout if name not in columns]
    if missing:
        return f"lacks the dataset {missing[0]!r}"
    if columns["index"].ndim != 1:
        return f"'index' has shape {columns['index'].shape}, expected (n,)"
    n = len(columns["index"])
    for name, column in layout.items():
        values = columns[name]
        if values.shape != (n, *column.row):
            return f"{name!r} has shape {values.shape}, expected {(n, *column.row)}"
        if values.dtype != np.dtype("object" if column.dtype == "str" else column.dtype):
            return f"{name!r} has dtype {values.dtype}, expected {column.dtype}"
    images = columns["adversarial"]
    if n and not (np.isfinite(images).all() and images.min() >= 0 and images.max() <= 1):
        return "'adversarial' has pixels that are not finite or outside [0, 1]"
    if np.isnan(columns["distance"]).any() or (columns["distance"] < 0).any():
        return "'distance' holds NaN or a negative value"
    return None
