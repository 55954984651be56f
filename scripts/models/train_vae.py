"""Train the variational autoencoder of one class."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from absynth.data.format import PAPER, check_taken
from absynth.data.split_files import read_format, read_split
from absynth.io.atomic import write_csv
from absynth.io.log import LOGGER, start_log
from absynth.models.weights import save_weights
from absynth.training.vae import VAESettings, train_vae
from absynth.workflow.devices import acquire


def main(
    *,
    images: str | os.PathLike[str],
    weights: str | os.PathLike[str],
    curve: str | os.PathLike[str],
    label: int,
    settings: Mapping[str, Any],
    seed: int,
    checkpoint: str | os.PathLike[str],
    device: torch.device,
) -> None:
    """Train on the images of class `label`; write the state dict and the curve (loss and KL per epoch).

    Resumes from `checkpoint` if an interrupted training with these settings left one.
    """
    check_taken("abs", PAPER, read_format(images))
    x, y = map(torch.from_numpy, read_split(images))
    chosen = x[y == label]
    LOGGER.info("class %d: %d images", label, len(chosen))
    vae, rows = train_vae(chosen, VAESettings(**settings, seed=seed), device=device, checkpoint=checkpoint)
    save_weights(weights, vae)
    write_csv(curve, rows)
    Path(checkpoint).unlink(missing_ok=True)


if "snakemake" in globals():
    job = globals()["snakemake"]
    start_log(job.log[0])
    main(
        images=job.input.images,
        **dict(job.output.items()),
        **dict(job.params.items()),
        device=acquire(gpu=job.resources.gpu, threads=job.resources.torch_threads),
    )
