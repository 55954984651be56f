"""Draw Figures 5 to 7, random adversarials from each quarter of every model's distances."""

import os
from collections.abc import Mapping, Sequence

from absynth.io.log import start_log
from absynth.io.records import MINIMAL, read_by_model
from absynth.reporting.figures.adversarials import quantiles
from absynth.reporting.figures.style import save


def main(
    *,
    minimal: Sequence[str | os.PathLike],
    png: str | os.PathLike,
    svg: str | os.PathLike,
    run: str,
    models: Mapping[str, str],
    norm: str,
    n: int,
    seed: int,
) -> None:
    """Draw n adversarials a quarter of the files `minimal`, one a model, all in `norm`."""
    found, _ = read_by_model(minimal, MINIMAL, {"run": run, "norm": norm})
    save(quantiles(found, models=models, norm=norm, n=n, seed=seed), [png, svg])


if "snakemake" in globals():
    job = globals()["snakemake"]
    start_log(job.log[0])
    main(
        minimal=job.input.minimal,
        norm=job.wildcards.norm,
        **dict(job.output.items()),
        **dict(job.params.items()),
    )
