"""Gather the findings of the verification of all records, and fail if anything disagrees."""

import os
from collections.abc import Sequence
from pathlib import Path

from absynth.errors import InputError
from absynth.io.atomic import read_rows, write_csv
from absynth.io.log import LOGGER, start_log

COLUMNS = (
    "model", "norm", "attack", "shard", "n", "checked", "ties", "disagreements", "first_row", "reason", "file",
)  # fmt: skip
_FEW = 6  # files that a message names


def main(*, findings: Sequence[str | os.PathLike], table: str | os.PathLike) -> None:
    """Write the rows of all `findings`: one per shard and, as attack `all`, one per file of minima.

    findings: files verification/{model}/{norm}.csv in the run's folder

    Raises InputError, after all rows are written and logged, that names the first file and row that disagree.
    """
    rows = read_rows(findings)
    write_csv(table, rows, COLUMNS)
    bad = [row for row in rows if int(row["disagreements"])]
    folder = Path(findings[0]).parents[2] if bad else None
    for row in bad:
        LOGGER.error("%s (%s rows disagree)", _where(folder, row), row["disagreements"])
    if bad:
        raise InputError(
            f"{_where(folder, bad[0])}; {len(bad)} of {len(rows)} files disagree with their model "
            f"({_named(folder, bad)}), listed under {folder / 'verification'}; delete those files and rerun"
        )
    count, ties = (sum(int(row[name]) for row in rows) for name in ("checked", "ties"))
    LOGGER.info(
        "%d files agree with their models: %d adversarials classified anew, %d ties", len(rows), count, ties
    )


def _named(folder: Path, bad: Sequence[dict[str, str]]) -> str:
    """The files that disagree, by name as far as they are few."""
    names = [str(folder / row["file"]) for row in bad]
    more = f" and {len(names) - _FEW} more" if len(names) > _FEW else ""
    return ", ".join(names[:_FEW]) + more


def _where(folder: Path, row: dict[str, str]) -> str:
    place = f", row {row['first_row']}" if row["first_row"] else ""
    return f"{folder / row['file']}{place}: {row['reason']}"


if "snakemake" in globals():
    job = globals()["snakemake"]
    start_log(job.log[0])
    main(findings=job.input.findings, table=job.output.table)
