"""Make the prototypes of a model from the VAEs of all classes."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from absynth.data.format import PAPER, check_taken
from absynth.data.split_files import read_format, read_split
from absynth.io.log import LOGGER, start_log
from absynth.io.opening import MADE
from absynth.models.abs.enumeration import PrototypeSettings, enumerate_abs
from absynth.models.abs.vae import VAE
from absynth.models.prototypes import save_prototypes
from absynth.models.weights import load_weights
from absynth.workflow.devices import acquire


def main(
    *,
    images: str | os.PathLike[str],
    vaes: Sequence[str | os.PathLike[str]],
    weights: str | os.PathLike[str],
    settings: Mapping[str, Any],
    device: torch.device,
) -> None:
    """Write prototypes, offsets and the number of prototypes of each class.

    images: the training split, whose images are encoded; vaes: one file per class, in their order
    """
    check_taken("prototype_abs", PAPER, read_format(images))
    x, y = map(torch.from_numpy, read_split(images))
    loaded = [VAE() for _ in vaes]
    for vae, path in zip(loaded, vaes, strict=True):
        load_weights(path, vae, damaged=MADE)
    model = enumerate_abs(loaded, x, y, PrototypeSettings(**settings), device)
    save_prototypes(weights, model)
    LOGGER.info("%d prototypes; of each class: %s", len(model.images), model.counts)


if "snakemake" in globals():
    job = globals()["snakemake"]
    start_log(job.log[0])
    main(
        images=job.input.images,
        vaes=job.input.vaes,
        weights=job.output.weights,
        settings=job.params.settings,
        device=acquire(gpu=job.resources.gpu, threads=job.resources.torch_threads),
    )
