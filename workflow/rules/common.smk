"""What all rules share: the checked config, the paths of the run, and the code behind each script."""

import os
import sys
from pathlib import Path

BASE = Path(workflow.basedir)
sys.path.insert(0, str(BASE / "src"))

from absynth.errors import InputError
from absynth.reporting.contents import FIGURES, SECTIONS
from absynth.workflow.environment import (
    check_hidden,
    escape_on_streams,
    share_library,
    share_working_directory,
)
from absynth.workflow.imports import Code
from absynth.workflow.outputs import Outputs
from absynth.workflow.plan import Plan
from absynth.workflow.scheduling import drop_default_rate_limit

share_library(BASE / "src")
share_working_directory()
escape_on_streams()

try:
    check_hidden()
    PLAN = Plan(config, BASE / "workflow" / "schemas")
    CODE = Code(PLAN, BASE)
    CODE.check()
except InputError as error:
    raise SystemExit(str(error)) from None  # a WorkflowError would add where in this file it was raised

OUTPUTS = Outputs(PLAN)
run, code, planned = OUTPUTS.path, CODE.behind, PLAN.planned


wildcard_constraints:
    model="|".join([*PLAN.models, "substitute"]),
    norm="l0|l2|linf",
    attack="|".join(PLAN.attacks) or "none",
    label=r"\d",
    shard=r"\d+",


def lower_bound_files(wildcards):
    """What building a model with lower bounds reads; a model without them is refused."""
    try:
        return OUTPUTS.lower_bound_files(wildcards.model)
    except InputError as error:
        raise WorkflowError(str(error)) from None


def scaled(amount):
    """A resource of which each further attempt at a job gets as much again."""
    return lambda wildcards, attempt: amount * attempt


def drawn(figure, stem=None):
    """The PNG of a figure, and where Snakemake's report shows it."""
    return report(
        run(f"figures/{stem or figure}.png"),
        caption=f"../report/{figure}.rst",
        category=SECTIONS[FIGURES[figure].section]["title"],
        labels={"figure": FIGURES[figure].title},
    )


def template(name):
    """A file of workflow/report, relative to the working directory."""
    return os.path.relpath(BASE / "workflow" / "report" / name)


def report_results(table, figures, report):
    """Say where the results are, and show the table."""
    if Path(table).is_file():
        shown = Path(table).read_text(encoding="utf-8")
        places = {"table": table, "figures": f"{figures}/", "report": report}
        lines = [f"{name:8}{path}" for name, path in places.items() if Path(path).exists()]
        print("", shown, *lines, sep="\n", file=sys.stderr)
