"""Compare the lower bounds of all models and norms with their attacks."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from absynth.certificates.lower_bounds import lower_bounds
from absynth.certificates.settings import SearchSettings
from absynth.data.split_files import read_split
from absynth.evaluation.bracket import (
    CURVES,
    INTERVALS,
    MEDIANS,
    VIOLATIONS,
    bound_violations,
    bracket_curves,
    intervals,
    medians,
)
from absynth.io.atomic import write_csv
from absynth.io.log import LOGGER, start_log
from absynth.io.records import MINIMAL, read_record
from absynth.io.tables import read_table
from absynth.models.base import with_inference
from absynth.models.building import build
from absynth.workflow.devices import acquire

StrPath = str | os.PathLike
TABLES = {"bracket": INTERVALS, "violations": VIOLATIONS, "medians": MEDIANS, "curves": CURVES}


def main(
    *,
    images: StrPath,
    bounds: Sequence[StrPath],
    minimal: Sequence[StrPath],
    tables: Mapping[str, StrPath],
    run: str,
    cases: Sequence[tuple[str, str]],
    folder: StrPath,
    specs: Mapping[str, Mapping[str, Any]],
    settings: Mapping[str, Any],
    device: torch.device,
) -> None:
    """Write each image's interval, the medians, the curves, and the bound violations; only headers without cases.

    cases: (model, norm) of each of `bounds` and `minimal`; tables: where each of TABLES goes; specs: by model

    violations: the images whose best adversarial lies below their lower bound. `margin` is how much lower the energy
        of the own class is at that adversarial than that of any rival, when all are searched from many starts. Where
        it is positive the violation is attributed to inference: the reference inference missed a better latent of
        the own class, and the model with exact inference classifies the image correctly. Only for these the model is
        built, which takes no GPU: they are few.
    """
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in TABLES}
    for (model, norm), lower, upper in zip(cases, bounds, minimal, strict=True):
        identity = {"model": model, "norm": norm}
        best, _ = read_record(upper, MINIMAL, {"run": run, **identity})
        found = intervals(read_table(lower), best, os.fspath(lower)).assign(**identity)
        violations = bound_violations(found).to_dict("records")
        if violations:
            network = with_inference(build(specs[model], folder).to(device), "reference")
            index = [row["index"] for row in violations]
            margins = _margins(network, SearchSettings(**settings), images, best, index, device)
            for row, margin in zip(violations, margins.tolist(), strict=True):
                row |= {"margin": margin, "attributed_to_inference": int(margin > 0)}
        rows["bracket"] += found.to_dict("records")
        rows["violations"] += violations
        rows["medians"].append({**identity, **medians(found)})
        rows["curves"] += bracket_curves(found).assign(**identity).to_dict("records")
        _report(model, norm, violations)
    LOGGER.info("%d brackets: %d adversarials below their lower bound", len(cases), len(rows["violations"]))
    for name, columns in TABLES.items():
        write_csv(tables[name], rows[name], columns)


def _margins(
    network: torch.nn.Module,
    settings: SearchSettings,
    images: StrPath,
    best: Mapping[str, Any],
    index: list[int],
    device: torch.device,
) -> torch.Tensor:
    """The margin (m,) of energy at the best adversarial of each image in `index` (m,)."""
    x, y = (torch.from_numpy(array).to(device) for array in read_split(images))
    chosen = torch.tensor(index, device=device)
    position = {image: row for row, image in enumerate(best["index"].tolist())}
    adversarials = torch.from_numpy(best["adversarial"][[position[image] for image in index]]).to(device)
    batches = (values.split(settings.batch_size) for values in (adversarials, y[chosen], x[chosen]))
    method = lower_bounds(network, settings)
    return torch.cat([method.margin(*batch) for batch in zip(*batches, strict=True)])


def _report(model: str, norm: str, violations: Sequence[Mapping[str, Any]]) -> None:
    """Log how many adversarials lie below their lower bound; as an error where inference is not why."""
    unattributed = sum(1 - row["attributed_to_inference"] for row in violations)
    log = LOGGER.error if unattributed else LOGGER.info
    log(
        "%s %s: %d adversarials below their lower bound, %d of them not attributed to inference",
        *(model, norm, len(violations), unattributed),
    )


if "snakemake" in globals():
    job = globals()["snakemake"]
    start_log(job.log[0])
    main(
        images=job.input.images,
        bounds=job.input.get("bounds", []),
        minimal=job.input.get("minimal", []),
        tables=dict(job.output.items()),
        **dict(job.params.items()),
        device=acquire(gpu=0, threads=job.resources.torch_threads),
    )
