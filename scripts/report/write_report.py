"""Write the report of a run."""

import os
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

import pandas as pd
import yaml

from absynth.data.split_files import read_split
from absynth.io.atomic import read_json, write_text
from absynth.io.log import start_log
from absynth.io.records import MINIMAL, RECONSTRUCTIONS, read_record
from absynth.io.tables import read_table
from absynth.norms import NORMS
from absynth.reporting.checks import checks, data_checks
from absynth.reporting.costs import costs
from absynth.reporting.files import linked
from absynth.reporting.images import Gallery
from absynth.reporting.machine import machine
from absynth.reporting.overview import INTERVALS, orders, summary
from absynth.reporting.pairs import TESTS, pairs_text, unequal_norms
from absynth.reporting.report import Figure, render
from absynth.reporting.report_tables import report_tables
from absynth.reporting.runtime import write_runtime

LARGEST_PAGE = 23e6  # characters of figures and the browser of images; tables and text take the rest of 25 MB
Path = str | os.PathLike[str]


def main(
    *,
    template: Path,
    captions: Sequence[Path],
    drawings: Sequence[Path],
    tables: Mapping[str, Path],
    images: Path,
    minimal: Sequence[Path],
    reconstructions: Sequence[Path],
    provenance: Path,
    benchmarks: Sequence[Path],
    runtime: Path,
    report: Path,
    config: Mapping[str, Any],
    models: Mapping[str, str],
    attacks: Mapping[str, Mapping[str, str]],
    sections: Mapping[str, Mapping[str, Any]],
    figures: Sequence[Mapping[str, Any]],
) -> None:
    """Write one self-contained page, and the table of the jobs' running times that stands in it.

    captions, drawings: reStructuredText and SVG of each of `figures`; tables: CSV files by stem
    images: the test split; minimal, reconstructions: the HDF5 files of best adversarials and of reconstructions
    provenance: tables/provenance.json; benchmarks: the files in which Snakemake measured the costly jobs
    sections: title and intro by key, left out if empty; figures: section, title and wildcards of the caption
    """
    write_runtime(benchmarks=benchmarks, table=runtime)
    frames = {stem: read_table(path) for stem, path in {**tables, "runtime": runtime}.items()}
    shown = [
        Figure.read(drawing, text, config=config, **figure)
        for figure, drawing, text in zip(figures, drawings, captions, strict=True)
    ]
    room = LARGEST_PAGE - sum(len(figure.source) for figure in shown)
    gallery = _gallery(images, minimal, reconstructions, config)
    about = read_json(provenance)
    content = _content(frames, config, models, attacks)
    content["checks"] += data_checks(about)
    content["browser"] = gallery.browser(models, attacks, frames.get("bracket"), room)
    content["files"] = linked(
        PurePath(report).parent,
        tables=[*tables.values(), runtime, provenance],
        **{"images": [images], "minimal": minimal, "synthesis": reconstructions, "drawings": drawings},
        attacks=frames.get("attacks"),
    )
    kept = {*content["tables"], *(figure.section for figure in shown)}
    kept |= {key for key, part in (("checks", "checks"), ("images", "browser")) if content[part]}
    content["sections"] = {key: section for key, section in sections.items() if key in kept}
    content |= _about(about, config)
    write_text(report, render(template, models=models, attacked=True, figures=shown, **content))


def _content(
    frames: Mapping[str, pd.DataFrame],
    config: Mapping[str, Any],
    models: Mapping[str, str],
    attacks: Mapping[str, Mapping[str, str]],
) -> dict[str, Any]:
    """What the tables say: as tables, and in sentences."""
    pairs = frames.get("pairs")
    unequal = unequal_norms(frames["attacks"], config["attacks"]) if "attacks" in frames else []
    return {
        "tables": report_tables(frames, models, attacks, config["epsilons"]),
        "summary": summary(frames["robustness"], models, config["epsilons"]),
        "orders": {NORMS[norm].title: names for norm, names in orders(frames["robustness"], models).items()},
        "checks": checks(frames, models, attacks),
        "intervals": INTERVALS if "distances" in frames else "",
        "pairs": [] if pairs is None else pairs_text(pairs, len(models)),
        "pair_tests": TESTS if pairs is not None and len(pairs) else "",
        "unequal": unequal if pairs is not None and len(pairs) else [],
        "costs": costs(frames["runtime"], frames.get("attacks")),
    }


def _gallery(
    images: Path, minimal: Sequence[Path], reconstructions: Sequence[Path], config: Mapping[str, Any]
) -> Gallery:
    """The images attacked, with what was found about each."""
    gallery = Gallery(*read_split(images, 0, config["n_samples"]))
    for path in minimal:
        columns, about = read_record(path, MINIMAL, {"run": config["run"]})
        gallery.add(about["model"], about["norm"], columns)
    for path in reconstructions:
        columns, about = read_record(path, RECONSTRUCTIONS, {"run": config["run"]})
        gallery.reconstruct(about["model"], about["norm"], columns)
    return gallery


def _about(provenance: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """How the run was made; older provenance says nothing of its command."""
    return {
        "config": config,
        "settings": yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True),
        "command": provenance.get("command"),
        "machine": machine(provenance),
        "versions": provenance["versions"],
    }


if "snakemake" in globals():
    job = globals()["snakemake"]
    start_log(job.log[0])
    main(
        tables={PurePath(path).stem: path for path in job.input.tables},
        **{
            name: getattr(job.input, name)
            for name in ("template", "captions", "drawings", "images", "minimal")
        },
        **{name: getattr(job.input, name) for name in ("reconstructions", "provenance")},
        **dict(job.output.items()),
        **dict(job.params.items()),
    )
