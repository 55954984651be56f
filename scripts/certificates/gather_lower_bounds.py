"""Gather the lower bounds of all shards of one model, norm by norm, and summarise them."""

import os
from collections.abc import Sequence

import pandas as pd

from absynth.errors import InputError
from absynth.evaluation.lower_bounds import COLUMNS, SUMMARY, summarise_bounds
from absynth.io.atomic import read_rows, write_csv
from absynth.io.log import LOGGER, start_log
from absynth.io.tables import read_table

StrPath = str | os.PathLike


def main(
    *,
    shards: Sequence[StrPath],
    draws: Sequence[StrPath],
    bounds: Sequence[StrPath],
    summaries: Sequence[StrPath],
    norms: Sequence[str],
    n_samples: int,
    model: str,
) -> None:
    """Write one row per image to each of `bounds`, and its rows of tables/bounds.csv to each of `summaries`.

    bounds, summaries: a file for each of `norms`; shards, draws: as many for each norm, one norm after the other

    Raises InputError unless the shards of each norm hold the first n_samples images, in order.
    """
    per_norm, joint = len(shards) // len(norms), []
    for number, norm in enumerate(norms):
        part = slice(number * per_norm, (number + 1) * per_norm)
        _gather(shards[part], bounds[number], n_samples)
        drawn = pd.concat(map(read_table, draws[part]), ignore_index=True)
        means = summarise_bounds(read_table(bounds[number]), drawn)
        rows = [{"model": model, "norm": norm, **row} for row in means]
        write_csv(summaries[number], rows, ("model", "norm", *SUMMARY))
        told = ", ".join(f"{row['bound']} {row['mean']:.4g}" for row in means)
        LOGGER.info("%s %s: mean bounds: %s", model, norm, told)
        joint += [f"{norm} {row['mean']:.4g}" for row in means if row["bound"] == "joint"]
    LOGGER.info("%s: mean joint bound: %s", model, ", ".join(joint))


def _gather(shards: Sequence[StrPath], bounds: StrPath, n_samples: int) -> None:
    """Write the rows of all shards of a norm to `bounds`."""
    rows = read_rows(shards)
    if [row["index"] for row in rows] != [str(index) for index in range(n_samples)]:
        raise InputError(
            f"{shards[0]} and the other shards do not hold images 0 to {n_samples - 1}; delete them and rerun"
        )
    write_csv(bounds, rows, COLUMNS)


if "snakemake" in globals():
    job = globals()["snakemake"]
    start_log(job.log[0])
    main(
        shards=job.input.shards,
        draws=job.input.draws,
        **dict(job.output.items()),
        **dict(job.params.items()),
        model=job.wildcards.model,
    )
