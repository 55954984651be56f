"""Reading the lower bounds of a shard's images, those that are proved."""

import math
from pathlib import Path

import numpy as np
import numpy.typing as npt

from absynth.basis import PROVED
from absynth.errors import InputError
from absynth.io.atomic import read_rows
from absynth.io.opening import MADE


def read_proved_bounds(path: str | Path, first: int, last: int) -> npt.NDArray[np.float64]:
    """The lower bounds (n,) in bounds/{model}/{norm}/{shard}.csv; NaN where they are not proved.

    first, last: positions in the test split of the first image and one past the last
    Raises InputError if the file holds other images.
    """
    rows = read_rows([path])
    if [row["index"] for row in rows] != [str(index) for index in range(first, last)]:
        raise InputError(f"{path}: holds other images than {first} to {last - 1}; {MADE}")
    return np.array([float(row["joint"]) if row["basis"] == PROVED else math.nan for row in rows])
