"""Write a report of lower bounds alone, for a run whose attacks are not asked for."""

import os
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

import yaml

from absynth.io.atomic import write_text
from absynth.io.log import start_log
from absynth.io.tables import read_table
from absynth.reporting.files import linked
from absynth.reporting.machine import machine
from absynth.reporting.report import render
from absynth.reporting.report_tables import report_tables
from absynth.workflow.provenance import hardware, versions


def main(
    *,
    template: str | os.PathLike[str],
    certificates: str | os.PathLike[str],
    report: str | os.PathLike[str],
    config: Mapping[str, Any],
    models: Mapping[str, str],
    sections: Mapping[str, Mapping[str, Any]],
) -> None:
    """Write one self-contained page.

    certificates: tables/certificates.csv; models: titles of those with lower bounds; sections: as in the report
    """
    filled = report_tables({"certificates": read_table(certificates)}, models, {}, config["epsilons"])
    page = render(
        template,
        config=config,
        settings=yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True),
        models=models,
        attacked=False,
        **{key: [] for key in ("summary", "checks", "figures", "pairs", "unequal")},
        **dict.fromkeys(("intervals", "pair_tests"), ""),
        **dict.fromkeys(("browser", "command")),
        costs={},
        orders={},
        files=linked(PurePath(report).parent, tables=[certificates]),
        sections={key: section for key, section in sections.items() if key in {*filled, "run"}},
        tables=filled,
        versions=versions(),
        machine=machine({"hardware": {**hardware(), "gpus": [], "devices": []}}),
    )
    write_text(report, page)


if "snakemake" in globals():
    job = globals()["snakemake"]
    start_log(job.log[0])
    main(
        template=job.input.template,
        certificates=job.input.certificates,
        report=job.output.report,
        **dict(job.params.items()),
    )
