"""Gather the lower bounds of all shards of one model and norm, and summarise them."""

import os
from collections.abc import Sequence

import pandas as pd

from absynth.errors import InputError
from absynth.evaluation.lower_bounds import COLUMNS, SUMMARY, summarise_bounds
from absynth.io.atomic import read_rows, write_csv
from absynth.io.log import LOGGER, start_log
from absynth.io.tables import read_table


def main(
    *,
    shards: Sequence[str | os.PathLike],
    draws: Sequence[str | os.PathLike],
    bounds: str | os.PathLike,
    summary: str | os.PathLike,
    n_samples: int,
    model: str,
    norm: str,
) -> None:
    """Write one row per image to `bounds`, and this model and norm's rows of tables/bounds.csv to `summary`.

    Raises InputError unless the shards hold the first n_samples images, in order.
    """
    rows = read_rows(shards)
    if [row["index"] for row in rows] != [str(index) for index in range(n_samples)]:
        raise InputError(
            f"{shards[0]} and the other shards do not hold images 0 to {n_samples - 1}; delete them and rerun"
        )
    write_csv(bounds, rows, COLUMNS)
    means = summarise_bounds(read_table(bounds), pd.concat(map(read_table, draws), ignore_index=True))
    write_csv(summary, [{"model": model, "norm": norm, **row} for row in means], ("model", "norm", *SUMMARY))
    told = ", ".join(f"{row['bound']} {row['mean']:.4g}" for row in means)
    LOGGER.info("%s %s: mean bounds: %s", model, norm, told)


if "snakemake" in globals():
    job = globals()["snakemake"]
    start_log(job.log[0])
    main(
        shards=job.input.shards,
        draws=job.input.draws,
        **dict(job.output.items()),
        **dict(job.params.items()),
        model=job.wildcards.model,
        norm=job.wildcards.norm,
    )
