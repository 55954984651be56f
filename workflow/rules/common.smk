"""What all rules share: the checked config, the paths of the run, and the code behind each script."""

import os
import sys
from pathlib import Path

BASE = Path(workflow.current_basedir.get_path_or_uri(secret_free=True)).parents[1]
if not BASE.is_dir():
    raise SystemExit(f"{BASE}: no folder of this machine; clone the project and use its Snakefile")
sys.path.insert(0, str(BASE / "src"))

from absynth.attacks.registry import PAPER
from absynth.data.own import own_files
from absynth.data.places import DOWNLOADS, unverified
from absynth.errors import InputError
from absynth.io.contents import contents
from absynth.reporting.contents import FIGURES, SECTIONS, legend
from absynth.workflow.config_files import read_config
from absynth.workflow.environment import (
    check_hidden,
    escape_on_streams,
    jobs_per_gpu,
    share_command,
    share_library,
    share_working_directory,
)
from absynth.workflow.imports import Code
from absynth.workflow.outputs import Outputs
from absynth.workflow.paths import check_there
from absynth.workflow.plan import Plan
from absynth.workflow.run_config import check_start, settle_config, tell
from absynth.workflow.scheduling import drop_default_rate_limit
from absynth.workflow.slurm import watch_jobs

share_library(BASE / "src")
share_working_directory()
if workflow.is_main_process:
    share_command(sys.argv)
escape_on_streams()

# The config of the working directory, else that of the project.
CONFIG = "config/config.yaml" if Path("config/config.yaml").exists() else str(BASE / "config" / "config.yaml")
MODULE = not workflow.modifier.is_main_snakefile()

try:
    check_hidden()
    jobs_per_gpu()
    check_start(workflow, sys.argv)
    read_config(CONFIG)  # before Snakemake does, whose messages do not name the file
except InputError as error:
    raise SystemExit(str(error)) from None  # a WorkflowError would add where in this file it was raised


configfile: CONFIG


try:
    settle_config(config, workflow, module=MODULE)
    PLAN = Plan(config, BASE / "workflow" / "schemas")
    PLAN.check_run()
    CODE = Code(PLAN, BASE)
    CODE.check()
except InputError as error:
    raise SystemExit(str(error)) from None

tell(PLAN.notes, workflow)
OUTPUTS = Outputs(PLAN)
run, code, planned = OUTPUTS.path, CODE.behind, PLAN.planned


wildcard_constraints:
    model="|".join([*PLAN.models, "substitute"]),
    norm="l0|l2|linf",
    attack="|".join(PLAN.attacks) or "none",
    label=r"\d",
    shard="|".join(map(str, OUTPUTS.shards)),


def lower_bound_files(wildcards):
    """What building a model with lower bounds reads; a model without them is refused."""
    try:
        return OUTPUTS.lower_bound_files(wildcards.model)
    except InputError as error:
        raise WorkflowError(str(error)) from None


def weights_there(wildcards):
    """No input; a whole run is refused at the start if weights that it names are not there.

    Not one whose data alone are made, to train on, nor one whose weights another workflow may make.
    """
    try:
        if not MODULE:
            check_there(config)
    except InputError as error:
        raise WorkflowError(str(error)) from None
    return []


def certificate_files(wildcards):
    """Lower bounds and what shows them; a run without any is refused."""
    try:
        return OUTPUTS.certificates()
    except InputError as error:
        raise WorkflowError(str(error)) from None


def attack_job(wildcards):
    """What one shard of an attack is made of, what a user's own files hold included."""
    content = CODE.content(model=wildcards.model, attack=wildcards.attack)
    job = PLAN.attack_job(**wildcards)
    return {**job, "spec": {**job["spec"], **content}}


def probed(wildcards):
    """The probe that a model must pass before anything asks it.

    Not `ancient`, though no result depends on what it says: of jobs behind an ancient input that is made anew,
    Snakemake does not look at any other input.
    """
    return OUTPUTS.probe(wildcards.model)


def scaled(amount):
    """A resource of which each further attempt at a job gets as much again."""
    return lambda wildcards, attempt: amount * attempt


def drawn(figure, stem=None, norm=""):
    """The PNG of a figure, and where Snakemake's report shows it; norm: where there is one for each."""
    return report(
        run(f"figures/{stem or figure}.png"),
        caption=f"../report/{figure}.rst",
        category=SECTIONS[FIGURES[figure].section]["title"],
        labels={"figure": FIGURES[figure].title.format(norm=norm)},
    )


def template(name):
    """A file of workflow/report, relative to the working directory."""
    return os.path.relpath(BASE / "workflow" / "report" / name)


def watch_scheduler():
    """Say which jobs a scheduler has ended without Snakemake's seeing it; end a run that never could see it."""
    try:
        watch_jobs(workflow, logger.warning)
    except InputError as error:
        raise WorkflowError(str(error)) from None


def report_results(folder):
    """Show the table, that of lower bounds where there is no other; say what it means, and where the results are."""
    attacked = {"table": "tables/table1.md", "figures": "figures/", "report": "report.html"}
    bounded = {"table": "tables/certificates.md", "report": "certificates.html"}
    for files in (attacked, bounded):
        places = {name: f"{folder}{path}" for name, path in files.items()}
        if not Path(places["table"]).is_file():
            continue
        shown = Path(places["table"]).read_text(encoding="utf-8")
        lines = [f"{name:8}{path}" for name, path in places.items() if Path(path).exists()]
        print("", shown, legend(shown, attacked=files is attacked), "", *lines, sep="\n", file=sys.stderr)
        return
