"""Plot the reconstructions of images and of their adversarials by the two classes involved."""

import os
from collections.abc import Mapping, Sequence

import numpy as np

from absynth.io.log import start_log
from absynth.io.records import RECONSTRUCTIONS, read_by_model
from absynth.reporting.figures.style import save_figure
from absynth.reporting.figures.synthesis import reconstructions_grid


def main(
    *,
    reconstructions: Sequence[str | os.PathLike],
    png: str | os.PathLike,
    svg: str | os.PathLike,
    run: str,
    models: Mapping[str, str],
) -> None:
    """Plot one image per class of each of the files `reconstructions`, one per model."""
    found, attributes = read_by_model(reconstructions, RECONSTRUCTIONS, {"run": run})
    found = {model: _drawn(columns) for model, columns in found.items()}
    norms = {model: about["norm"] for model, about in attributes.items()}
    save_figure(reconstructions_grid(found, norms, models=models), [png, svg])


def _drawn(columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The columns of the images of the figure, in the order of their labels: all of a file that older code wrote."""
    rows = np.flatnonzero(columns.get("drawn", np.ones(len(columns["index"]))))
    rows = rows[columns["label"][rows].argsort(kind="stable")]
    return {name: values[rows] for name, values in columns.items()}


if "snakemake" in globals():
    job = globals()["snakemake"]
    start_log(job.log[0])
    main(
        reconstructions=job.input.reconstructions,
        **dict(job.output.items()),
        **dict(job.params.items()),
    )
