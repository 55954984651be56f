"""Add up what the jobs of each rule took."""

import os
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from absynth.atomic import write_csv
from absynth.log import start_log

COLUMNS = ("stage", "jobs", "seconds", "longest", "memory")


def main(*, benchmarks: Sequence[str | os.PathLike], table: str | os.PathLike) -> None:
    """Write one row a rule, whose name is the folder of its benchmark files; files that are gone do not count.

    seconds, longest: of wall time, in all and of the longest job; memory: the most that one job had, MB
    """
    there = [Path(path) for path in benchmarks if Path(path).is_file()]
    rows = []
    for stage in dict.fromkeys(path.parent.name for path in there):
        files = [path for path in there if path.parent.name == stage]
        jobs = pd.concat([pd.read_csv(path, sep="\t", na_values="-") for path in files])
        longest, memory = jobs["s"].max(), jobs["max_rss"].max()
        rows.append((stage, len(files), jobs["s"].sum(), longest, memory))
    write_csv(table, [dict(zip(COLUMNS, row, strict=True)) for row in rows], COLUMNS)


if "snakemake" in globals():
    job = globals()["snakemake"]
    start_log(job.log[0])
    main(benchmarks=job.params.benchmarks, table=job.output.table)
