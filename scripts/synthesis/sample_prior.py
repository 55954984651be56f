"""Decode samples of the prior with every class's decoder."""

import os
from collections.abc import Mapping

import torch

from absynth import __version__
from absynth.io.log import start_log
from absynth.io.records import SAMPLES, write_record
from absynth.models.abs.synthesis import sample_prior
from absynth.models.building import build
from absynth.workflow.devices import acquire


def main(
    *,
    samples: str | os.PathLike,
    run: str,
    model: str,
    folder: str | os.PathLike,
    spec: Mapping,
    n: int,
    seed: int,
    device: torch.device,
) -> None:
    """Write n samples per class (see absynth.io.records.SAMPLES)."""
    latents, images = sample_prior(build(spec, folder).to(device), n, seed)
    columns = {
        "index": torch.arange(len(images)),
        "label": torch.arange(len(images) // n).repeat_interleave(n),
        "latent": latents,
        "image": images,
    }
    attributes = {"run": run, "model": model, "seed": seed, "absynth": __version__}
    write_record(
        samples, {name: values.cpu().numpy() for name, values in columns.items()}, attributes, SAMPLES
    )


if "snakemake" in globals():
    job = globals()["snakemake"]
    start_log(job.log[0])
    main(
        samples=job.output.samples,
        **{name: value for name, value in job.params.items() if name != "numbers"},
        **job.params.numbers,
        device=acquire(gpu=job.resources.gpu, threads=job.resources.torch_threads),
    )
