"""Figure 4: what each model comes to be sure of when its confidence is climbed from noise."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from absynth.reporting.figures.grid import Cell, Row, image_grid


def distal(
    ascents: Mapping[str, Mapping[str, np.ndarray]], table: pd.DataFrame, *, models: Mapping[str, str]
):
    """One row a model, one column a class: where the ascent from the first seed's noise ended.

    ascents: by model the columns of `absynth.io.records.DISTAL`; table: tables/distal.csv
    models: labels, in the order of the rows; those without ascents are left out
    """
    counts = table.set_index("model")
    rows, labels = [], []
    for model in (model for model in models if model in ascents):
        columns = ascents[model]
        chosen = np.flatnonzero(columns["seed"] == columns["seed"].min())
        labels = columns["label"][chosen].tolist()
        cells = [
            Cell(
                columns["image"][i, 0],
                f"{columns['final_confidence'][i]:.2f} ({columns['steps'][i]})",
                strong=bool(columns["reached"][i]),
            )
            for i in chosen
        ]
        row = counts.loc[model]
        told = f"{models[model]}\nsure: {row['reached']:.0f} of {row['n']:.0f}\nof noise: {row['distal']:.0f}"
        rows.append(Row(told, cells))
    return image_grid(rows, columns=[f"to {label}" for label in labels])
