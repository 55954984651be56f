"""Record the settings, versions, hardware and models of a run."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from absynth.data.intensities import odd_intensities
from absynth.data.order import lacking_classes
from absynth.data.split_files import read_format, read_split
from absynth.io.atomic import write_text
from absynth.io.log import LOGGER, start_log
from absynth.io.records import SHARD, read_record
from absynth.reporting.models_table import write_models_table
from absynth.workflow.provenance import provenance


def main(
    *,
    images: str | os.PathLike[str],
    shards: Sequence[str | os.PathLike[str]],
    calibrations: Sequence[str | os.PathLike[str]],
    output: str | os.PathLike[str],
    config: Mapping[str, Any],
) -> None:
    """Write settings, versions, hardware, what is odd about the images attacked and the dates of the files as JSON.

    images: the test split. Odd are classes without an attacked image, and intensities as by `odd_intensities`.
    """
    layout = {name: SHARD[name] for name in ("index", "label")}
    records = [read_record(path, layout, {"run": config["run"]}) for path in shards]
    times = [Path(path).stat().st_mtime for path in [*shards, *calibrations]]
    about = provenance(config, (attributes for _, attributes in records), times)
    labels = dict(
        pair for columns, _ in records for pair in zip(columns["index"], columns["label"], strict=True)
    )
    attacked = np.array(list(labels.values()), np.int64)
    n_classes = read_format(images).n_classes
    about["lacking_classes"] = lacking_classes(attacked, np.arange(n_classes)) if labels else None
    about["odd_intensities"] = odd_intensities(read_split(images, 0, config["n_samples"])[0])
    for oddity in filter(None, [about["lacking_classes"], *about["odd_intensities"]]):
        LOGGER.warning("%s", oddity)
    write_text(output, json.dumps(about, indent=2, ensure_ascii=False) + "\n")


if "snakemake" in globals():
    job = globals()["snakemake"]
    start_log(job.log[0])
    main(
        images=job.input.images,
        shards=job.input.shards,
        calibrations=job.input.calibrations,
        output=job.output.provenance,
        config=job.params.config,
    )
    write_models_table(calibrations=job.input.calibrations, probes=job.input.probes, table=job.output.models)
