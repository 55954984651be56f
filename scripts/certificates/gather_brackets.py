"""Gather the brackets of all models and norms."""

import os
from collections.abc import Mapping, Sequence

from absynth.evaluation.bracket import CURVES, INTERVALS, MEDIANS, VIOLATIONS
from absynth.io.atomic import read_rows, write_csv
from absynth.io.log import start_log

TABLES = {"bracket": INTERVALS, "violations": VIOLATIONS, "medians": MEDIANS, "curves": CURVES}


def main(
    *, parts: Mapping[str, Sequence[str | os.PathLike]], tables: Mapping[str, str | os.PathLike]
) -> None:
    """Write the rows of all parts of each table; only a header where there are none.

    parts: for each key of TABLES the files of every model and norm; tables: where each goes
    """
    for name, columns in TABLES.items():
        write_csv(tables[name], read_rows(parts[name]), columns)


if "snakemake" in globals():
    job = globals()["snakemake"]
    start_log(job.log[0])
    main(parts={name: job.input.get(name, []) for name in TABLES}, tables=dict(job.output.items()))
