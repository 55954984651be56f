"""One attack on one shard of test images, from the clean prediction to the record."""

import time
from collections.abc import Sequence

import torch
from torch import Tensor

from absynth.attacks.api import Attack
from absynth.attacks.checkpoint import Progress
from absynth.attacks.confirm import confirm
from absynth.attacks.randomness import SampleRandom
from absynth.attacks.target import Target
from absynth.io.log import LOGGER, progress_bar
from absynth.models.base import predict_labels, with_inference


def attack_images(
    attack: Attack,
    model: torch.nn.Module,
    images: Tensor,
    labels: Tensor,
    index: Tensor,
    *,
    norm: str,
    name: str,
    seed: int,
    batch_size: int,
    starts: Sequence[Tensor] = (),
    progress: Progress | None = None,
) -> dict[str, Tensor]:
    """Find the best adversarial of each image by one attack.

    The attack runs on the model's fast inference, if it has one; the reference confirms what is recorded.

    Takes   images (n, 1, 28, 28) float32 in [0, 1]; labels, index (n,) int64; starts: adversarials (n, 1, 28, 28)
            that other attacks found, the clean image where one failed; asking for them costs queries;
            progress, which is saved after each batch, and from which an interrupted attack continues
    Returns the columns of a shard: index, label, clean_prediction, adversarial_prediction, adversarial,
            distance (0 if the clean image is misclassified, inf if the attack failed), queries, gradients
    """
    columns = progress.resume() if progress else {}
    batches = range(len(columns.get("index", ())), len(images), batch_size)
    for first in progress_bar(batches, f"{name} batches"):
        began = time.monotonic()
        rows = slice(first, first + batch_size)
        known = [found[rows] for found in starts]
        batch = _attack_batch(attack, model, images[rows], labels[rows], index[rows], norm, name, seed, known)
        columns = {key: torch.cat([columns[key], part]) if columns else part for key, part in batch.items()}
        found = batch["distance"]
        LOGGER.info(
            "images %d to %d: median %s %.4g, %d without adversarial, %.1f s",
            first, first + len(found) - 1, norm, found.median(), found.isinf().sum(), time.monotonic() - began,
        )  # fmt: skip
        if progress and first + batch_size < len(images):
            progress.save(columns)
    return columns


def _attack_batch(
    attack: Attack,
    model: torch.nn.Module,
    x: Tensor,
    y: Tensor,
    index: Tensor,
    norm: str,
    name: str,
    seed: int,
    starts: Sequence[Tensor],
) -> dict[str, Tensor]:
    clean = predict_labels(with_inference(model, "reference"), x)
    columns = {
        "index": index,
        "label": y,
        "clean_prediction": clean,
        "adversarial_prediction": clean.clone(),
        "adversarial": x.clone(),
        "distance": torch.zeros(len(x), dtype=torch.float64, device=x.device),
        "queries": torch.zeros_like(y),
        "gradients": torch.zeros_like(y),
    }
    rows = (clean == y).nonzero().squeeze(1)
    if len(rows):
        target = Target(with_inference(model, "fast"), x[rows], y[rows], norm)
        for start in starts:
            _show(target, start[rows])
        attack(target, SampleRandom(seed, f"{name}/{norm}", index[rows].tolist(), x.device))
        found = target.findings.recorded
        confirmation = confirm(
            with_inference(model, "reference"), x[rows], y[rows], found.best, norm, found.history
        )
        columns["adversarial_prediction"][rows] = confirmation.prediction
        columns["adversarial"][rows] = confirmation.adversarial
        columns["distance"][rows] = confirmation.distance
        columns["queries"][rows] = target.queries
        columns["gradients"][rows] = target.gradients
    return {name: values.cpu() for name, values in columns.items()}


def _show(target: Target, start: Tensor) -> None:
    """Ask for adversarials (n, 1, 28, 28) found before; there is none where it is the clean image."""
    changed = (start != target.x).flatten(1).any(dim=1)
    if changed.any():
        with target.only(changed):
            target.adversarial(start[changed])
