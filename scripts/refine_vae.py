"""Train the variational autoencoder of one class further, on moved images."""

import os
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import torch

from absynth.atomic import write_csv
from absynth.data.splits import read_split
from absynth.devices import acquire
from absynth.log import start_log
from absynth.models.vae import VAE
from absynth.models.weights import load_weights, save_weights
from absynth.training.vae import refine_vae


def main(
    *,
    images: str | os.PathLike,
    unrefined: str | os.PathLike,
    unrefined_curve: str | os.PathLike,
    weights: str | os.PathLike,
    curve: str | os.PathLike,
    label: int,
    settings: Mapping,
    seed: int,
    checkpoint: str | os.PathLike,
    device: torch.device,
) -> None:
    """Refine the VAE `unrefined` on the images of class `label`; write its state dict and the whole curve.

    Continues from `checkpoint` if an earlier, interrupted refinement with these settings left one.
    """
    vae = VAE()
    load_weights(unrefined, vae)
    x, y = map(torch.from_numpy, read_split(images))
    vae, rows = refine_vae(vae, x[y == label], **settings, seed=seed, device=device, checkpoint=checkpoint)
    save_weights(weights, vae)
    earlier = pd.read_csv(unrefined_curve).to_dict("records")
    write_csv(curve, earlier + [{**row, "epoch": len(earlier) + row["epoch"]} for row in rows])
    Path(checkpoint).unlink(missing_ok=True)


if "snakemake" in globals():
    job = globals()["snakemake"]
    start_log(job.log[0])
    main(
        **{name: job.input[name] for name in ("images", "unrefined", "unrefined_curve")},
        **dict(job.output.items()),
        **dict(job.params.items()),
        device=acquire(gpu=job.resources.gpu, threads=job.resources.torch_threads),
    )
