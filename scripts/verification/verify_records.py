"""Check the records of all attacks on one model in one norm, and of their minimum, against the model itself."""

import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch

from absynth.data.split_files import read_split
from absynth.errors import InputError
from absynth.evaluation.verification import Bounded, Clean, Findings, MinimumCheck, check_shard, unreadable
from absynth.io.atomic import write_csv
from absynth.io.log import LOGGER, progress_bar, start_log
from absynth.io.opening import NotOpenedError
from absynth.io.proved_bounds import read_proved_bounds
from absynth.io.records import MINIMAL, SHARD, Column, read_record
from absynth.models.base import with_inference
from absynth.models.building import build
from absynth.workflow.devices import acquire

_BATCH = 256  # images classified at a time


def main(
    *,
    images: str | os.PathLike,
    shards: Sequence[str | os.PathLike],
    minimal: str | os.PathLike,
    findings: str | os.PathLike,
    folder: str | os.PathLike,
    spec: Mapping,
    run: str,
    model: str,
    norm: str,
    spans: Sequence[tuple[int, int]],
    bounds: Sequence[str | os.PathLike] = (),
    ends: Mapping[str, Mapping[str, float]] | None = None,
    device: torch.device,
) -> None:
    """Write one row of findings per shard, and one for their minimum, as attack `all`.

    shards: files named {attack}/{shard}.h5; spans: first and one past the last test image of each shard
    bounds: tables of lower bounds, one for each shard, if attacks may be done with images near a proved one
    ends: of these attacks, tightness and ε as in `absynth.evaluation.verification.Bounded`
    findings: columns of tables/verification.csv; what disagrees is also logged, row by row
    """
    network = with_inference(build(spec, folder).to(device), "reference")
    logits_of = partial(_logits, network, device)
    x, y = read_split(images, spans[0][0], spans[-1][1])
    clean = Clean(spans[0][0], x, y, logits_of(x))
    expected = {"run": run, "model": model, "norm": norm}
    columns, problem = _read(minimal, MINIMAL, expected)
    minimum = MinimumCheck(columns, clean) if columns else None
    proved = [read_proved_bounds(path, *span) for path, span in zip(bounds, spans, strict=bool(bounds))]
    rows = []
    for path in map(Path, shards):
        attack, shard = path.parent.name, int(path.stem)
        columns, found = _read(path, SHARD, {**expected, "attack": attack})
        if columns:
            bounded = Bounded(proved[shard], **ends[attack]) if ends and attack in ends else None
            found = check_shard(columns, norm, clean.part(*spans[shard]), logits_of, bounded)
            if minimum:
                minimum.add(attack, spans[shard][0], columns)
        rows.append(
            {"model": model, "norm": norm, "attack": attack, "shard": shard, **_report(path, folder, found)}
        )
    found = minimum.findings() if minimum else problem
    rows.append(
        {"model": model, "norm": norm, "attack": "all", "shard": "", **_report(minimal, folder, found)}
    )
    write_csv(findings, rows)
    checked, wrong = (sum(row[key] for row in rows) for key in ("checked", "disagreements"))
    LOGGER.info("%d adversarials asked again, %d disagreements", checked, wrong)


def _logits(network: torch.nn.Module, device: torch.device, images: np.ndarray) -> np.ndarray:
    """Logits (n, C) of copies of images (n, c, h, w): what they are compared with is out of the model's reach."""
    with torch.no_grad():
        asked = progress_bar(torch.from_numpy(images).split(_BATCH), "batches of images")
        parts = [network(part.to(device, copy=True)) for part in asked]
    return torch.cat(parts).double().cpu().numpy()


def _read(path, layout: Mapping[str, Column], expected: Mapping) -> tuple[dict | None, Findings]:
    """The columns of a file, or None if it cannot be read, and findings that say why."""
    try:
        return read_record(path, layout, expected)[0], Findings()
    except NotOpenedError:  # nothing is known of its content
        raise
    except InputError as error:
        return None, unreadable(str(error))


def _report(path, folder, found: Findings) -> dict[str, str | int]:
    """Log what is wrong with a file; return its columns of the table, with its path within the run's folder."""
    for row, reason in found.faults:
        LOGGER.error("%s%s: %s", path, "" if row is None else f", row {row}", reason)
    return {"file": os.path.relpath(path, folder), **found.summary()}


if "snakemake" in globals():
    job = globals()["snakemake"]
    start_log(job.log[0])
    main(
        images=job.input.images,
        shards=job.input.shards,
        minimal=job.input.minimal,
        bounds=job.input.bounds,
        findings=job.output.findings,
        **dict(job.params.items()),
        **dict(job.wildcards.items()),
        device=acquire(gpu=job.resources.gpu, threads=job.resources.torch_threads),
    )
