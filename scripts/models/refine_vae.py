"""Refine the trained variational autoencoder of one class."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from absynth.data.format import PAPER, check_taken
from absynth.data.split_files import read_format, read_split
from absynth.io.atomic import write_csv
from absynth.io.log import LOGGER, start_log
from absynth.io.opening import MADE
from absynth.io.tables import read_table
from absynth.models.abs.vae import VAE
from absynth.models.weights import load_weights, save_weights
from absynth.training.vae import RefinementSettings, refine_vae
from absynth.workflow.devices import acquire


def main(
    *,
    images: str | os.PathLike[str],
    unrefined: str | os.PathLike[str],
    unrefined_curve: str | os.PathLike[str],
    weights: str | os.PathLike[str],
    curve: str | os.PathLike[str],
    label: int,
    settings: Mapping[str, Any],
    seed: int,
    checkpoint: str | os.PathLike[str],
    device: torch.device,
) -> None:
    """Refine the VAE `unrefined` on the images of class `label`; write its state dict and its curve (loss and KL).

    The curve continues `unrefined_curve`. Resumes from `checkpoint` if an interrupted training with these settings
    left one.
    """
    check_taken("abs", PAPER, read_format(images))
    x, y = map(torch.from_numpy, read_split(images))
    chosen = x[y == label]
    LOGGER.info("class %d: %d images", label, len(chosen))
    vae = VAE()
    load_weights(unrefined, vae, damaged=MADE)
    refinement = RefinementSettings(**settings, seed=seed)
    vae, refined = refine_vae(vae, chosen, refinement, device=device, checkpoint=checkpoint)
    earlier = read_table(unrefined_curve).to_dict("records")
    rows = earlier + [{**row, "epoch": len(earlier) + row["epoch"]} for row in refined]
    save_weights(weights, vae)
    write_csv(curve, rows)
    Path(checkpoint).unlink(missing_ok=True)


if "snakemake" in globals():
    job = globals()["snakemake"]
    start_log(job.log[0])
    main(
        **{name: path for name, path in job.input.items() if name != "code"},
        **dict(job.output.items()),
        **dict(job.params.items()),
        device=acquire(gpu=job.resources.gpu, threads=job.resources.torch_threads),
    )
