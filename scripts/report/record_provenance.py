"""Record the settings, versions and hardware of a run."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from absynth.io.atomic import write_text
from absynth.io.log import start_log
from absynth.io.records import SHARD, read_record
from absynth.workflow.provenance import provenance


def main(
    *,
    shards: Sequence[str | os.PathLike[str]],
    calibrations: Sequence[str | os.PathLike[str]],
    output: str | os.PathLike[str],
    config: Mapping[str, Any],
) -> None:
    """Write settings, versions, hardware and the dates of the first and the last of the files given as JSON."""
    layout = {"index": SHARD["index"]}
    attributes = (read_record(path, layout, {"run": config["run"]})[1] for path in shards)
    times = [Path(path).stat().st_mtime for path in [*shards, *calibrations]]
    write_text(output, json.dumps(provenance(config, attributes, times), indent=2, ensure_ascii=False) + "\n")


if "snakemake" in globals():
    job = globals()["snakemake"]
    start_log(job.log[0])
    main(
        shards=job.input.shards,
        calibrations=job.input.calibrations,
        output=job.output.provenance,
        config=job.params.config,
    )
