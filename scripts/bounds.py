"""Bound every test image's distance to the decision boundary from below, for one model and norm."""

import os
from collections.abc import Mapping

import torch

from absynth.atomic import write_csv
from absynth.certificates.certify import certify
from absynth.certificates.settings import Settings
from absynth.certificates.summary import summarise_bounds
from absynth.data.splits import read_split
from absynth.devices import acquire
from absynth.log import LOGGER, start_log
from absynth.models.files import build

COLUMNS = ("index", "label", "correct", "paper", "joint", "paper_without_kl", "rival", "disagreement")


def main(
    *,
    images: str | os.PathLike,
    bounds: str | os.PathLike,
    summary: str | os.PathLike,
    folder: str | os.PathLike,
    spec: Mapping,
    settings: Mapping,
    n_samples: int,
    model: str,
    norm: str,
    device: torch.device,
) -> None:
    """Certify the first n_samples test images.

    bounds: a row an image, in the norm's unit (pixels in [0, 1]); 0 where misread, rival -1 there; paper and
        paper_without_kl (of the model's own prior samples) are empty where the paper has no bound
    summary: columns of tables/bounds.csv
    """
    x, y = (torch.from_numpy(array).to(device) for array in read_split(images, 0, n_samples))
    found, seeds = certify(build(spec, folder).to(device), x, y, norm, Settings(**settings))
    columns = {"index": torch.arange(n_samples), "label": y, **found, **(seeds[0] if seeds else {})}
    columns["correct"] = columns["correct"].long()
    lists = {name: values.tolist() for name, values in columns.items()}
    rows = [dict(zip(lists, values, strict=True)) for values in zip(*lists.values(), strict=True)]
    write_csv(bounds, rows, COLUMNS)
    means = summarise_bounds(found["joint"], found["disagreement"], seeds)
    write_csv(summary, [{"model": model, "norm": norm, **row} for row in means])
    for row in means:
        LOGGER.info("%s %s: %s bound, mean %.4g", model, norm, row["bound"], row["mean"])


if "snakemake" in globals():
    job = globals()["snakemake"]
    start_log(job.log[0])
    main(
        images=job.input.images,
        **dict(job.output.items()),
        **dict(job.params.items()),
        model=job.wildcards.model,
        norm=job.wildcards.norm,
        device=acquire(gpu=job.resources.gpu, threads=job.resources.torch_threads),
    )
