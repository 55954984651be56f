"""Train a feed-forward classifier: CNN, Binary CNN, the substitute, or, adversarially, Madry et al."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from absynth.data.split_files import read_format, read_split
from absynth.io.atomic import write_csv
from absynth.io.log import start_log
from absynth.models.binarize import binarize
from absynth.models.cnn import NETWORKS
from absynth.models.weights import save_weights
from absynth.training.classifier import Adversary, ClassifierSettings, train_classifier
from absynth.workflow.devices import acquire


def main(
    *,
    images: str | os.PathLike[str],
    weights: str | os.PathLike[str],
    curve: str | os.PathLike[str],
    network: str,
    binarises: bool,
    settings: Mapping[str, Any],
    seed: int,
    checkpoint: str | os.PathLike[str],
    device: torch.device,
) -> None:
    """Train `network` (a key of NETWORKS) and write its state dict and curve (loss and accuracy per epoch).

    binarises: whether the images are binarised first
    settings: epochs, batch_size, learning_rate, shift; for adversarial training also what `Adversary` holds
    Resumes from `checkpoint` if an interrupted training with these settings left one.
    """
    x, y = map(torch.from_numpy, read_split(images))
    common = {key: settings[key] for key in ("epochs", "batch_size", "learning_rate", "shift")}
    adversarial = {key: value for key, value in settings.items() if key not in common}
    adversary = Adversary(**adversarial) if adversarial else None
    torch.manual_seed(seed)
    model = NETWORKS[network](read_format(images))
    rows = train_classifier(
        model,
        binarize(x) if binarises else x,
        y,
        ClassifierSettings(**common, seed=seed, adversary=adversary),
        device=device,
        checkpoint=checkpoint,
    )
    save_weights(weights, model)
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
