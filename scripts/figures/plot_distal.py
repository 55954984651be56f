"""Draw Figure 4, what each model comes to be sure of."""

import os
from collections.abc import Mapping, Sequence

import pandas as pd

from absynth.io.log import start_log
from absynth.io.records import DISTAL, read_by_model
from absynth.reporting.figures.distal import distal as draw
from absynth.reporting.figures.style import save


def main(
    *,
    distal: Sequence[str | os.PathLike],
    table: str | os.PathLike,
    png: str | os.PathLike,
    svg: str | os.PathLike,
    run: str,
    models: Mapping[str, str],
) -> None:
    """Draw the ascents of the files `distal`, one a model, beside their counts in `table`."""
    ascents, _ = read_by_model(distal, DISTAL, {"run": run})
    save(draw(ascents, pd.read_csv(table), models=models), [png, svg])


if "snakemake" in globals():
    job = globals()["snakemake"]
    start_log(job.log[0])
    main(
        distal=job.input.distal,
        table=job.input.table,
        **dict(job.output.items()),
        **dict(job.params.items()),
    )
