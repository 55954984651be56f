"""Run one attack on one model in one norm over one shard of test images."""

import os
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import torch

from absynth import __version__
from absynth.attacks.checkpoint import Progress, fingerprint
from absynth.attacks.run import attack_images
from absynth.data.splits import read_split
from absynth.errors import InputError
from absynth.io.log import LOGGER, start_log
from absynth.io.records import SHARD, read_record, write_record
from absynth.models.building import build, resolve
from absynth.workflow.devices import acquire

VERSIONS = {"absynth": __version__, "torch": version("torch"), "foolbox": version("foolbox")}


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
    substitute: Mapping | None,
    batch_size: int,
    span: tuple[int, int],
    seed: int,
    sources: Sequence[str | os.PathLike],
    checkpoint: str | os.PathLike,
    device: torch.device,
    starts: Sequence[str | os.PathLike] = (),
) -> None:
    """Attack test images span[0] to span[1] - 1 and write the shard (see absynth.io.records.SHARD).

    starts: shards of other attacks on the same images, from whose adversarials this one starts
    substitute: what to build it from (a `spec`), for an attack that needs it
    sources: all files that the result depends on, the code among them
    Continues from `checkpoint` if an earlier, interrupted job of these settings and sources left one.
    """
    work = [
        run,
        spec,
        substitute,
        model,
        norm,
        attack,
        builder,
        budget,
        batch_size,
        [*span],
        seed,
        device.type,
    ]
    index = torch.arange(*span, device=device)
    progress = Progress(checkpoint, fingerprint([*work, *VERSIONS.values()], sources), norm, index)
    needs = {} if substitute is None else {"substitute": build(substitute, folder).to(device)}
    x, y = (torch.from_numpy(array).to(device) for array in read_split(images, *span))
    found = attack_images(
        resolve(builder)(norm, **budget, **needs),
        build(spec, folder).to(device),
        x,
        y,
        index,
        norm=norm,
        name=attack,
        seed=seed,
        batch_size=batch_size,
        starts=[
            _read_start(path, {"run": run, "model": model, "norm": norm}, span).to(device) for path in starts
        ],
        progress=progress,
    )
    seconds, median = progress.seconds, found["distance"].median()
    LOGGER.info("%s on %s in %s: median %.4g, %.1f s", attack, model, norm, median, seconds)
    attributes = {
        "run": run,
        "model": model,
        "norm": norm,
        "attack": attack,
        "seed": seed,
        "seconds": seconds,
        "device": str(device),
        **VERSIONS,
    }
    write_record(shard, {name: values.numpy() for name, values in found.items()}, attributes, SHARD)
    progress.discard()


def _read_start(path: str | os.PathLike, expected: Mapping, span: tuple[int, int]) -> torch.Tensor:
    """The adversarials (n, 1, 28, 28) of another attack's shard, in a folder named after that attack.

    Raises InputError if it is unsound or holds other images than those of `span`.
    """
    columns, _ = read_record(path, SHARD, {**expected, "attack": Path(path).parent.name})
    if columns["index"].tolist() != list(range(*span)):
        raise InputError(f"{path}: holds other images than {span[0]} to {span[1] - 1}; delete it and rerun")
    return torch.from_numpy(columns["adversarial"])


if "snakemake" in globals():
    job = globals()["snakemake"]
    start_log(job.log[0])
    main(
        images=job.input.images,
        shard=job.output.shard,
        starts=job.input.starts,
        sources=[*job.input, __file__],  # which Snakemake sets to the script itself, not its copy
        **dict(job.params.items()),
        **{key: job.wildcards[key] for key in ("model", "norm", "attack")},
        device=acquire(gpu=job.resources.gpu, threads=job.resources.torch_threads),
    )
