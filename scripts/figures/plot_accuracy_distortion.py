"""Plot Figure 2, accuracy under attack against the size of the perturbation allowed."""

import os
from collections.abc import Mapping, Sequence

import pandas as pd

from absynth.evaluation.bracket import CURVES
from absynth.io.log import start_log
from absynth.io.tables import read_table
from absynth.reporting.figures.accuracy_distortion import accuracy_distortion_figure
from absynth.reporting.figures.style import save_figure


def main(
    *,
    curves: str | os.PathLike,
    brackets: Sequence[str | os.PathLike],
    png: str | os.PathLike,
    svg: str | os.PathLike,
    models: Mapping[str, str],
    norms: Sequence[str],
    epsilons: Mapping[str, float],
) -> None:
    """Plot one panel per norm: the curves of tables/accuracy_distortion.csv, and those of the lower bounds.

    brackets: tables/bracket_curves.csv, none where no model has lower bounds
    """
    sides = read_table(brackets[0]) if brackets else pd.DataFrame(columns=CURVES)
    figure = accuracy_distortion_figure(
        read_table(curves),
        lower_bounds=sides[sides["side"] != "attacked"],
        models=models,
        norms=norms,
        epsilons=epsilons,
    )
    save_figure(figure, [png, svg])


if "snakemake" in globals():
    job = globals()["snakemake"]
    start_log(job.log[0])
    main(
        curves=job.input.curves,
        brackets=job.input.brackets,
        **dict(job.output.items()),
        **dict(job.params.items()),
    )
