"""Compute the accuracy as a function of the perturbation size."""

import os
from collections.abc import Sequence

import pandas as pd

from absynth.evaluation.accuracy_curve import accuracy_curve
from absynth.io.atomic import replacing
from absynth.io.log import start_log
from absynth.io.records import MINIMAL, read_record


def main(*, minimal: Sequence[str | os.PathLike[str]], curves: str | os.PathLike[str], run: str) -> None:
    """Write a long table: model, norm, distance, accuracy."""
    frames = []
    for path in minimal:
        columns, attributes = read_record(path, MINIMAL, {"run": run})
        identity = {"model": attributes["model"], "norm": attributes["norm"]}
        frames.append(accuracy_curve(columns["distance"], **identity))
    with replacing(curves) as temporary:
        pd.concat(frames).to_csv(temporary, index=False)


if "snakemake" in globals():
    job = globals()["snakemake"]
    start_log(job.log[0])
    main(minimal=job.input.minimal, curves=job.output.curves, run=job.params.run)
