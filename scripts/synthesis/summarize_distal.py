"""Summarise the distal adversarials of all models."""

import os
from collections.abc import Sequence

from absynth.evaluation.statistics import summarise_distal
from absynth.io.atomic import write_csv
from absynth.io.log import start_log
from absynth.io.records import DISTAL, read_record


def main(*, distal: Sequence[str | os.PathLike], table: str | os.PathLike, run: str) -> None:
    """Write one row per model: how many ascents reached the target confidence, after how many steps, and where."""
    rows = []
    for path in distal:
        columns, attributes = read_record(path, DISTAL, {"run": run})
        rows.append({"model": attributes["model"], **summarise_distal(columns)})
    write_csv(table, rows)


if "snakemake" in globals():
    job = globals()["snakemake"]
    start_log(job.log[0])
    main(distal=job.input.distal, table=job.output.table, run=job.params.run)
