"""Hold the certificates of one model and norm against its attacks."""

import os
from collections.abc import Mapping

import pandas as pd
import torch

from absynth.certificates.lower_bounds import lower_bounds
from absynth.certificates.settings import SearchSettings
from absynth.data.splits import read_split
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
from absynth.models.base import with_inference
from absynth.models.building import build
from absynth.workflow.devices import acquire


def main(
    *,
    images: str | os.PathLike,
    bounds: str | os.PathLike,
    minimal: str | os.PathLike,
    bracket: str | os.PathLike,
    violations: str | os.PathLike,
    middle: str | os.PathLike,
    curve: str | os.PathLike,
    run: str,
    folder: str | os.PathLike,
    spec: Mapping,
    settings: Mapping,
    model: str,
    norm: str,
    device: torch.device,
) -> None:
    """Write each image's interval, the medians, the curves, and what would refute the certificate.

    violations: the images with an adversarial below their bound. `margin` is the energy by which the own class
        explains that adversarial better than any rival once all are inferred from many starts; where it is
        positive the case is explained: the reference missed a better latent of the own class, and the image is
        no adversarial of the model it approximates.
    """
    identity = {"model": model, "norm": norm}
    columns, _ = read_record(minimal, MINIMAL, {"run": run, **identity})
    found = intervals(pd.read_csv(bounds), columns, os.fspath(bounds)).assign(**identity)
    below = bound_violations(found)
    rows = below.to_dict("records")
    if rows:
        network = with_inference(build(spec, folder).to(device), "reference")
        x, y = (torch.from_numpy(array).to(device) for array in read_split(images))
        chosen = torch.from_numpy(below["index"].to_numpy()).to(device)
        position = {index: row for row, index in enumerate(columns["index"])}
        picked = [position[index] for index in below["index"]]
        adversarials = torch.from_numpy(columns["adversarial"][picked]).to(device)
        certified, asked = SearchSettings(**settings), (adversarials, y[chosen], x[chosen])
        batches = zip(*(values.split(certified.batch_size) for values in asked), strict=True)
        margins = torch.cat([lower_bounds(network, certified).margin(*batch) for batch in batches])
        for row, margin in zip(rows, margins.tolist(), strict=True):
            row |= {"margin": margin, "attributed_to_inference": int(margin > 0)}
    write_csv(bracket, found.to_dict("records"), INTERVALS)
    write_csv(violations, rows, VIOLATIONS)
    write_csv(middle, [{**identity, **medians(found)}], MEDIANS)
    write_csv(curve, bracket_curves(found).assign(**identity).to_dict("records"), CURVES)
    unexplained = sum(1 - row["attributed_to_inference"] for row in rows)
    log = LOGGER.error if unexplained else LOGGER.info
    log("%s %s: %d adversarials below their bound, %d unexplained", model, norm, len(rows), unexplained)


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
