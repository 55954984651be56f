"""Add up what the jobs of each rule took."""

import csv
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from absynth.errors import InputError
from absynth.io.atomic import write_csv
from absynth.io.log import start_log

COLUMNS = ("stage", "jobs", "seconds", "longest", "memory")


def main(*, benchmarks: Sequence[str | os.PathLike], table: str | os.PathLike) -> None:
    """Write one row a rule, whose name is the folder of its benchmark files; files that are gone do not count.

    seconds, longest: of wall time, in all and of the longest job; memory: the most that one job had, MB
    """
    stages: dict[str, dict[str, float]] = {}
    for path in map(Path, benchmarks):
        if not path.is_file():
            continue
        with path.open(newline="", encoding="utf-8") as file:
            jobs = list(csv.DictReader(file, delimiter="\t"))
        if len(jobs) != 1:
            raise InputError(f"{path}: holds {len(jobs)} rows, expected is one; delete it and rerun its job")
        (job,) = jobs
        row = stages.setdefault(
            path.parent.name, {"jobs": 0, "seconds": 0.0, "longest": 0.0, "memory": np.nan}
        )
        row["jobs"] += 1
        row["seconds"] += float(job["s"])
        row["longest"] = max(row["longest"], float(job["s"]))
        row["memory"] = float(np.fmax(row["memory"], _number(job["max_rss"])))  # the one that is no NaN
    write_csv(table, [{"stage": stage, **row} for stage, row in stages.items()], COLUMNS)


def _number(text: str) -> float:
    """NaN for what Snakemake writes of a job that was too short to be looked at."""
    return np.nan if text in ("-", "NA") else float(text)


if "snakemake" in globals():
    job = globals()["snakemake"]
    start_log(job.log[0])
    main(benchmarks=job.params.benchmarks, table=job.output.table)
