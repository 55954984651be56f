"""The time of each rule's jobs, added up from the files that Snakemake measured them in."""

import csv
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from absynth.errors import InputError
from absynth.io.atomic import write_csv
from absynth.io.opening import MADE, opening

COLUMNS = ("stage", "jobs", "seconds", "longest", "memory")


def write_runtime(*, benchmarks: Sequence[str | os.PathLike[str]], table: str | os.PathLike[str]) -> None:
    """Write one row per rule, named by the folder of its benchmark files; missing files are left out.

    seconds, longest: wall time of all jobs and of the longest; memory: the peak over all jobs, in MB
    """
    stages: dict[str, dict[str, float]] = {}
    for path in map(Path, benchmarks):
        if not path.is_file():
            continue
        with opening(path), path.open(newline="", encoding="utf-8") as file:
            jobs = list(csv.DictReader(file, delimiter="\t"))
        if len(jobs) != 1:
            raise InputError(f"{path}: holds {len(jobs)} rows, expected is one; {MADE}")
        (job,) = jobs
        row = stages.setdefault(
            path.parent.name, {"jobs": 0, "seconds": 0.0, "longest": 0.0, "memory": np.nan}
        )
        row["jobs"] += 1
        row["seconds"] += float(job["s"])
        row["longest"] = max(row["longest"], float(job["s"]))
        row["memory"] = float(np.fmax(row["memory"], _number(job["max_rss"])))  # ignores NaN
    write_csv(table, [{"stage": stage, **row} for stage, row in stages.items()], COLUMNS)


def _number(text: str) -> float:
    """NaN for what Snakemake writes if a job ended before its first measurement."""
    return np.nan if text in ("-", "NA") else float(text)
