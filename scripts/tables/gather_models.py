"""Gather the models' calibration constants and clean accuracies in one table."""

import os
from collections.abc import Sequence
from pathlib import Path

from absynth.io.atomic import write_csv
from absynth.io.log import start_log
from absynth.models.calibration_file import read_calibration

COLUMNS = ("model", "alpha", "eta", "median_confidence", "accuracy", "n", "test_accuracy", "n_test")


def main(*, calibrations: Sequence[str | os.PathLike[str]], table: str | os.PathLike[str]) -> None:
    """Write one row per model: constants and accuracy on the calibration split, accuracy on all test images."""
    rows = [
        {**read_calibration(path, *COLUMNS[1:]), "model": Path(path).parent.name} for path in calibrations
    ]
    write_csv(table, rows, COLUMNS)


if "snakemake" in globals():
    job = globals()["snakemake"]
    start_log(job.log[0])
    main(calibrations=job.input.calibrations, table=job.output.table)
