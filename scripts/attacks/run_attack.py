"""Run one attack on one model in one norm over one shard of test images."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from absynth import __version__
from absynth.attacks.checkpoint import Progress, fingerprint
from absynth.attacks.relay import NO_GAIN, TIGHT, left_out
from absynth.attacks.run import AttackSettings, Samples, attack_images
from absynth.attacks.tight import end_distances
from absynth.data.split_files import read_split
from absynth.errors import InputError
from absynth.io.log import LOGGER, start_log
from absynth.io.proved_bounds import read_proved_bounds
from absynth.io.records import SHARD, TIGHT_AT_START, TIGHT_BY_ITSELF, read_record, write_record
from absynth.models.building import build, resolve
from absynth.workflow.devices import acquire

VERSIONS = {"absynth": __version__, "torch": version("torch"), "foolbox": version("foolbox")}


@dataclass(frozen=True)
class Job:
    """What one job is to do.

    run, model, norm, attack: the identity of its shard
    spec: what the model is built from (see absynth.models.building.build)
    builder, options: "module:function" of the attack and its keyword arguments
    relay: for a later round of a relay, what decides which images it leaves out (`Plan.relay_leg`)
    end: what decides at which distance an image is done with (`Plan.end`); None for never
    substitute: what the substitute is built from, for an attack that needs it
    span: first and one past the last test image
    """

    run: str
    model: str
    norm: str
    attack: str
    spec: Mapping[str, Any]
    builder: str
    options: Mapping[str, Any]
    substitute: Mapping[str, Any] | None
    batch_size: int
    span: tuple[int, int]
    relay: Mapping[str, Any] | None
    seed: int
    end: Mapping[str, Any] | None = None

    @property
    def identity(self) -> dict[str, str]:
        return {"run": self.run, "model": self.model, "norm": self.norm, "attack": self.attack}


def main(
    *,
    images: str | os.PathLike[str],
    shard: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    job: Job,
    sources: Sequence[str | os.PathLike[str]],
    checkpoint: str | os.PathLike[str],
    device: torch.device,
    starts: Sequence[str | os.PathLike[str]] = (),
    bounds: Sequence[str | os.PathLike[str]] = (),
) -> None:
    """Attack the test images of one shard and write it (see absynth.io.records.SHARD).

    folder: that of the run, with the model's files
    sources: all files that the result depends on, the code among them
    starts: shards of other attacks on the same images, from whose adversarials this one starts
    bounds: a table of proved lower bounds of the same images, by which a relay leaves tight ones out, and attacks are
        done with images; or none
    Resumes from `checkpoint` if an interrupted job with these settings and sources left one.
    """
    index = torch.arange(*job.span, device=device)
    settings = [*dataclasses.asdict(job).values(), device.type, *VERSIONS.values()]
    progress = Progress(checkpoint, fingerprint(settings, sources), job.norm, index)
    needs = {} if job.substitute is None else {"substitute": build(job.substitute, folder).to(device)}
    x, y = (torch.from_numpy(array).to(device) for array in read_split(images, *job.span))
    attack = resolve(job.builder)(job.norm, **job.options, **needs)
    known = {Path(path).parent.name: _read_start(path, job.identity, job.span) for path in starts}
    proved = torch.from_numpy(read_proved_bounds(bounds[0], *job.span)) if bounds else None
    found = attack_images(
        AttackSettings(attack, job.attack, job.norm, job.seed, job.batch_size),
        build(job.spec, folder).to(device),
        Samples(
            x,
            y,
            index,
            [start["adversarial"].to(device) for start in known.values()],
            _stopped(job, known, proved),
            _ends(job, proved, device),
        ),
        progress,
    )
    _log_ended(job, found)
    if not job.spec.get("options", {}).get("nonfinite"):
        del found["nonfinite"]  # all 0: other models' answers are finite
    seconds, median = progress.seconds, float(np.median(found["distance"].numpy()))
    LOGGER.info("%s on %s in %s: median %.4g, %.1f s", job.attack, job.model, job.norm, median, seconds)
    attributes = {**job.identity, "seed": job.seed, "seconds": seconds, "device": str(device), **VERSIONS}
    write_record(shard, {name: values.numpy() for name, values in found.items()}, attributes, SHARD)
    progress.discard()


def _stopped(
    job: Job, known: Mapping[str, Mapping[str, torch.Tensor]], proved: torch.Tensor | None
) -> torch.Tensor | None:
    """Which images a later round of a relay leaves out, from what the rounds before it found and what is proved."""
    if job.relay is None:
        return None
    distances = {name: start["distance"] for name, start in known.items()}
    codes = left_out(job.relay, distances, proved)
    LOGGER.info(
        "left out of %d images: %d on which the last round gained too little, %d that a proved bound shows tight",
        *(len(codes), int((codes == NO_GAIN).sum()), int((codes == TIGHT).sum())),
    )
    return codes


def _ends(job: Job, proved: torch.Tensor | None, device: torch.device) -> torch.Tensor | None:
    """The distances (n,) at which images are done with; None where none is."""
    if job.end is None or proved is None:
        return None
    return end_distances(proved, **job.end, norm=job.norm).to(device)


def _log_ended(job: Job, found: Mapping[str, torch.Tensor]) -> None:
    """Say how many images the attack was done with since they are near a proved bound, if it may be."""
    if job.end is None:
        return
    codes = found["stopped"]
    LOGGER.info(
        "near a proved bound, of %d images: %d by what the attack starts from, %d by what it found",
        *(len(codes), int((codes == TIGHT_AT_START).sum()), int((codes == TIGHT_BY_ITSELF).sum())),
    )


def _read_start(
    path: str | os.PathLike[str], expected: Mapping[str, str], span: tuple[int, int]
) -> dict[str, torch.Tensor]:
    """The adversarials (n, c, h, w) and distances (n,) of another attack's shard, in a folder named after it.

    Raises InputError if it is unsound or holds other images than those of `span`.
    """
    columns, _ = read_record(path, SHARD, {**expected, "attack": Path(path).parent.name})
    if columns["index"].tolist() != list(range(*span)):
        raise InputError(f"{path}: holds other images than {span[0]} to {span[1] - 1}; delete it and rerun")
    return {name: torch.from_numpy(columns[name]) for name in ("adversarial", "distance")}


if "snakemake" in globals():
    task = globals()["snakemake"]
    start_log(task.log[0])
    main(
        images=task.input.images,
        shard=task.output.shard,
        folder=task.params.folder,
        job=Job(run=task.params.run, seed=task.params.seed, **task.params.job),
        starts=task.input.starts,
        bounds=task.input.bounds,
        # No result depends on what the probe says; Snakemake sets __file__ to the script itself, not its copy.
        sources=[*(path for path in task.input if path != task.input.probe), __file__],
        checkpoint=task.params.checkpoint,
        device=acquire(gpu=task.resources.gpu, threads=task.resources.torch_threads),
    )
