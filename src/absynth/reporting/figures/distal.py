"""Figure 4: where gradient ascent on each model's confidence leads from noise."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.figure import Figure

from absynth.reporting.figures.grid import LABEL, Cell, Row, image_grid
from absynth.reporting.figures.text import as_written


def distal_grid(
    ascents: Mapping[str, Mapping[str, npt.NDArray[Any]]], table: pd.DataFrame, *, models: Mapping[str, str]
) -> Figure:
    """One row per model, one column per class: where the ascent from the first seed's noise ended.

    ascents: by model the columns of `absynth.io.records.DISTAL`; table: tables/distal.csv
    models: labels, in the order of the rows; those without ascents are left out
    """
    models = as_written(models, LABEL)
    counts = table.set_index("model")
    rows, labels = [], []
    for model in (model for model in models if model in ascents):
        columns = ascents[model]
        first = np.flatnonzero(columns["seed"] == columns["seed"].min())
        labels = columns["label"][first].tolist()
        cells = [
            Cell(
                columns["image"][i],
                f"{columns['final_confidence'][i]:.2f} ({columns['steps'][i]})",
                bold=bool(columns["reached"][i]),
            )
            for i in first
        ]
        count = counts.loc[model]
        reached = f"reached: {count['reached']:.0f} of {count['n']:.0f}"
        rows.append(Row(f"{models[model]}\n{reached}\ndistal: {count['distal']:.0f}", cells))
    title = "Below each image: confidence in the class above it (steps of gradient ascent)"
    return image_grid(rows, columns=[f"class {label}" for label in labels], title=title)
