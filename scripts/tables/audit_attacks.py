"""List where the results of attacks contradict each other, and what each attack found and cost."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any

from absynth.evaluation.attack_table import write_attack_table
from absynth.evaluation.audit import COLUMNS, Limits, Role, audit, read_outcomes
from absynth.evaluation.optimality import COLUMNS as OPTIMALITY
from absynth.evaluation.optimality import optimality_rows
from absynth.io.atomic import write_csv
from absynth.io.log import LOGGER, start_log


def main(
    *,
    shards: Sequence[str | os.PathLike[str]],
    table: str | os.PathLike[str],
    optimality: str | os.PathLike[str],
    attacks: str | os.PathLike[str],
    minimal: Sequence[str | os.PathLike[str]],
    run: str,
    roles: Mapping[str, Mapping[str, Any]],
    limits: Mapping[str, float],
) -> None:
    """Write one row, and log one warning, per finding; only the header if there are none.

    minimal: the minima of all models and norms, for `attacks`, see `absynth.evaluation.attack_table`
    optimality: a table with one row per model, norm and attack, see `absynth.evaluation.optimality`
    roles: by attack, what `absynth.evaluation.audit.Role` holds
    limits: what `absynth.evaluation.audit.Limits` holds
    """
    known = {name: Role(**role) for name, role in roles.items()}
    rows, standings = [], []
    for (model, norm), outcomes in read_outcomes(shards, run).items():
        for finding in audit(outcomes, known, Limits(**limits)):
            LOGGER.warning("%s, %s: %s", model, norm, finding.message)
            rows.append({"model": model, "norm": norm, **dataclasses.asdict(finding)})
        standings += [
            {"model": model, "norm": norm, **row}
            for row in optimality_rows(outcomes, limits["tolerance"], known)
        ]
    write_csv(table, rows, COLUMNS)
    write_csv(optimality, standings, OPTIMALITY)
    write_attack_table(shards=shards, minimal=minimal, table=attacks, run=run)
    LOGGER.info("%d findings", len(rows))


if "snakemake" in globals():
    job = globals()["snakemake"]
    start_log(job.log[0])
    main(
        shards=job.input.shards,
        minimal=job.input.minimal,
        **dict(job.output.items()),
        **dict(job.params.items()),
    )
