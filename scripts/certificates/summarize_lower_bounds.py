"""Gather the summaries of the lower bounds of all models and norms in one table."""

import os
from collections.abc import Sequence

from absynth.io.atomic import read_rows, write_csv
from absynth.io.log import start_log


def main(
    *, parts: Sequence[str | os.PathLike[str]], table: str | os.PathLike[str], columns: Sequence[str]
) -> None:
    """Write `columns` of all rows of the CSV files `parts`; only the header where there are none."""
    write_csv(table, read_rows(parts), columns)


if "snakemake" in globals():
    job = globals()["snakemake"]
    start_log(job.log[0])
    main(parts=job.input.parts, table=job.output.table, columns=job.params.columns)
