"""Plot Figure 3, one image of each class and its best adversarial on every model."""

import os
from collections.abc import Mapping, Sequence

from absynth.data.split_files import read_split
from absynth.evaluation.selection import one_per_class
from absynth.io.log import start_log
from absynth.io.records import MINIMAL, read_by_model
from absynth.reporting.figures.adversarials import adversarials_grid
from absynth.reporting.figures.style import save_figure


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
    """Plot adversarials of the files `minimal`, one file per model, all in `norm`."""
    clean, _ = read_split(images, 0, n_samples)
    found, _ = read_by_model(minimal, MINIMAL, {"run": run, "norm": norm})
    distances = {model: columns["distance"] for model, columns in found.items()}
    first = next(iter(found.values()))  # the same images in all files
    chosen = one_per_class(first["index"], first["label"], distances, seed)
    save_figure(adversarials_grid(found, clean, chosen, models=models, norm=norm), [png, svg])


if "snakemake" in globals():
    job = globals()["snakemake"]
    start_log(job.log[0])
    main(
        images=job.input.images,
        minimal=job.input.minimal,
        **dict(job.output.items()),
        **dict(job.params.items()),
    )
