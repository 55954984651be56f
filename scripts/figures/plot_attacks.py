"""Draw which attack found the nearest adversarials, and what each cost."""

import os
from collections.abc import Mapping, Sequence

import pandas as pd

from absynth.io.log import start_log
from absynth.reporting.figures.attacks import attacks
from absynth.reporting.figures.style import save


def main(
    *,
    statistics: str | os.PathLike,
    png: str | os.PathLike,
    svg: str | os.PathLike,
    models: Mapping[str, str],
    norms: Sequence[str],
    titles: Mapping[str, Mapping[str, str]],
) -> None:
    """Draw one block a norm from the table of attacks."""
    save(attacks(pd.read_csv(statistics), models=models, norms=norms, titles=titles), [png, svg])


if "snakemake" in globals():
    job = globals()["snakemake"]
    start_log(job.log[0])
    main(statistics=job.input.statistics, **dict(job.output.items()), **dict(job.params.items()))
