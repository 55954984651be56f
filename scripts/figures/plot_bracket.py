"""Plot the lower and upper bound of each image, and the accuracies that follow from them."""

import os
from collections.abc import Mapping, Sequence

from absynth.io.log import start_log
from absynth.io.tables import read_table
from absynth.reporting.figures.bracket import bracket_figure
from absynth.reporting.figures.style import save_figure


def main(
    *,
    intervals: str | os.PathLike,
    curves: str | os.PathLike,
    png: str | os.PathLike,
    svg: str | os.PathLike,
    models: Mapping[str, str],
    norms: Sequence[str],
) -> None:
    """Plot one row of panels per model with lower bounds, one column per norm."""
    figure = bracket_figure(read_table(intervals), read_table(curves), models=models, norms=norms)
    save_figure(figure, [png, svg])


if "snakemake" in globals():
    job = globals()["snakemake"]
    start_log(job.log[0])
    main(
        intervals=job.input.intervals,
        curves=job.input.curves,
        **dict(job.output.items()),
        **dict(job.params.items()),
    )
