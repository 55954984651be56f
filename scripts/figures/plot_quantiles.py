"""Plot Figures 5 to 7, random adversarials from each quarter of every model's distances."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from absynth.data.split_files import read_split
from absynth.evaluation.selection import by_quantile
from absynth.io.log import start_log
from absynth.io.records import MINIMAL, read_by_model
from absynth.reporting.figures.adversarials import quantiles_grid
from absynth.reporting.figures.style import save_figure


def main(
    *,
    images: str | os.PathLike,
    minimal: Sequence[str | os.PathLike],
    png: Sequence[str | os.PathLike],
    svg: Sequence[str | os.PathLike],
    run: str,
    models: Mapping[str, str],
    norms: Sequence[str],
    n: int,
    n_samples: int,
    seed: int,
) -> None:
    """Plot n adversarials per quarter of the files minimal/{model}/{norm}.h5, a figure for each of the norms.

    images: the test split, of which the first n_samples were attacked
    """
    clean, _ = read_split(images, 0, n_samples)
    for norm, *outputs in zip(norms, png, svg, strict=True):
        of_norm = [path for path in minimal if Path(path).stem == norm]
        found, _ = read_by_model(of_norm, MINIMAL, {"run": run, "norm": norm})
        chosen = {model: by_quantile(columns["distance"], n, seed) for model, columns in found.items()}
        save_figure(quantiles_grid(found, clean, chosen, models=models, norm=norm, n=n), outputs)


if "snakemake" in globals():
    job = globals()["snakemake"]
    start_log(job.log[0])
    main(
        images=job.input.images,
        minimal=job.input.minimal,
        **dict(job.output.items()),
        **dict(job.params.items()),
    )
