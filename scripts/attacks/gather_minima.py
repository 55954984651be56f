"""Gather the best adversarial of each image over all attacks on a model in one norm."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from absynth.evaluation.minima import Minimum, summarise
from absynth.io.atomic import write_csv
from absynth.io.log import LOGGER, start_log
from absynth.io.records import MINIMAL, write_record


def main(
    *,
    shards: Sequence[str | os.PathLike[str]],
    minimal: str | os.PathLike[str],
    summary: str | os.PathLike[str],
    run: str,
    model: str,
    norm: str,
    attacks: Sequence[str],
    of_paper: Sequence[str],
    epsilon: float,
) -> None:
    """Write the minimum per image, and a table with one row per attack and one for `all` of them together.

    of_paper: those of the attacks that the paper has; if there are others as well, these together get a row `paper`

    shards: their paths, each in a folder named after its attack
    summary: the columns of tables/robustness.csv, `clean`, the accuracy on unperturbed images, and `near_bound`:
        the images that an attack, or any of them, was done with near a proved bound
    epsilon: the distance, in the norm, at which an accuracy is reported
    """
    best = Minimum({"run": run, "model": model, "norm": norm})
    for path in shards:
        best.add(Path(path).parent.name, path)
    columns = best.columns()
    write_record(minimal, columns, {"run": run, "model": model, "norm": norm}, MINIMAL)
    distances = {name: np.array(best.distances[name]) for name in attacks}
    if 0 < len(of_paper) < len(attacks):
        distances["paper"] = np.min([distances[name] for name in of_paper], axis=0)
    distances["all"] = columns["distance"]
    clean = float((columns["distance"] > 0).mean())
    ended = {**best.near_bound, "all": set().union(*best.near_bound.values())}
    rows = [
        {
            **{"model": model, "norm": norm, "attack": name, **summarise(values, epsilon)},
            **{"clean": clean, "near_bound": len(ended.get(name, ()))},
        }
        for name, values in distances.items()
    ]
    write_csv(summary, rows)
    LOGGER.info(
        "%s %s: median %.4g, accuracy %.0f %% at ε = %g, by the best of: %s",
        *(model, norm, rows[-1]["median"], 100 * rows[-1]["accuracy"], epsilon, ", ".join(attacks)),
    )


if "snakemake" in globals():
    job = globals()["snakemake"]
    start_log(job.log[0])
    main(shards=job.input.shards, **dict(job.output.items()), **dict(job.params.items()))
