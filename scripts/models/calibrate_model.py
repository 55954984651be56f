"""Find a model's α, η and, for Binary ABS, γ."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from absynth import __version__
from absynth.data.split_files import read_format, read_split
from absynth.evaluation.calibration import calibrate, classes, fit_gamma, predict
from absynth.io.atomic import write_text
from absynth.io.log import LOGGER, start_log
from absynth.models.building import build
from absynth.workflow.devices import acquire

_BATCH = 500


def main(
    *,
    test: str | os.PathLike[str],
    output: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    spec: Mapping[str, Any],
    gamma_images: int | None,
    n_accuracy: int | None,
    device: torch.device,
    train: str | os.PathLike[str] | None = None,
    calibration: str | os.PathLike[str] | None = None,
) -> None:
    """Write the constants, the confidence and accuracy on the calibration split, and the accuracy on test images.

    ABS and Binary ABS are evaluated with fast inference. γ, if the model has one, is searched for on the first
    `gamma_images` training images. The file also says how to build the model (see absynth.load_model).
    n_accuracy: the number of the first test images on which accuracy is measured, None or more than there are for all
    train, calibration: None for a data set without training images; constants, and what depends on them, are null
    spec: what the model is built from, paths relative to `folder` (see absynth.models.building.build)
    """
    model = build({**spec, "calibration": None}, folder).to(device)

    def logits_of(path: str | os.PathLike[str], n: int | None = None) -> tuple[Tensor, Tensor]:
        images, labels = map(torch.from_numpy, read_split(path, 0, n))
        return predict(model, images, _BATCH, device), labels

    gamma = fit_gamma(*logits_of(train, gamma_images)) if train and gamma_images else None
    scale = torch.tensor(gamma or 1.0)
    result: dict[str, Any] = dict.fromkeys(("alpha", "eta", "median_confidence", "accuracy"))
    result["n"] = 0
    if calibration:
        logits, labels = logits_of(calibration)
        result = calibrate(logits * scale, labels)
    images, labels = map(torch.from_numpy, read_split(test))
    images, labels = images[:n_accuracy], labels[:n_accuracy]
    found = classes(model, images, scale, _BATCH, device)
    result["test_accuracy"] = (found == labels).double().mean().item()
    result["n_test"] = len(labels)
    if "nonfinite" in result:
        LOGGER.warning(
            "%d of %d calibration images left out: their logits are not finite",
            *(result["nonfinite"], result["n"]),
        )
    LOGGER.info(", ".join(f"{key} {value:.6g}" for key, value in result.items() if value is not None))
    about = {**spec, "format": asdict(read_format(test))}
    content = {**result, "gamma": gamma, "model": about, "absynth": __version__}
    write_text(output, json.dumps(content, indent=2, sort_keys=True) + "\n")


if "snakemake" in globals():
    job = globals()["snakemake"]
    start_log(job.log[0])
    main(
        train=job.input.get("train"),
        calibration=job.input.get("calibration"),
        test=job.input.test,
        output=job.output.calibration,
        folder=job.params.folder,
        spec=job.params.spec,
        **job.params.counts,
        device=acquire(gpu=job.resources.gpu, threads=job.resources.torch_threads),
    )
