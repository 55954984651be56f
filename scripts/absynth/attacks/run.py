"""One attack on one shard of test images, from the clean prediction to the record."""

import time
from collections.abc import Callable

import torch
from torch import Tensor

from absynth.attacks.randomness import SampleRandom
from absynth.attacks.target import Target
from absynth.attacks.verdict import judge, predict_labels
from absynth.log import LOGGER, progress_bar
from absynth.models.loading import with_inference

Attack = Callable[[Target, SampleRandom], None]


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
) -> dict[str, Tensor]:
    """Find each image's nearest adversarial that one attack can reach.

    The attack runs on the model's fast inference, if it has one; the reference judges what is recorded.

    Takes   images (n, 1, 28, 28) float32 in [0, 1]; labels, index (n,) int64
    Returns the columns of a shard: index, label, clean_prediction, adversarial_prediction, adversarial,
            distance (0 if the clean image is misread, inf if the attack failed), queries, gradients
    """
    starts = range(0, len(images), batch_size)
    batches = []
    for start in progress_bar(starts, f"{name} batches"):
        began = time.monotonic()
        rows = slice(start, start + batch_size)
        batches.append(
            _attack_batch(attack, model, images[rows], labels[rows], index[rows], norm, name, seed)
        )
        found = batches[-1]["distance"]
        LOGGER.info(
            "images %d to %d: median %s %.4g, %d without adversarial, %.1f s",
            start, start + len(found) - 1, norm, found.median(), found.isinf().sum(), time.monotonic() - began,
        )  # fmt: skip
    return {column: torch.cat([batch[column] for batch in batches]).cpu() for column in batches[0]}


def _attack_batch(
    attack: Attack,
    model: torch.nn.Module,
    x: Tensor,
    y: Tensor,
    index: Tensor,
    norm: str,
    name: str,
    seed: int,
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
        attack(target, SampleRandom(seed, f"{name}/{norm}", index[rows].tolist(), x.device))
        verdict = judge(with_inference(model, "reference"), x[rows], y[rows], target.best, norm, target.trail)
        columns["adversarial_prediction"][rows] = verdict.prediction
        columns["adversarial"][rows] = verdict.adversarial
        columns["distance"][rows] = verdict.distance
        columns["queries"][rows] = target.queries
        columns["gradients"][rows] = target.gradients
    return columns
