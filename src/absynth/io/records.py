"""The HDF5 files of a run: their layouts, writing them atomically, and reading them with checks."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from absynth.errors import InputError
from absynth.io.integrity import check_seal, sealed_hdf5
from absynth.io.opening import MADE, opening
from absynth.norms import NORMS

Arrays = dict[str, npt.NDArray[Any]]  # by the name of the dataset
FORMAT = 1
_IMAGE = (None, None, None)  # channels, rows and columns, the same in all datasets of a file
_PIXELS = "intensity in [0, 1]"


class Column:
    """One dataset: its type, unit, the shape of one row (None where any length is allowed), and its axes.

    optional: whether files may lack it
    """

    def __init__(
        self,
        dtype: str,
        unit: str,
        row: tuple[int | None, ...] = (),
        axes: str = "sample",
        *,
        optional: bool = False,
    ):
        self.dtype, self.unit, self.row, self.axes, self.optional = dtype, unit, row, axes, optional

    def holds(self, shape: tuple[int, ...]) -> bool:
        """Whether a row may have this shape."""
        return len(shape) == len(self.row) and all(
            size in (None, found) for size, found in zip(self.row, shape, strict=True)
        )


SHARD = {
    "index": Column("int64", "position in the test split"),
    "label": Column("int64", "class"),
    "clean_prediction": Column("int64", "class"),
    "adversarial_prediction": Column("int64", "class"),
    "adversarial": Column("float32", _PIXELS, _IMAGE, "sample,channel,row,column"),
    "distance": Column("float64", "distance"),
    "queries": Column("int64", "images evaluated by the model"),
    "gradients": Column("int64", "images evaluated by the model with a gradient"),
    "nonfinite": Column(
        "int64",
        "images that the model answered with logits that are not finite; only with `nonfinite: true`",
        optional=True,
    ),
    "stopped": Column(
        "int64",
        "0: attacked; 1: left out, since the last round of the relay gained too little; 2: left out by the relay, "
        "since a proved lower bound shows its distance to be tight; with `stop_when_tight`, 3: left out, since the "
        "best that the attack starts from is near a proved bound, 4: done with once the attack's own best was; only "
        "in a relay and with `stop_when_tight`",
        optional=True,
    ),
}
# Codes of `stopped`: with `stop_when_tight` an image is done with near a proved bound, for what the attack starts
# from, or for what it found itself.
TIGHT_AT_START, TIGHT_BY_ITSELF = 3, 4


def near_bound(columns: Mapping[str, npt.NDArray[Any]], *, at_start: bool = False) -> npt.NDArray[np.bool_]:
    """Which images (n,) of a shard an attack left out, or was done with, near a proved bound.

    columns: distance and, if there is one, stopped of `SHARD`; at_start: those left out alone
    """
    codes = columns.get("stopped", np.zeros(len(columns["distance"])))
    return np.isin(codes, [TIGHT_AT_START] if at_start else [TIGHT_AT_START, TIGHT_BY_ITSELF])


MINIMAL = {
    "index": SHARD["index"],
    "label": SHARD["label"],
    "distance": SHARD["distance"],
    "attack": Column("str", "name of the attack that found it; empty if none did"),
    "adversarial": SHARD["adversarial"],
    "adversarial_prediction": SHARD["adversarial_prediction"],
}
DISTAL = {
    "index": Column("int64", "number of the ascent"),
    "label": Column("int64", "class whose confidence is raised"),
    "seed": Column("int64", "seed of the noise that the ascent starts from"),
    "image": Column("float32", _PIXELS, _IMAGE, "sample,channel,row,column"),
    "reached": Column("int64", "1 where the confidence by the reference is high enough"),
    "steps": Column("int64", "steps taken until then, or in all"),
    "final_confidence": Column("float64", "p(label|image) by the reference"),
    "confidence": Column(
        "float64", "p(label|image) during the ascent; NaN once that has ended", (None,), "sample,step"
    ),
    "moved": Column("float64", "Euclidean distance from the noise, pixels in [0, 1]"),
    "nearest": Column("float64", "Euclidean distance to the nearest training image, pixels in [0, 1]"),
}
SAMPLES = {
    "index": Column("int64", "number of the sample"),
    "label": Column("int64", "class"),
    "latent": Column("float32", "standard deviations of the prior", (None,), "sample,latent"),
    "image": Column("float32", _PIXELS, _IMAGE, "sample,channel,row,column"),
}
_SIDES = "sample,image (clean; adversarial),class (label; rival)"
RECONSTRUCTIONS = {
    "index": SHARD["index"],
    "label": SHARD["label"],
    "rival": Column("int64", "class predicted for the adversarial"),
    "clean": SHARD["adversarial"],
    "adversarial": SHARD["adversarial"],
    "reconstruction": Column("float32", _PIXELS, (2, 2, *_IMAGE), f"{_SIDES},channel,row,column"),
    "energy": Column("float64", "γ_c E*_c, squared intensity", (2, 2), _SIDES),
    "drawn": Column("int64", "1 for those that the figure shows, one per class", optional=True),
}


def write_record(
    path: str | Path, columns: Mapping[str, Any], attributes: Mapping[str, Any], layout: Mapping[str, Column]
) -> None:
    """Write columns of equal length in the order of `layout`, and file attributes, atomically.

    attributes: norm among them if the layout has `distance`, whose unit it determines
    """
    with sealed_hdf5(path) as file:
        for key, value in {"format": FORMAT, **attributes}.items():
            file.attrs[key] = value
        for name, column in layout.items():
            if column.optional and name not in columns:
                continue
            if column.dtype == "str":
                data = np.asarray(columns[name], dtype=object)
                dataset = file.create_dataset(name, data=data, dtype=h5py.string_dtype(), track_times=False)
            else:
                data = np.asarray(columns[name]).astype(column.dtype)
                packed = dict(compression="gzip", compression_opts=1, fletcher32=True) if column.row else {}
                dataset = file.create_dataset(name, data=data, track_times=False, **packed)
            dataset.attrs["axes"] = column.axes
            dataset.attrs["unit"] = NORMS[attributes["norm"]].unit if name == "distance" else column.unit


def read_record(
    path: str | Path, layout: Mapping[str, Column], expected: Mapping[str, Any] | None = None
) -> tuple[Arrays, dict[str, Any]]:
    """Read the columns and attributes of a file written by `write_record`.

    expected: attributes the file must have, say {"run": "mnist"}
    Returns optional columns only where the file has them
    Raises InputError with the path, what was found and a remedy; a flipped bit is noticed. A file that cannot be
    opened is a NotOpenedError.
    """
    try:
        with opening(path):
            check_seal(path)
            with h5py.File(path, "r") as file:
                attributes = dict(file.attrs)
                found = {name: file.get(name) for name in layout}
                columns = {name: part[()] for name, part in found.items() if isinstance(part, h5py.Dataset)}
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: damaged or not HDF5 ({reason}); {MADE}") from None
    problem = _problem(columns, attributes, layout, expected or {})
    if problem:
        raise InputError(f"{path}: {problem}; {MADE}")
    for name, column in layout.items():
        if column.dtype == "str":
            columns[name] = np.array([value.decode() for value in columns[name]], dtype=object)
    return columns, attributes


def read_by_model(
    paths: Iterable[str | Path], layout: Mapping[str, Column], expected: Mapping[str, Any]
) -> tuple[dict[str, Arrays], dict[str, dict[str, Any]]]:
    """Read files of one layout, one per model: their columns and their attributes, by model."""
    columns, attributes = {}, {}
    for path in paths:
        found, about = read_record(path, layout, expected)
        columns[about["model"]], attributes[about["model"]] = found, about
    return columns, attributes


def _problem(
    columns: Arrays,
    attributes: Mapping[str, Any],
    layout: Mapping[str, Column],
    expected: Mapping[str, Any],
) -> str | None:
    """What is wrong with a file's content; None if nothing is."""
    if attributes.get("format") != FORMAT:
        return f"has format {attributes.get('format')}, expected {FORMAT}"
    for key, value in expected.items():
        if attributes.get(key) != value:
            return f"belongs to {key} {attributes.get(key)!r}, expected {value!r}"
    missing = [name for name, column in layout.items() if name not in columns and not column.optional]
    if missing:
        return f"lacks the dataset {missing[0]!r}"
    if columns["index"].ndim != 1:
        return f"'index' has shape {columns['index'].shape}, expected (n,)"
    n, shapes = len(columns["index"]), dict[str, tuple[int, ...]]()
    for name, values in columns.items():
        column = layout[name]
        if values.shape[:1] != (n,) or not column.holds(values.shape[1:]):
            return f"{name!r} has shape {values.shape}, expected {(n, *column.row)}"
        if values.dtype != np.dtype("object" if column.dtype == "str" else column.dtype):
            return f"{name!r} has dtype {values.dtype}, expected {column.dtype}"
        if column.row[-3:] == _IMAGE and values.shape[-3:] != shapes.setdefault("image", values.shape[-3:]):
            return f"{name!r} has images of shape {values.shape[-3:]}, others have {shapes['image']}"
        if column.unit == _PIXELS and not ((values >= 0) & (values <= 1)).all():  # NaN is neither
            return f"{name!r} has pixels that are not finite or outside [0, 1]"
    distances = columns.get("distance", np.zeros(0))
    if np.isnan(distances).any() or (distances < 0).any():
        return "'distance' holds NaN or a negative value"
    return None
