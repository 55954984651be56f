"""Format the robustness table as the paper's Table 1."""

import os
from collections.abc import Mapping, Sequence

from absynth.io.atomic import read_rows, replacing, write_text
from absynth.io.log import start_log
from absynth.io.tables import read_table
from absynth.reporting.tables import table1, to_latex, to_markdown


def main(
    *,
    robustness: str | os.PathLike[str],
    summaries: Sequence[str | os.PathLike[str]],
    brackets: str | os.PathLike[str],
    markdown: str | os.PathLike[str],
    csv: str | os.PathLike[str],
    latex: str | os.PathLike[str],
    models: Mapping[str, str],
    attacks: Mapping[str, Mapping[str, str]],
    epsilons: Mapping[str, float],
    of_paper: Sequence[str],
) -> None:
    """Write Table 1 as Markdown, CSV and LaTeX.

    summaries: minimal/{model}/{norm}.csv, whose clean accuracies are those of the attacked images
    models, attacks: names in the table by model, and by norm and attack; epsilons: by norm
    of_paper: the attacks of the paper
    """
    clean = {row["model"]: float(row["clean"]) for row in read_rows(summaries)}
    table = table1(
        read_table(robustness),
        clean,
        models=models,
        attacks=attacks,
        epsilons=epsilons,
        of_paper=of_paper,
        brackets=read_table(brackets),
    )
    write_text(markdown, to_markdown(table))
    write_text(latex, to_latex(table))
    with replacing(csv) as temporary:
        table.to_csv(temporary, index=False)


if "snakemake" in globals():
    job = globals()["snakemake"]
    start_log(job.log[0])
    main(
        robustness=job.input.robustness,
        summaries=job.input.summaries,
        brackets=job.input.brackets,
        **dict(job.output.items()),
        **dict(job.params.items()),
    )
