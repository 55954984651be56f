"""One attack on one shard of test images, from the clean prediction to the record."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from absynth.attacks import memory
from absynth.attacks.api import Attack
from absynth.attacks.checkpoint import Progress
from absynth.attacks.confirm import confirm
from absynth.attacks.randomness import SampleRandom
from absynth.attacks.target import Target
from absynth.io.log import LOGGER, progress_bar
from absynth.io.records import TIGHT_AT_START, TIGHT_BY_ITSELF
from absynth.models.base import predict_labels, with_inference


@dataclass(frozen=True)
class Samples:
    """The images that an attack works on.

    images (n, c, h, w) float32 in [0, 1]; labels, index (n,) int64: classes and positions in the test split
    starts: adversarials (n, c, h, w) that other attacks found, the clean image where one failed; asking for them
        costs queries
    stopped: codes (n,) int64 of `absynth.attacks.relay`; images whose code is not 0 are not attacked: the best of
        their starts is recorded. None attacks all.
    ends: distances (n,) float64 at which a best adversarial ends the attack on its image, be it one of the starts
        or its own (`absynth.attacks.tight`). None ends no image.
    """

    images: Tensor
    labels: Tensor
    index: Tensor
    starts: Sequence[Tensor] = ()
    stopped: Tensor | None = None
    ends: Tensor | None = None

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, rows: slice | Tensor) -> "Samples":
        starts = [start[rows] for start in self.starts]
        stopped = None if self.stopped is None else self.stopped[rows]
        ends = None if self.ends is None else self.ends[rows]
        return Samples(self.images[rows], self.labels[rows], self.index[rows], starts, stopped, ends)


@dataclass(frozen=True)
class AttackSettings:
    """An attack, its name and norm, the seed of its random numbers, and how many images it is given at a time."""

    attack: Attack
    name: str
    norm: str
    seed: int
    batch_size: int


def attack_images(
    settings: AttackSettings, model: nn.Module, samples: Samples, progress: Progress | None = None
) -> dict[str, Tensor]:
    """Find the best adversarial of each image by one attack.

    The attack runs on the model's fast inference, if it has one; the reference confirms what is recorded.

    progress: saved after each batch; an interrupted attack continues from it
    Returns the columns of a shard, (n, …) each: index, label, clean_prediction, adversarial_prediction, adversarial,
            distance (0 if the clean image is misclassified or classified as neither class, inf if the attack failed),
            queries, gradients, nonfinite and, if the samples have codes `stopped` or `ends`, the codes `stopped`
    """
    columns = progress.resume() if progress else {}
    batches = range(len(columns.get("index", ())), len(samples), settings.batch_size)
    for first in progress_bar(batches, f"{settings.name} batches"):
        began = time.monotonic()
        batch = _attack_batch(settings, model, samples[slice(first, first + settings.batch_size)])
        columns = {key: torch.cat([columns[key], part]) if columns else part for key, part in batch.items()}
        found = batch["distance"]
        LOGGER.info(
            "images %d to %d: median %s %.4g, %d without adversarial, %.1f s",
            first, first + len(found) - 1, settings.norm,
            np.median(found.numpy()), found.isinf().sum(), time.monotonic() - began,
        )  # fmt: skip
        memory.release()
        if progress and first + settings.batch_size < len(samples):
            progress.save(columns)
    return columns


def _attack_batch(settings: AttackSettings, model: nn.Module, samples: Samples) -> dict[str, Tensor]:
    x, y = samples.images, samples.labels
    reference = with_inference(model, "reference")
    clean = predict_labels(reference, x)
    columns = {
        "index": samples.index,
        "label": y,
        "clean_prediction": clean,
        "adversarial_prediction": clean.clone(),
        "adversarial": x.clone(),
        "distance": torch.zeros(len(x), dtype=torch.float64, device=x.device),
        "queries": torch.zeros_like(y),
        "gradients": torch.zeros_like(y),
        "nonfinite": torch.zeros_like(y),
    }
    if samples.stopped is not None or samples.ends is not None:
        columns["stopped"] = torch.zeros_like(y) if samples.stopped is None else samples.stopped.clone()
    rows = (clean == y).nonzero().squeeze(1)
    if len(rows):
        attacked = samples[rows]
        target = Target(with_inference(model, "fast"), attacked.images, attacked.labels, settings.norm)
        for start in attacked.starts:
            _ask_start(target, start)
        target.findings.end_at(attacked.ends)  # from now on: the best of all starts is recorded
        random = SampleRandom(
            settings.seed, f"{settings.name}/{settings.norm}", attacked.index.tolist(), x.device
        )
        codes = torch.zeros_like(attacked.labels) if attacked.stopped is None else attacked.stopped.clone()
        codes[(codes == 0) & target.findings.ended] = TIGHT_AT_START
        goes_on = codes == 0
        if goes_on.any():
            with target.only(goes_on):
                settings.attack(target, random)
        codes[goes_on & target.findings.ended] = TIGHT_BY_ITSELF
        if "stopped" in columns:
            columns["stopped"][rows] = codes
        found = target.findings.recorded
        confirmed = confirm(
            reference, attacked.images, attacked.labels, found.best, settings.norm, found.history
        )
        columns["adversarial_prediction"][rows] = confirmed.prediction
        columns["adversarial"][rows] = confirmed.adversarial
        columns["distance"][rows] = confirmed.distance
        columns["queries"][rows] = target.queries
        columns["gradients"][rows] = target.gradients
        columns["nonfinite"][rows] = target.findings.nonfinite
    return {name: values.cpu() for name, values in columns.items()}


def _ask_start(target: Target, start: Tensor) -> None:
    """Ask for adversarials (n, c, h, w) found before; there is none where it is the clean image."""
    changed = (start != target.x).flatten(1).any(dim=1)
    if changed.any():
        with target.only(changed):
            target.adversarial(start[changed])
