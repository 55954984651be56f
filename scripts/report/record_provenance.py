"""Record the settings, versions and hardware of a run."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from absynth.data.format import PAPER
from absynth.data.order import lacking_classes
from absynth.io.atomic import write_text
from absynth.io.log import LOGGER, start_log
from absynth.io.records import SHARD, read_record
from absynth.models.calibration_file import read_calibration
from absynth.workflow.provenance import provenance


def main(
    *,
    shards: Sequence[str | os.PathLike[str]],
    calibrations: Sequence[str | os.PathLike[str]],
    output: str | os.PathLike[str],
    config: Mapping[str, Any],
) -> None:
    """Write settings, versions, hardware, classes without an attacked image and the dates of the files as JSON."""
    layout = {name: SHARD[name] for name in ("index", "label")}
    records = [read_record(path, layout, {"run": config["run"]}) for path in shards]
    times = [Path(path).stat().st_mtime for path in [*shards, *calibrations]]
    about = provenance(config, (attributes for _, attributes in records), times)
    labels = dict(
        pair for columns, _ in records for pair in zip(columns["index"], columns["label"], strict=True)
    )
    attacked = np.array(list(labels.values()), np.int64)
    models = [read_calibration(path, "model")["model"] for path in calibrations]
    known = [model["format"]["n_classes"] for model in models if "format" in model]
    n_classes = known[0] if known else PAPER.n_classes  # as files said before there could be others
    about["lacking_classes"] = lacking_classes(attacked, np.arange(n_classes)) if labels else None
    if about["lacking_classes"]:
        LOGGER.warning("%s", about["lacking_classes"])
    write_text(output, json.dumps(about, indent=2, ensure_ascii=False) + "\n")


if "snakemake" in globals():
    job = globals()["snakemake"]
    start_log(job.log[0])
    main(
        shards=job.input.shards,
        calibrations=job.input.calibrations,
        output=job.output.provenance,
        config=job.params.config,
    )
