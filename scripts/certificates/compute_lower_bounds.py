"""Compute lower bounds on test images' distances to the decision boundary, for one model, norm and shard."""

import os
from collections.abc import Mapping

import torch

from absynth.certificates.lower_bounds import bound_basis, bound_rows, compute_lower_bounds
from absynth.certificates.settings import SearchSettings
from absynth.data.split_files import read_split
from absynth.evaluation.lower_bounds import COLUMNS, DRAWS
from absynth.io.atomic import write_csv
from absynth.io.log import LOGGER, start_log
from absynth.models.building import build
from absynth.workflow.devices import acquire


def main(
    *,
    images: str | os.PathLike,
    bounds: str | os.PathLike,
    draws: str | os.PathLike,
    folder: str | os.PathLike,
    spec: Mapping,
    settings: Mapping,
    span: tuple[int, int],
    model: str,
    norm: str,
    device: torch.device,
) -> None:
    """Bound test images span[0] to span[1] - 1.

    bounds: one row per image, in the norm's unit (pixels in [0, 1]); 0 where misclassified, rival -1 there; paper and
        paper_without_kl (with the model's own prior samples) are empty where the paper has no bound
    draws: one row per image and draw of prior samples, with the paper's bounds; none where it has no bound
    """
    x, y = (torch.from_numpy(array).to(device) for array in read_split(images, *span))
    network = build(spec, folder).to(device)
    found, drawn = compute_lower_bounds(network, x, y, norm, SearchSettings(**settings))
    rows, draw_rows = bound_rows(found, drawn, torch.arange(*span), y)
    write_csv(bounds, [row | {"basis": bound_basis(network)} for row in rows], COLUMNS)
    write_csv(draws, draw_rows, DRAWS)
    mean = found["joint"].mean().item()
    LOGGER.info("%s %s: images %d to %d, mean joint bound %.4g", model, norm, span[0], span[1] - 1, mean)


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
