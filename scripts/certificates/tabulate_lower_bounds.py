"""Tabulate the lower bounds of all models and norms: means, medians, and accuracies that no attack can undercut."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from absynth.evaluation.lower_bounds import CERTIFICATES, SUMMARY, summarise_joint
from absynth.io.atomic import read_rows, write_csv, write_text
from absynth.io.log import start_log
from absynth.io.tables import read_table
from absynth.reporting.tables import certificates_table, to_markdown

StrPath = str | os.PathLike[str]


def main(
    *,
    summaries: Sequence[StrPath],
    bounds: Sequence[StrPath],
    table: StrPath,
    csv: StrPath,
    markdown: StrPath,
    models: Mapping[str, str],
    epsilons: Mapping[str, float],
) -> None:
    """Write tables/bounds.csv, and tables/certificates.csv and .md.

    summaries, bounds: bounds/{model}/{norm}_summary.csv and bounds/{model}/{norm}.csv
    models: column titles by model; epsilons: by norm
    """
    write_csv(table, read_rows(summaries), ("model", "norm", *SUMMARY))
    rows = []
    for path in map(Path, bounds):
        model, norm = path.parent.name, path.stem
        rows.append({"model": model, "norm": norm, **summarise_joint(read_table(path), epsilons[norm])})
    write_csv(csv, rows, CERTIFICATES)
    shown = certificates_table(pd.DataFrame(rows, columns=list(CERTIFICATES)), models)
    write_text(markdown, to_markdown(shown))


if "snakemake" in globals():
    job = globals()["snakemake"]
    start_log(job.log[0])
    main(
        **{name: job.input.get(name, []) for name in ("summaries", "bounds")},
        **dict(job.output.items()),
        **dict(job.params.items()),
    )
