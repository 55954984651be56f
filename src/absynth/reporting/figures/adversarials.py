"""Figure 3 and Figures 5 to 7: the nearest adversarials of every model."""

from collections.abc import Mapping

import numpy as np

from absynth.evaluation.selection import by_quantile, one_per_class
from absynth.reporting.figures.grid import Cell, Row, image_grid
from absynth.reporting.figures.style import NORM_LABELS, format_distance

Columns = Mapping[str, np.ndarray]


def adversarials(
    minimal: Mapping[str, Columns], clean: np.ndarray, *, models: Mapping[str, str], norm: str, seed: int
):
    """One sample of each class in a column: the clean image, then each model's nearest adversarial.

    minimal: by model the columns of `absynth.io.records.MINIMAL`; clean (n, 1, 28, 28): test images by index
    models: labels, in the order of the rows; those without a file in `minimal` are left out
    """
    shown = [model for model in models if model in minimal]
    first = minimal[shown[0]]
    distances = {model: minimal[model]["distance"] for model in shown}
    chosen = one_per_class(first["index"], first["label"], distances, seed)
    indices = first["index"][chosen]
    rows = [
        Row(
            "clean",
            [Cell(clean[i, 0], str(label)) for i, label in zip(indices, first["label"][chosen], strict=True)],
        )
    ]
    for model in shown:
        cells = [_cell(minimal[model], position, norm) for position in chosen]
        rows.append(Row(models[model], cells))
    return image_grid(rows, title=f"Nearest {NORM_LABELS[norm]} adversarials: taken for (distance)")


def _cell(columns: Columns, position: int, norm: str) -> Cell:
    distance, taken_for = columns["distance"][position], columns["adversarial_prediction"][position]
    if np.isinf(distance):
        return Cell(None, "none found")
    caption = f"{taken_for} (clean)" if distance == 0 else f"{taken_for} ({format_distance(distance, norm)})"
    return Cell(columns["adversarial"][position, 0], caption)


def quantiles(
    minimal: Mapping[str, Columns], *, models: Mapping[str, str], norm: str, n: int, seed: int, bins: int = 4
):
    """For each model, in a row, n random adversarials from each of `bins` equal parts of its distances.

    minimal, models: as for `adversarials`
    """
    rows = []
    for model in (model for model in models if model in minimal):
        columns = minimal[model]
        cells = []
        for part in by_quantile(columns["distance"], n, seed, bins):
            cells += [_quantile_cell(columns, position, norm) for position in part]
            cells += [Cell(None)] * (n - len(part))
        rows.append(Row(models[model], cells))
    edges = [f"{100 * i // bins} – {100 * (i + 1) // bins} %" for i in range(bins)]
    return image_grid(rows, columns=edges, group=n)


def _quantile_cell(columns: Columns, position: int, norm: str) -> Cell:
    label, taken_for = columns["label"][position], columns["adversarial_prediction"][position]
    distance = format_distance(columns["distance"][position], norm)
    return Cell(columns["adversarial"][position, 0], f"{label}→{taken_for}\n{distance}")
