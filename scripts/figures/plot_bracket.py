"""Draw each image's interval between certificate and attack, and the accuracies that they leave open."""

import os
from collections.abc import Mapping, Sequence

import pandas as pd

from absynth.io.log import start_log
from absynth.reporting.figures.bracket import draw_bracket
from absynth.reporting.figures.style import save


def main(
    *,
    intervals: str | os.PathLike,
    curves: str | os.PathLike,
    png: str | os.PathLike,
    svg: str | os.PathLike,
    models: Mapping[str, str],
    norms: Sequence[str],
) -> None:
    """Draw one row of panels a certified model, two columns a norm."""
    figure = draw_bracket(pd.read_csv(intervals), pd.read_csv(curves), models=models, norms=norms)
    save(figure, [png, svg])


if "snakemake" in globals():
    job = globals()["snakemake"]
    start_log(job.log[0])
    main(
        intervals=job.input.intervals,
        curves=job.input.curves,
        **dict(job.output.items()),
        **dict(job.params.items()),
    )
