"""Reconstruct images and their adversarials by their own class and by the class that the adversarial is taken for."""

import os
from collections.abc import Mapping

import numpy as np
import torch

from absynth import __version__
from absynth.data.split_files import read_split
from absynth.evaluation.selection import one_per_class
from absynth.io.log import start_log
from absynth.io.records import MINIMAL, RECONSTRUCTIONS, read_record, write_record
from absynth.models.abs.synthesis import reconstruct_adversarials
from absynth.models.base import with_inference
from absynth.models.building import build
from absynth.workflow.devices import acquire


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
    device: torch.device,
) -> None:
    """Write one sample per class (see absynth.io.records.RECONSTRUCTIONS), reconstructed by reference inference.

    Only samples with an adversarial are chosen; there may be none.
    """
    found, attributes = read_record(minimal, MINIMAL, {"run": run, "model": model})
    fooled = (found["distance"] > 0) & np.isfinite(found["distance"])
    found = {name: values[fooled] for name, values in found.items()}
    rows = one_per_class(found["index"], found["label"], {model: found["distance"]}, seed)
    chosen = {name: values[rows] for name, values in found.items()}
    clean, _ = read_split(images, 0, int(chosen["index"].max(initial=-1)) + 1)
    pairs = np.stack([clean[chosen["index"]], chosen["adversarial"]], axis=1)  # (n, 2, 1, 28, 28)
    classes = np.stack([chosen["label"], chosen["adversarial_prediction"]], axis=1)  # (n, 2)
    network = with_inference(build(spec, folder).to(device), "reference")
    made = reconstruct_adversarials(
        network, torch.from_numpy(pairs).to(device), torch.from_numpy(classes).to(device)
    )
    columns = {
        "index": chosen["index"],
        "label": chosen["label"],
        "rival": chosen["adversarial_prediction"],
        "clean": pairs[:, 0],
        "adversarial": pairs[:, 1],
        **{name: values.cpu().numpy() for name, values in made.items()},
    }
    attributes = {"run": run, "model": model, "norm": attributes["norm"], "absynth": __version__}
    write_record(reconstructions, columns, attributes, RECONSTRUCTIONS)


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
