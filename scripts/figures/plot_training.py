"""Plot the curves of all trainings."""

import os
from collections.abc import Mapping, Sequence

from absynth.io.log import start_log
from absynth.io.tables import read_table
from absynth.reporting.figures.style import save_figure
from absynth.reporting.figures.training import training_figure


def main(
    *,
    classifiers: Sequence[str | os.PathLike],
    vaes: Sequence[str | os.PathLike],
    png: str | os.PathLike,
    svg: str | os.PathLike,
    models: Mapping[str, str],
    trained: Sequence[str],
    labels: Sequence[int],
) -> None:
    """Plot the curves in the files `classifiers`, of the models `trained`, and `vaes`, of the classes `labels`."""
    figure = training_figure(
        dict(zip(trained, map(read_table, classifiers), strict=True)),
        dict(zip(labels, map(read_table, vaes), strict=True)),
        models=models,
    )
    save_figure(figure, [png, svg])


if "snakemake" in globals():
    job = globals()["snakemake"]
    start_log(job.log[0])
    main(
        classifiers=job.input.classifiers,
        vaes=job.input.vaes,
        **dict(job.output.items()),
        **dict(job.params.items()),
    )
