"""Say of every attack what it found and what it cost."""

import os
from collections import defaultdict
from collections.abc import Sequence

from absynth.atomic import write_csv
from absynth.log import start_log
from absynth.records import MINIMAL, SHARD, read_record
from absynth.statistics import summarise_attack


def main(
    *,
    shards: Sequence[str | os.PathLike],
    minimal: Sequence[str | os.PathLike],
    table: str | os.PathLike,
    run: str,
) -> None:
    """Write one row a model, norm and attack, in the order of `shards`."""
    nearest = {}
    for path in minimal:
        columns, attributes = read_record(path, MINIMAL, {"run": run})
        found_by = dict(zip(columns["index"].tolist(), columns["attack"], strict=True))
        nearest[attributes["model"], attributes["norm"]] = found_by
    parts = defaultdict(list)
    for path in shards:
        columns, attributes = read_record(path, SHARD, {"run": run})
        del columns["adversarial"]  # the one that takes memory
        key = tuple(attributes[name] for name in ("model", "norm", "attack"))
        parts[key].append((columns, float(attributes["seconds"]), attributes["device"]))
    rows = []
    for (model, norm, attack), found in parts.items():
        columns, seconds, devices = zip(*found, strict=True)
        statistics = summarise_attack(attack, columns, seconds, nearest[model, norm])
        identity = {"model": model, "norm": norm, "attack": attack}
        rows.append({**identity, **statistics, "device": " ".join(sorted(set(devices)))})
    write_csv(table, rows)


if "snakemake" in globals():
    job = globals()["snakemake"]
    start_log(job.log[0])
    main(shards=job.input.shards, minimal=job.input.minimal, table=job.output.table, run=job.params.run)
