"""Draw what two classes make of an image and of its adversarial."""

import os
from collections.abc import Mapping, Sequence

from absynth.io.log import start_log
from absynth.io.records import RECONSTRUCTIONS, read_by_model
from absynth.reporting.figures.style import save
from absynth.reporting.figures.synthesis import reconstructions as draw


def main(
    *,
    reconstructions: Sequence[str | os.PathLike],
    png: str | os.PathLike,
    svg: str | os.PathLike,
    run: str,
    models: Mapping[str, str],
) -> None:
    """Draw the files `reconstructions`, one a model."""
    explained, attributes = read_by_model(reconstructions, RECONSTRUCTIONS, {"run": run})
    norms = {model: found["norm"] for model, found in attributes.items()}
    save(draw(explained, norms, models=models), [png, svg])


if "snakemake" in globals():
    job = globals()["snakemake"]
    start_log(job.log[0])
    main(
        reconstructions=job.input.reconstructions,
        **dict(job.output.items()),
        **dict(job.params.items()),
    )
