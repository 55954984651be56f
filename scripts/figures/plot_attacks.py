"""Plot which attack found the best adversarials, and what each cost."""

import os
from collections.abc import Mapping, Sequence

from absynth.io.log import start_log
from absynth.io.tables import read_table
from absynth.reporting.figures.attacks import attacks_figure
from absynth.reporting.figures.style import save_figure


def main(
    *,
    statistics: str | os.PathLike,
    png: str | os.PathLike,
    svg: str | os.PathLike,
    models: Mapping[str, str],
    norms: Sequence[str],
    titles: Mapping[str, Mapping[str, str]],
) -> None:
    """Plot one block per norm from the table of attacks."""
    save_figure(attacks_figure(read_table(statistics), models=models, norms=norms, titles=titles), [png, svg])


if "snakemake" in globals():
    job = globals()["snakemake"]
    start_log(job.log[0])
    main(statistics=job.input.statistics, **dict(job.output.items()), **dict(job.params.items()))
