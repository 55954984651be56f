"""Plot Figure 8, the distribution of the distances of the best adversarials."""

import os
from collections.abc import Mapping, Sequence

from absynth.io.log import start_log
from absynth.io.tables import read_table
from absynth.reporting.figures.distribution import distribution_figure
from absynth.reporting.figures.style import save_figure


def main(
    *,
    distances: str | os.PathLike,
    png: str | os.PathLike,
    svg: str | os.PathLike,
    models: Mapping[str, str],
    norms: Sequence[str],
    epsilons: Mapping[str, float],
) -> None:
    """Plot one panel per norm from the table of distances."""
    figure = distribution_figure(read_table(distances), models=models, norms=norms, epsilons=epsilons)
    save_figure(figure, [png, svg])


if "snakemake" in globals():
    job = globals()["snakemake"]
    start_log(job.log[0])
    main(distances=job.input.distances, **dict(job.output.items()), **dict(job.params.items()))
