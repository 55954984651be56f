"""Tabulate the minima of all models and norms.

Statistics, Table 1, distances, accuracy over distance, pairs of models, classes of adversarials.
"""

import os
from collections.abc import Mapping, Sequence

import pandas as pd

from absynth.evaluation.accuracy_curve import accuracy_curve
from absynth.evaluation.confusion import COLUMNS as CLASSES
from absynth.evaluation.confusion import adversarial_classes
from absynth.evaluation.paired import COLUMNS as PAIRS
from absynth.evaluation.paired import pair_rows
from absynth.io.atomic import read_rows, replacing, write_csv, write_text
from absynth.io.log import start_log
from absynth.io.records import MINIMAL, read_record
from absynth.io.tables import read_table
from absynth.reporting.tables import table1, to_latex, to_markdown

Path = str | os.PathLike[str]
DISTANCES = ("model", "norm", "index", "label", "distance", "attack")
CURVES = ("model", "norm", "distance", "accuracy")
COLUMNS = ("model", "norm", "attack", "median", "accuracy", "n")


def main(
    *,
    minimal: Sequence[Path],
    summaries: Sequence[Path],
    brackets: Sequence[Path],
    tables: Mapping[str, Path],
    run: str,
    models: Mapping[str, str],
    attacks: Mapping[str, Mapping[str, str]],
    epsilons: Mapping[str, float],
    of_paper: Sequence[str],
) -> None:
    """Write `robustness`, `distances`, `curves`, `pairs`, `confusion`, and Table 1 as `markdown`, `csv` and `latex`.

    minimal, summaries: minimal/{model}/{norm}.h5 and .csv; brackets: bracket_medians.csv, none without lower bounds
    models, attacks: names in Table 1 by model, and by norm and attack; epsilons: by norm
    of_paper: the attacks of the paper
    """
    write_csv(tables["robustness"], read_rows(summaries), COLUMNS)
    distances, curves, classes = [], [], []
    for path in minimal:
        columns, attributes = read_record(path, MINIMAL, {"run": run})
        identity = {"model": attributes["model"], "norm": attributes["norm"]}
        kept = {name: columns[name] for name in ("index", "label", "distance", "attack")}
        distances.append(pd.DataFrame({**identity, **kept}))
        curves.append(accuracy_curve(columns["distance"], **identity))
        taken = adversarial_classes(columns["label"], columns["adversarial_prediction"], columns["distance"])
        classes += [{**identity, **row} for row in taken]
    every_distance, every_curve = _joined(distances, DISTANCES), _joined(curves, CURVES)
    for name, table in (("distances", every_distance), ("curves", every_curve)):
        with replacing(tables[name]) as temporary:
            table.to_csv(temporary, index=False)
    write_csv(tables["pairs"], pair_rows(every_distance, epsilons), PAIRS)
    write_csv(tables["confusion"], classes, CLASSES)
    write_table1(
        robustness=tables["robustness"],
        summaries=summaries,
        brackets=brackets,
        **{name: tables[name] for name in ("markdown", "csv", "latex")},
        **{"models": models, "attacks": attacks, "epsilons": epsilons, "of_paper": of_paper},
    )


def _joined(frames: Sequence[pd.DataFrame], columns: Sequence[str]) -> pd.DataFrame:
    """All frames as one; without a row where a run has no attack."""
    return pd.concat(frames) if frames else pd.DataFrame(columns=list(columns))


def write_table1(
    *,
    robustness: Path,
    summaries: Sequence[Path],
    brackets: Sequence[Path],
    markdown: Path,
    csv: Path,
    latex: Path,
    models: Mapping[str, str],
    attacks: Mapping[str, Mapping[str, str]],
    epsilons: Mapping[str, float],
    of_paper: Sequence[str],
) -> None:
    """Write Table 1 as Markdown, CSV and LaTeX; the clean accuracies are those of the attacked images."""
    rows = read_rows(summaries)
    clean = {row["model"]: float(row["clean"]) for row in rows}
    near_bound = {
        (row["model"], row["norm"], row["attack"]) for row in rows if row.get("near_bound", "0") != "0"
    }
    table = table1(
        read_table(robustness),
        clean,
        models=models,
        attacks=attacks,
        epsilons=epsilons,
        of_paper=of_paper,
        near_bound=near_bound,
        brackets=read_table(brackets[0]) if brackets else None,
    )
    write_text(markdown, to_markdown(table))
    write_text(latex, to_latex(table))
    with replacing(csv) as temporary:
        table.to_csv(temporary, index=False)


if "snakemake" in globals():
    job = globals()["snakemake"]
    start_log(job.log[0])
    main(
        minimal=job.input.minimal,
        summaries=job.input.summaries,
        brackets=job.input.brackets,
        tables=dict(job.output.items()),
        **dict(job.params.items()),
    )
