"""Draw Figure 3, one sample of each class and every model's nearest adversarial of it."""

import os
from collections.abc import Mapping, Sequence

from absynth.data.splits import read_split
from absynth.io.log import start_log
from absynth.io.records import MINIMAL, read_by_model
from absynth.reporting.figures.adversarials import adversarials
from absynth.reporting.figures.style import save


def main(
    *,
    images: str | os.PathLike,
    minimal: Sequence[str | os.PathLike],
    png: str | os.PathLike,
    svg: str | os.PathLike,
    run: str,
    models: Mapping[str, str],
    norm: str,
    n_samples: int,
    seed: int,
) -> None:
    """Draw the adversarials of the files `minimal`, one a model, all in `norm`."""
    clean, _ = read_split(images, 0, n_samples)
    found, _ = read_by_model(minimal, MINIMAL, {"run": run, "norm": norm})
    save(adversarials(found, clean, models=models, norm=norm, seed=seed), [png, svg])


if "snakemake" in globals():
    job = globals()["snakemake"]
    start_log(job.log[0])
    main(
        images=job.input.images,
        minimal=job.input.minimal,
        **dict(job.output.items()),
        **dict(job.params.items()),
    )
