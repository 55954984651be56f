"""Reconstruct images and their adversarials by their own class and by the class that the adversarial is taken for."""

import os
from collections.abc import Mapping

import numpy as np
import torch

from absynth import __version__
from absynth.data.split_files import read_split
from absynth.evaluation.selection import one_per_class
from absynth.io.log import progress_bar, start_log
from absynth.io.records import MINIMAL, RECONSTRUCTIONS, read_record, write_record
from absynth.models.abs.model import ABS
from absynth.models.abs.synthesis import reconstruct_adversarials
from absynth.models.base import with_inference
from absynth.models.building import build
from absynth.workflow.devices import acquire

_TOGETHER = 50  # images and their adversarials that are reconstructed at a time


def main(
    *,
    images: str | os.PathLike,
    minimal: str | os.PathLike,
    reconstructions: str | os.PathLike,
    run: str,
    model: str,
    folder: str | os.PathLike,
    spec: Mapping,
    seed: int,
    first: int,
    device: torch.device,
) -> None:
    """Write what reference inference reconstructs (see absynth.io.records.RECONSTRUCTIONS), image by image.

    These are, of the images with an adversarial, one per class and those among the run's `first`; there may be none.
    """
    found, attributes = read_record(minimal, MINIMAL, {"run": run, "model": model})
    fooled = (found["distance"] > 0) & np.isfinite(found["distance"])
    found = {name: values[fooled] for name, values in found.items()}
    drawn = one_per_class(found["index"], found["label"], {model: found["distance"]}, seed)
    others = np.setdiff1d(np.flatnonzero(found["index"] < first), drawn)
    clean, _ = read_split(images, 0, int(found["index"].max(initial=-1)) + 1)
    network = with_inference(build(spec, folder).to(device), "reference")
    parts = [
        np.array(drawn, dtype=int),
        *(others[i : i + _TOGETHER] for i in range(0, len(others), _TOGETHER)),
    ]
    made = [
        _reconstructed(network, clean, {name: values[rows] for name, values in found.items()}, device)
        for rows in progress_bar(parts, f"{model} parts")
    ]
    columns = {name: np.concatenate([part[name] for part in made]) for name in made[0]}
    columns["drawn"] = (np.arange(len(columns["index"])) < len(drawn)).astype(np.int64)
    order = columns["index"].argsort()
    attributes = {"run": run, "model": model, "norm": attributes["norm"], "absynth": __version__}
    write_record(
        reconstructions,
        {name: values[order] for name, values in columns.items()},
        attributes,
        RECONSTRUCTIONS,
    )


def _reconstructed(
    network: ABS, clean: np.ndarray, chosen: Mapping[str, np.ndarray], device: torch.device
) -> dict[str, np.ndarray]:
    """The columns of the chosen images, of which `clean` has those of the run and `chosen` the adversarials."""
    pairs = np.stack([clean[chosen["index"]], chosen["adversarial"]], axis=1)  # (n, 2, C, H, W)
    classes = np.stack([chosen["label"], chosen["adversarial_prediction"]], axis=1)  # (n, 2)
    made = reconstruct_adversarials(
        network, torch.from_numpy(pairs).to(device), torch.from_numpy(classes).to(device)
    )
    return {
        "index": chosen["index"],
        "label": chosen["label"],
        "rival": chosen["adversarial_prediction"],
        "clean": pairs[:, 0],
        "adversarial": pairs[:, 1],
        **{name: values.cpu().numpy() for name, values in made.items()},
    }


if "snakemake" in globals():
    job = globals()["snakemake"]
    start_log(job.log[0])
    main(
        images=job.input.images,
        minimal=job.input.minimal,
        reconstructions=job.output.reconstructions,
        model=job.wildcards.model,
        **dict(job.params.items()),
        device=acquire(gpu=job.resources.gpu, threads=job.resources.torch_threads),
    )
