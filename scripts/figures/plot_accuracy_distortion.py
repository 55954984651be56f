"""Draw Figure 2, accuracy against the size of the perturbation allowed."""

import os
from collections.abc import Mapping, Sequence

import pandas as pd

from absynth.io.log import start_log
from absynth.reporting.figures.accuracy_distortion import accuracy_distortion
from absynth.reporting.figures.style import save


def main(
    *,
    curves: str | os.PathLike,
    brackets: str | os.PathLike,
    png: str | os.PathLike,
    svg: str | os.PathLike,
    models: Mapping[str, str],
    norms: Sequence[str],
    epsilons: Mapping[str, float],
) -> None:
    """Draw one panel a norm from the table of curves, and the certified curves of tables/bracket_curves.csv."""
    sides = pd.read_csv(brackets)
    figure = accuracy_distortion(
        pd.read_csv(curves),
        certified=sides[sides["side"] == "certified"],
        models=models,
        norms=norms,
        epsilons=epsilons,
    )
    save(figure, [png, svg])


if "snakemake" in globals():
    job = globals()["snakemake"]
    start_log(job.log[0])
    main(
        curves=job.input.curves,
        brackets=job.input.brackets,
        **dict(job.output.items()),
        **dict(job.params.items()),
    )
