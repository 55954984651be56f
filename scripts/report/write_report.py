"""Write the report of a run."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from absynth.io.atomic import read_json, write_text
from absynth.io.log import start_log
from absynth.io.tables import read_table
from absynth.reporting.checks import checks
from absynth.reporting.machine import machine
from absynth.reporting.overview import INTERVALS, summary
from absynth.reporting.report import Figure, render
from absynth.reporting.report_tables import report_tables
from absynth.reporting.runtime import write_runtime


def main(
    *,
    template: str | os.PathLike[str],
    captions: Sequence[str | os.PathLike[str]],
    drawings: Sequence[str | os.PathLike[str]],
    tables: Mapping[str, str | os.PathLike[str]],
    provenance: str | os.PathLike[str],
    benchmarks: Sequence[str | os.PathLike[str]],
    runtime: str | os.PathLike[str],
    report: str | os.PathLike[str],
    config: Mapping[str, Any],
    models: Mapping[str, str],
    attacks: Mapping[str, Mapping[str, str]],
    sections: Mapping[str, Mapping[str, Any]],
    figures: Sequence[Mapping[str, Any]],
) -> None:
    """Write one self-contained page, and the table of the jobs' running times that stands in it.

    captions, drawings: reStructuredText and SVG of each of `figures`; tables: CSV files by stem
    provenance: tables/provenance.json; benchmarks: the files in which Snakemake measured the costly jobs
    sections: title and intro by key, left out if empty; figures: section, title and wildcards of the caption
    """
    about = read_json(provenance)
    write_runtime(benchmarks=benchmarks, table=runtime)
    frames = {stem: read_table(path) for stem, path in {**tables, "runtime": runtime}.items()}
    shown = [
        Figure.read(drawing, text, config=config, **figure)
        for figure, drawing, text in zip(figures, drawings, captions, strict=True)
    ]
    filled = report_tables(frames, models, attacks, config["epsilons"])
    checked = checks(frames, models, attacks)
    kept = {*filled, *(figure.section for figure in shown), *(["checks"] if checked else [])}
    about = {"machine": machine(about), "versions": about["versions"], **_oddities(about)}
    page = render(
        template,
        config=config,
        settings=yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True),
        models=models,
        attacked=True,
        summary=summary(frames["robustness"], models, config["epsilons"]),
        checks=checked,
        intervals=INTERVALS if "distances" in frames else "",
        sections={key: section for key, section in sections.items() if key in kept},
        figures=shown,
        tables=filled,
        **about,
    )
    write_text(report, page)


def _oddities(about: Mapping[str, Any]) -> dict[str, Any]:
    """What is odd about the images, which provenance written before says nothing of."""
    return {
        "lacking_classes": about.get("lacking_classes"),
        "odd_intensities": about.get("odd_intensities", []),
    }


if "snakemake" in globals():
    job = globals()["snakemake"]
    start_log(job.log[0])
    main(
        template=job.input.template,
        captions=job.input.captions,
        drawings=job.input.drawings,
        tables={Path(path).stem: path for path in job.input.tables},
        provenance=job.input.provenance,
        **dict(job.output.items()),
        **dict(job.params.items()),
    )
