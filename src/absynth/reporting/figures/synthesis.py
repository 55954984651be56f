"""What the generative models have learnt: samples, and the reconstructions behind their decisions."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from absynth.norms import NORMS
from absynth.reporting.figures.grid import LABEL, Cell, Row, image_grid
from absynth.reporting.figures.text import as_written

Columns = Mapping[str, npt.NDArray[Any]]
_IMAGES = ("clean", "adversarial")
_CLASSES = ("by the label's\nclass: energy", "by the adversarial\nclass: energy")


def samples_grid(columns: Columns) -> Figure:
    """One column per class, one row per latent: columns are those of `absynth.io.records.SAMPLES`."""
    classes = np.unique(columns["label"]).tolist()
    by_class = [columns["image"][columns["label"] == c] for c in classes]
    rows = [Row("", [Cell(images[i]) for images in by_class]) for i in range(len(by_class[0]))]
    return image_grid(rows, columns=[str(c) for c in classes])


def reconstructions_grid(
    found: Mapping[str, Columns], norms: Mapping[str, str], *, models: Mapping[str, str]
) -> Figure:
    """One column per sample: the image, its adversarial, and the reconstructions of both by both classes.

    found: by model the columns of `absynth.io.records.RECONSTRUCTIONS`; norms: by model, that of the adversarials
    models: labels, in the order of the blocks; those without reconstructions are left out
    """
    models = as_written(models, LABEL)
    rows: list[Row] = []
    for model in (model for model in models if model in found):
        columns = found[model]
        if not len(columns["label"]):
            rows.append(Row(models[model], note="no adversarial"))
            continue
        classes = list(zip(columns["label"], columns["rival"], strict=True))
        for i, kind in enumerate(_IMAGES):
            captions = [f"{label} → {rival}" if i else str(label) for label, rival in classes]
            cells = [Cell(*shown) for shown in zip(columns[kind], captions, strict=True)]
            name = f"{models[model]}\n{NORMS[norms[model]].label + ' ' if i else ''}{kind}"
            rows.append(Row(name, cells, gap=0.0 if i else 0.08 * bool(rows)))
            rows += [Row(_CLASSES[j], _reconstruction_cells(columns, i, j)) for j in range(2)]
    return image_grid(rows, largest=0.55)


def _reconstruction_cells(columns: Columns, i: int, j: int) -> list[Cell]:
    """Reconstructions of image i by class j with their energies, bold where lower than the other class's."""
    energy = columns["energy"][:, i]  # (n, 2)
    return [
        Cell(image, f"{own:.1f}", bold=bool(own < other))
        for image, own, other in zip(
            columns["reconstruction"][:, i, j], energy[:, j], energy[:, 1 - j], strict=True
        )
    ]
