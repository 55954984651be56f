"""Probe a model before anything is spent on it."""

import json
import os
from collections.abc import Mapping
from typing import Any

import torch

from absynth.data.split_files import read_split
from absynth.evaluation.probe import probe
from absynth.evaluation.probe_checks import Subject
from absynth.io.atomic import write_text
from absynth.io.log import LOGGER, start_log
from absynth.models.building import build
from absynth.workflow.devices import acquire


def main(
    *,
    images: str | os.PathLike[str],
    output: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    spec: Mapping[str, Any],
    name: str,
    gradients: bool,
    binarises: bool,
    n: int,
    device: torch.device,
) -> None:
    """Write the accuracy on the first `n` test images and the warnings of the probe; no times, so it stays as it is.

    spec: what the model is built from, paths relative to `folder` (see absynth.models.building.build); it is probed
        without γ, which its calibration is yet to find
    gradients, binarises: whether the config says that the model is differentiable, and that it binarises its input
    Raises InputError for a model that cannot be evaluated.
    """
    model = build({**spec, "calibration": None}, folder).to(device)
    chosen = spec["options"].get("class")
    subject = Subject(f"{name} ({chosen})" if chosen else name, model, gradients, binarises=binarises)
    x, y = (torch.from_numpy(array[:n]).to(device) for array in read_split(images))
    found = probe(subject, x, y)
    for warning in found.warnings:
        LOGGER.warning("%s: %s", subject.name, warning)
    LOGGER.info("%s: %.0f%% of %d test images classified correctly", name, 100 * found.accuracy, found.n)
    content = {"model": name, "accuracy": found.accuracy, "n": found.n, "warnings": found.warnings}
    write_text(output, json.dumps(content, indent=2, sort_keys=True) + "\n")


if "snakemake" in globals():
    job = globals()["snakemake"]
    start_log(job.log[0])
    main(
        images=job.input.images,
        output=job.output.probe,
        name=job.wildcards.model,
        **dict(job.params.items()),
        device=acquire(gpu=job.resources.gpu, threads=job.resources.torch_threads),
    )
