"""Figure 3 and Figures 5 to 7: the best adversarials on every model."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from absynth.norms import NORMS
from absynth.reporting.figures.grid import Cell, Row, image_grid
from absynth.reporting.figures.style import as_written

Columns = Mapping[str, npt.NDArray[Any]]  # of absynth.io.records.MINIMAL


def adversarials_grid(
    minimal: Mapping[str, Columns],
    clean: npt.NDArray[np.float32],
    chosen: Sequence[int],
    *,
    models: Mapping[str, str],
    norm: str,
) -> Figure:
    """One column per image: the clean image, then the best adversarial on each model, with class and distance.

    minimal: by model, the same images in the same order; clean (n, C, H, W): test images by index
    chosen: positions in `minimal` of the images shown
    models: labels, in the order of the rows; those without a file in `minimal` are left out
    """
    models = as_written(models)
    shown = [model for model in models if model in minimal]
    first, positions = minimal[shown[0]], list(chosen)
    images = zip(first["index"][positions], first["label"][positions], strict=True)
    rows = [Row("clean", [Cell(clean[index], str(label)) for index, label in images])]
    for model in shown:
        cells = [_adversarial_cell(minimal[model], position, norm) for position in positions]
        rows.append(Row(models[model], cells))
    return image_grid(rows, title=f"{NORMS[norm].label}: predicted class (distance)")


def _adversarial_cell(columns: Columns, position: int, norm: str) -> Cell:
    distance, prediction = columns["distance"][position], columns["adversarial_prediction"][position]
    if np.isinf(distance):
        return Cell(None, "none found")
    caption = f"{prediction} (clean)" if distance == 0 else f"{prediction} ({NORMS[norm].format(distance)})"
    return Cell(columns["adversarial"][position], caption)


def quantiles_grid(
    minimal: Mapping[str, Columns],
    chosen: Mapping[str, Sequence[Sequence[int]]],
    *,
    models: Mapping[str, str],
    norm: str,
    n: int,
) -> Figure:
    """One row per model: up to n adversarials from each of equally many parts of its distances.

    chosen: by model and part, positions in `minimal` of those shown; fewer than n leave empty squares
    minimal, models: as for `adversarials_grid`
    """
    models = as_written(models)
    rows, n_parts = [], 1
    for model in (model for model in models if model in minimal):
        cells = []
        for part in chosen[model]:
            cells += [_quantile_cell(minimal[model], position, norm) for position in part]
            cells += [Cell(None)] * (n - len(part))
        rows.append(Row(models[model], cells))
        n_parts = len(chosen[model])
    edges = [f"{100 * i // n_parts} – {100 * (i + 1) // n_parts} %" for i in range(n_parts)]
    return image_grid(rows, columns=edges, group=n)


def _quantile_cell(columns: Columns, position: int, norm: str) -> Cell:
    label, prediction = columns["label"][position], columns["adversarial_prediction"][position]
    distance = NORMS[norm].format(columns["distance"][position])
    return Cell(columns["adversarial"][position], f"{label}→{prediction}\n{distance}")
