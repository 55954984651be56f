"""Draw Figure 8, the distribution of the smallest distances."""

import os
from collections.abc import Mapping, Sequence

import pandas as pd

from absynth.io.log import start_log
from absynth.reporting.figures.distribution import distribution
from absynth.reporting.figures.style import save


def main(
    *,
    distances: str | os.PathLike,
    png: str | os.PathLike,
    svg: str | os.PathLike,
    models: Mapping[str, str],
    norms: Sequence[str],
    epsilons: Mapping[str, float],
) -> None:
    """Draw one panel a norm from the table of distances."""
    figure = distribution(pd.read_csv(distances), models=models, norms=norms, epsilons=epsilons)
    save(figure, [png, svg])


if "snakemake" in globals():
    job = globals()["snakemake"]
    start_log(job.log[0])
    main(distances=job.input.distances, **dict(job.output.items()), **dict(job.params.items()))
