"""Snakemake as a process of its own: where the workflow is, how it is called, what a dry run says."""

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from absynth.cli.others import runs, sets
from absynth.errors import InputError
from absynth.workflow.config_files import merged_config
from absynth.workflow.imports import Code
from absynth.workflow.paths import check_there
from absynth.workflow.plan import Plan

_VARIABLE = "ABSYNTH_WORKFLOW"
_LOGGER = "absynth"  # this project's plugin: a line for each finished job, every problem, and little else
_NOTHING = "Nothing to be done"  # what Snakemake says of a run that is complete
_RULE = re.compile(r"(?:local)?(?:rule|checkpoint) (\w+):")


@dataclass(frozen=True)
class Call:
    """One way in which Snakemake is called for a run.

    config: the file; changes: KEY=VALUE entries laid over it
    cores: as for Snakemake; others: its further options
    """

    config: Path
    changes: Sequence[str]
    cores: str
    others: Sequence[str]

    @property
    def runs(self) -> bool:
        """Whether jobs are run, rather than something said about them."""
        return runs(self.others)

    def command(self, *more: str) -> list[str]:
        """The command line."""
        words = [sys.executable, "-m", "snakemake", "--snakefile", str(workflow_folder() / "Snakefile")]
        words += ["--cores", self.cores, "--configfile", str(self.config), "--rerun-incomplete"]
        words += ["--config", *self.changes] if self.changes else []
        gpus = visible_gpus()
        words += (
            ["--resources", f"gpu={gpus}"] if gpus and not sets(self.others, "--resources", "--res") else []
        )
        if self.runs and not more and not sets(self.others, "--logger", "--verbose"):
            words += ["--logger", _LOGGER]  # in a folder whose profile chooses none, too
        return [*words, *more, *self.others]

    def plan(self) -> Plan:
        """What the workflow will make of the config. Raises InputError as `Plan`, and for code that is not there."""
        own = Path("config", "config.yaml")  # as the Snakefile chooses
        base = own if own.exists() else workflow_folder() / "config" / "config.yaml"
        schemas = workflow_folder() / "workflow" / "schemas"
        plan = Plan(merged_config([base, self.config], self.changes), schemas)
        plan.check_run()
        Code(plan, workflow_folder()).check()
        check_there(plan.config)
        return plan


@dataclass(frozen=True)
class PlannedJob:
    """A job that a dry run names: its rule and its outputs."""

    rule: str
    outputs: tuple[str, ...]


def workflow_folder() -> Path:
    """The checkout of the project that holds the workflow. Raises InputError if there is none."""
    named = os.environ.get(_VARIABLE)
    folder = Path(named).expanduser() if named else Path(__file__).resolve().parents[3]
    if not (folder / "Snakefile").is_file() or not (folder / "workflow" / "rules").is_dir():
        raise InputError(
            f"{folder} holds no workflow: that is part of a checkout of the project, not of the installed package; "
            f"install a checkout (pip install --editable DIR), or name one in the variable {_VARIABLE}"
        )
    return folder


def visible_gpus() -> int:
    """How many GPUs jobs would find, so that no more of them run at a time; none for a torch without CUDA.

    Told without torch, whose import takes longer than all else here.
    """
    if version("torch").endswith("+cpu"):
        return 0
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return len([name for name in named.split(",") if name.strip() not in ("", "-1")])
    return len([path for path in Path("/dev").glob("nvidia*") if path.name.removeprefix("nvidia").isdigit()])


def run(call: Call) -> int:
    """Let Snakemake run on the terminal of this process, and return its exit code.

    An interrupt (Ctrl-C) reaches Snakemake as well, which ends its jobs; KeyboardInterrupt is raised after that.
    """
    process = subprocess.Popen(call.command())
    interrupted = False
    while True:
        try:
            code = process.wait()
            break
        except KeyboardInterrupt:
            interrupted = True
    if interrupted:
        raise KeyboardInterrupt
    return code


def planned_jobs(call: Call) -> list[PlannedJob]:
    """The jobs that a run would do, from a dry run; none only if Snakemake says that there are none.

    Raises InputError with Snakemake's last words if that fails, and where it says neither.
    """
    command = call.command("--dry-run", "--nocolor")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        raise InputError(f"the workflow refuses: {lines[-1] if lines else 'without a word'}")
    jobs = jobs_of(done.stdout + done.stderr)
    if not jobs and _NOTHING not in done.stdout + done.stderr:
        raise InputError("the workflow's dry run lists no jobs, and does not say that nothing is to be done")
    return jobs


def jobs_of(text: str) -> list[PlannedJob]:
    """The jobs that the text of a dry run lists."""
    jobs: list[PlannedJob] = []
    for line in map(str.strip, text.splitlines()):
        rule = _RULE.fullmatch(line)
        if rule:
            jobs.append(PlannedJob(rule[1], ()))
        elif line.startswith("output:") and jobs:
            outputs = tuple(part.strip() for part in line.removeprefix("output:").split(","))
            jobs[-1] = PlannedJob(jobs[-1].rule, outputs)
    return jobs
