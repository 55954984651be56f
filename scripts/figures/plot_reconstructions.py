"""Plot the reconstructions of images and of their adversarials by the two classes involved."""

import os
from collections.abc import Mapping, Sequence

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
    """Plot the files `reconstructions`, one per model."""
    found, attributes = read_by_model(reconstructions, RECONSTRUCTIONS, {"run": run})
    norms = {model: about["norm"] for model, about in attributes.items()}
    save_figure(reconstructions_grid(found, norms, models=models), [png, svg])


if "snakemake" in globals():
    job = globals()["snakemake"]
    start_log(job.log[0])
    main(
        reconstructions=job.input.reconstructions,
        **dict(job.output.items()),
        **dict(job.params.items()),
    )
