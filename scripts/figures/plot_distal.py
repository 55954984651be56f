"""Plot Figure 4, the distal adversarials of each model."""

import os
from collections.abc import Mapping, Sequence

from absynth.io.log import start_log
from absynth.io.records import DISTAL, read_by_model
from absynth.io.tables import read_table
from absynth.reporting.figures.distal import distal_grid
from absynth.reporting.figures.style import save_figure


def main(
    *,
    distal: Sequence[str | os.PathLike],
    table: str | os.PathLike,
    png: str | os.PathLike,
    svg: str | os.PathLike,
    run: str,
    models: Mapping[str, str],
) -> None:
    """Plot the ascents of the files `distal`, one file per model, with their counts in `table`."""
    ascents, _ = read_by_model(distal, DISTAL, {"run": run})
    save_figure(distal_grid(ascents, read_table(table), models=models), [png, svg])


if "snakemake" in globals():
    job = globals()["snakemake"]
    start_log(job.log[0])
    main(
        distal=job.input.distal,
        table=job.input.table,
        **dict(job.output.items()),
        **dict(job.params.items()),
    )
