"""Format the lower bounds of all models as a table: medians, and accuracies that no attack can undercut."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from absynth.evaluation.lower_bounds import CERTIFICATES, summarise_joint
from absynth.io.atomic import write_csv, write_text
from absynth.io.log import start_log
from absynth.io.tables import read_table
from absynth.reporting.tables import certificates_table, to_markdown


def main(
    *,
    bounds: Sequence[str | os.PathLike[str]],
    csv: str | os.PathLike[str],
    markdown: str | os.PathLike[str],
    models: Mapping[str, str],
    epsilons: Mapping[str, float],
) -> None:
    """Write tables/certificates.csv and .md.

    bounds: bounds/{model}/{norm}.csv; models: column titles by model; epsilons: by norm
    """
    rows = []
    for path in map(Path, bounds):
        model, norm = path.parent.name, path.stem
        rows.append({"model": model, "norm": norm, **summarise_joint(read_table(path), epsilons[norm])})
    write_csv(csv, rows, CERTIFICATES)
    write_text(markdown, to_markdown(certificates_table(pd.DataFrame(rows), models)))


if "snakemake" in globals():
    job = globals()["snakemake"]
    start_log(job.log[0])
    main(
        bounds=job.input.bounds,
        csv=job.output.csv,
        markdown=job.output.markdown,
        **dict(job.params.items()),
    )
