"""Gather the distances of all images' best adversarials in one long table."""

import os
from collections.abc import Sequence

import pandas as pd

from absynth.io.atomic import replacing
from absynth.io.log import start_log
from absynth.io.records import MINIMAL, read_record


def main(*, minimal: Sequence[str | os.PathLike[str]], table: str | os.PathLike[str], run: str) -> None:
    """Write model, norm, index, label, distance and attack: one row per model, norm and image."""
    frames = []
    for path in minimal:
        columns, attributes = read_record(path, MINIMAL, {"run": run})
        identity = {"model": attributes["model"], "norm": attributes["norm"]}
        kept = {name: columns[name] for name in ("index", "label", "distance", "attack")}
        frames.append(pd.DataFrame({**identity, **kept}))
    with replacing(table) as temporary:
        pd.concat(frames).to_csv(temporary, index=False)


if "snakemake" in globals():
    job = globals()["snakemake"]
    start_log(job.log[0])
    main(minimal=job.input.minimal, table=job.output.table, run=job.params.run)
