"""Gather the statistics of all bounds in one table."""

import csv
import os
from collections.abc import Sequence
from pathlib import Path

from absynth.atomic import write_csv
from absynth.log import start_log

COLUMNS = ("model", "norm", "bound", "mean", "median", "standard_error", "seeds", "n")


def main(*, summaries: Sequence[str | os.PathLike], table: str | os.PathLike) -> None:
    """Write the rows of all `summaries`; no row where no model of the run offers a certificate."""
    rows = []
    for path in summaries:
        with Path(path).open(newline="", encoding="utf-8") as file:
            rows += csv.DictReader(file)
    write_csv(table, rows, COLUMNS)


if "snakemake" in globals():
    job = globals()["snakemake"]
    start_log(job.log[0])
    main(summaries=job.input.summaries, table=job.output.table)
