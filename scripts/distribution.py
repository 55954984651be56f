"""Draw Figure 8, the distribution of the smallest distances."""

import os
from collections.abc import Mapping, Sequence

import pandas as pd

from absynth.figures.distribution import distribution
from absynth.figures.style import save
from absynth.log import start_log


def main(
    *,
    distances: str | os.PathLike,
    png: str | os.PathLike,
    svg: str | os.PathLike,
    models: Mapping[str, str],
    norms: Sequence[str],
    thresholds: Mapping[str, float],
) -> None:
    """Draw one panel a norm from the table of distances."""
    figure = distribution(pd.read_csv(distances), models=models, norms=norms, thresholds=thresholds)
    save(figure, [png, svg])


if "snakemake" in globals():
    job = globals()["snakemake"]
    start_log(job.log[0])
    main(distances=job.input.distances, **dict(job.output.items()), **dict(job.params.items()))
