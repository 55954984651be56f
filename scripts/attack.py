"""Run one attack on one model in one norm over one shard of test images."""

import os
import time
from collections.abc import Mapping
from importlib.metadata import version

import torch

from absynth import __version__
from absynth.attacks.run import attack_images
from absynth.data.splits import read_split
from absynth.devices import acquire
from absynth.log import LOGGER, start_log
from absynth.models.files import build, resolve
from absynth.records import SHARD, write_record


def main(
    *,
    images: str | os.PathLike,
    shard: str | os.PathLike,
    run: str,
    folder: str | os.PathLike,
    spec: Mapping,
    model: str,
    norm: str,
    attack: str,
    builder: str,
    budget: Mapping,
    batch_size: int,
    span: tuple[int, int],
    seed: int,
    device: torch.device,
) -> None:
    """Attack test images span[0] to span[1] - 1 and write the shard (see absynth.records.SHARD)."""
    began = time.monotonic()
    x, y = (torch.from_numpy(array).to(device) for array in read_split(images, *span))
    found = attack_images(
        resolve(builder)(norm, **budget),
        build(spec, folder).to(device),
        x,
        y,
        torch.arange(*span, device=device),
        norm=norm,
        name=attack,
        seed=seed,
        batch_size=batch_size,
    )
    seconds = time.monotonic() - began
    LOGGER.info(
        "%s on %s in %s: median %.4g, %.1f s", attack, model, norm, found["distance"].median(), seconds
    )
    attributes = {
        "run": run,
        "model": model,
        "norm": norm,
        "attack": attack,
        "seed": seed,
        "seconds": seconds,
        "device": str(device),
        "absynth": __version__,
        "torch": version("torch"),
        "foolbox": version("foolbox"),
    }
    write_record(shard, {name: values.numpy() for name, values in found.items()}, attributes, SHARD)


if "snakemake" in globals():
    job = globals()["snakemake"]
    start_log(job.log[0])
    main(
        images=job.input.images,
        shard=job.output.shard,
        **dict(job.params.items()),
        **{key: job.wildcards[key] for key in ("model", "norm", "attack")},
        device=acquire(gpu=job.resources.gpu, threads=job.threads),
    )
