"""Compare the lower bounds of one model in one norm with its attacks."""

import os
from collections.abc import Mapping
from typing import Any

import torch

from absynth.certificates.lower_bounds import lower_bounds
from absynth.certificates.settings import SearchSettings
from absynth.data.split_files import read_split
from absynth.evaluation.bracket import (
    CURVES,
    INTERVALS,
    MEDIANS,
    VIOLATIONS,
    bound_violations,
    bracket_curves,
    intervals,
    medians,
)
from absynth.io.atomic import write_csv
from absynth.io.log import LOGGER, start_log
from absynth.io.records import MINIMAL, read_record
from absynth.io.tables import read_table
from absynth.models.base import with_inference
from absynth.models.building import build
from absynth.workflow.devices import acquire

StrPath = str | os.PathLike


def main(
    *,
    images: StrPath,
    bounds: StrPath,
    minimal: StrPath,
    bracket: StrPath,
    violations: StrPath,
    middle: StrPath,
    curve: StrPath,
    run: str,
    folder: StrPath,
    spec: Mapping[str, Any],
    settings: Mapping[str, Any],
    model: str,
    norm: str,
    device: torch.device,
) -> None:
    """Write each image's interval, the medians, the curves, and the bound violations.

    violations: the images whose best adversarial lies below their lower bound. `margin` is how much lower the energy
        of the own class is at that adversarial than that of any rival, when all are searched from many starts. Where
        it is positive the violation is attributed to inference: the reference inference missed a better latent of
        the own class, and the model with exact inference classifies the image correctly.
    """
    identity = {"model": model, "norm": norm}
    best, _ = read_record(minimal, MINIMAL, {"run": run, **identity})
    found = intervals(read_table(bounds), best, os.fspath(bounds)).assign(**identity)
    rows = bound_violations(found).to_dict("records")
    if rows:
        network = with_inference(build(spec, folder).to(device), "reference")
        index = [row["index"] for row in rows]
        margins = _margins(network, SearchSettings(**settings), images, best, index, device)
        for row, margin in zip(rows, margins.tolist(), strict=True):
            row |= {"margin": margin, "attributed_to_inference": int(margin > 0)}
    write_csv(bracket, found.to_dict("records"), INTERVALS)
    write_csv(violations, rows, VIOLATIONS)
    write_csv(middle, [{**identity, **medians(found)}], MEDIANS)
    write_csv(curve, bracket_curves(found).assign(**identity).to_dict("records"), CURVES)
    unattributed = sum(1 - row["attributed_to_inference"] for row in rows)
    log = LOGGER.error if unattributed else LOGGER.info
    log(
        "%s %s: %d adversarials below their lower bound, %d of them not attributed to inference",
        *(model, norm, len(rows), unattributed),
    )


def _margins(
    network: torch.nn.Module,
    settings: SearchSettings,
    images: StrPath,
    best: Mapping[str, Any],
    index: list[int],
    device: torch.device,
) -> torch.Tensor:
    """The margin (m,) of energy at the best adversarial of each image in `index` (m,)."""
    x, y = (torch.from_numpy(array).to(device) for array in read_split(images))
    chosen = torch.tensor(index, device=device)
    position = {image: row for row, image in enumerate(best["index"].tolist())}
    adversarials = torch.from_numpy(best["adversarial"][[position[image] for image in index]]).to(device)
    batches = (values.split(settings.batch_size) for values in (adversarials, y[chosen], x[chosen]))
    method = lower_bounds(network, settings)
    return torch.cat([method.margin(*batch) for batch in zip(*batches, strict=True)])


if "snakemake" in globals():
    job = globals()["snakemake"]
    start_log(job.log[0])
    main(
        images=job.input.images,
        bounds=job.input.bounds,
        minimal=job.input.minimal,
        **dict(job.output.items()),
        **dict(job.params.items()),
        model=job.wildcards.model,
        norm=job.wildcards.norm,
        device=acquire(gpu=job.resources.gpu, threads=job.resources.torch_threads),
    )
