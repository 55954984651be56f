"""Plot samples of the prior, decoded by every class."""

import os

from absynth.io.log import start_log
from absynth.io.records import SAMPLES, read_record
from absynth.reporting.figures.style import save_figure
from absynth.reporting.figures.synthesis import samples_grid


def main(*, samples: str | os.PathLike, png: str | os.PathLike, svg: str | os.PathLike, run: str) -> None:
    """Plot one column per class from the file `samples`."""
    columns, _ = read_record(samples, SAMPLES, {"run": run})
    save_figure(samples_grid(columns), [png, svg])


if "snakemake" in globals():
    job = globals()["snakemake"]
    start_log(job.log[0])
    main(samples=job.input.samples, **dict(job.output.items()), run=job.params.run)
