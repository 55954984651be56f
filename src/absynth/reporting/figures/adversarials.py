"""Figure 3 and Figures 5 to 7: the best adversarials on every model."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from absynth.norms import NORMS
from absynth.reporting.figures.grid import LABEL, Cell, Row, image_grid
from absynth.reporting.figures.text import as_written

Columns = Mapping[str, npt.NDArray[Any]]  # of absynth.io.records.MINIMAL
_MOST_COLUMNS = 12  # of thumbnails that stay large enough beside each other
_HEADER = 90  # characters in a line
_NONE = "none to show: each image is misclassified without a perturbation, or every attack on it failed"


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
    models = as_written(models, LABEL)
    shown = [model for model in models if model in minimal]
    first, positions = minimal[shown[0]], list(chosen)
    images = zip(first["index"][positions], first["label"][positions], strict=True)
    rows = [Row("clean", [Cell(clean[index], f"label {label}") for index, label in images])]
    for model in shown:
        cells = [_adversarial_cell(minimal[model], position, norm) for position in positions]
        rows.append(Row(models[model], cells))
    quantity = f"{NORMS[norm].label}, {NORMS[norm].quantity}"
    return image_grid(rows, title=f"Below each image: predicted class ({quantity})")


def _adversarial_cell(columns: Columns, position: int, norm: str) -> Cell:
    distance, prediction = columns["distance"][position], columns["adversarial_prediction"][position]
    if np.isinf(distance):
        return Cell(None, "none found")
    caption = f"{prediction} (clean)" if distance == 0 else f"{prediction} ({NORMS[norm].format(distance)})"
    return Cell(columns["adversarial"][position], caption)


def quantiles_grid(
    minimal: Mapping[str, Columns],
    clean: npt.NDArray[np.float32],
    chosen: Mapping[str, Sequence[Sequence[int]]],
    *,
    models: Mapping[str, str],
    norm: str,
    n: int,
) -> Figure:
    """A block per model: up to n adversarials from each of equally many parts of its distances, and below each of
    them what it changes of its clean image, on a scale of its own.

    clean (n, C, H, W): test images by index
    chosen: by model and part, positions in `minimal` of those shown; fewer than n leave places free
    minimal, models: as for `adversarials_grid`
    """
    models = as_written(models, _HEADER)
    rows: list[Row] = []
    for model in (model for model in models if model in minimal):
        rows += _quantile_rows(models[model], minimal[model], clean, chosen[model], norm=norm, n=n)
    title = f"{NORMS[norm].label}. Below each adversarial: label → predicted class, {NORMS[norm].quantity}"
    return image_grid(rows, group=n, title=title, largest=0.6)


def _quantile_rows(
    label: str,
    columns: Columns,
    clean: npt.NDArray[np.float32],
    parts: Sequence[Sequence[int]],
    *,
    norm: str,
    n: int,
) -> list[Row]:
    """The rows of a model: the parts beside each other, in as many lines as leave their thumbnails large enough."""
    if not any(parts):
        return [Row("", header=label, gap=0.08, note=_NONE)]
    fitting = max(1, _MOST_COLUMNS // n)
    beside = max(k for k in range(1, len(parts) + 1) if len(parts) % k == 0 and k <= fitting)
    edges = [
        f"{100 * i // len(parts)} – {100 * (i + 1) // len(parts)} % of distances" for i in range(len(parts))
    ]
    rows = []
    for start in range(0, len(parts), beside):
        line = range(start, start + beside)
        places = [position for i in line for position in [*parts[i], *[None] * (n - len(parts[i]))]]
        pairs = [_quantile_cells(columns, clean, position, norm) for position in places]
        rows.append(
            Row(
                "adversarial",
                [adversarial for adversarial, _ in pairs],
                gap=0.08,
                header="" if start else label,
                titles=[edges[i] for i in line],
            )
        )
        rows.append(Row("change", [change for _, change in pairs]))
    return rows


def _quantile_cells(
    columns: Columns, clean: npt.NDArray[np.float32], position: int | None, norm: str
) -> tuple[Cell, Cell]:
    """An adversarial, and its difference from the clean image; both empty for None."""
    if position is None:
        return Cell(None), Cell(None)
    label, prediction = columns["label"][position], columns["adversarial_prediction"][position]
    distance = NORMS[norm].format(columns["distance"][position])
    adversarial = columns["adversarial"][position]
    change = adversarial - clean[columns["index"][position]]
    reach = float(np.abs(change).max())
    return (
        Cell(adversarial, f"{label}→{prediction}, {distance}"),
        Cell(change, f"±{reach:.2f}" if reach >= 0.005 else f"±{reach:.0e}", change=reach),
    )
