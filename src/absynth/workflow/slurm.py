"""Snakemake on Slurm: what would make a run wait for ever is refused at its start, or named while it waits."""

import re
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from absynth.errors import InputError

LOOKS = 60.0  # seconds between two looks at what Slurm says of the jobs
PATIENCE = 600.0  # seconds that Snakemake has to see that a job has ended
_BETWEEN_CHECKS = 180  # seconds at most, when the plugin finds that no job has ended
_SHOWN = 3  # jobs that one message names
_ENDED = frozenset(
    ["BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "TIMEOUT"]
)

Ask = Callable[..., "subprocess.CompletedProcess[str] | None"]


def asked(*command: str) -> "subprocess.CompletedProcess[str] | None":
    """What a command says within a minute; None where it is not installed, or does not end."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return None


def check_status_command(settings: Any, ask: Ask) -> None:
    """Refuse settings with which Snakemake would not learn that a job has ended.

    settings: the executor's, with `status_command` and `init_seconds_before_status_checks`
    ask: runs a command, as `asked` does
    snakemake-executor-plugin-slurm 2.8.0, `check_active_jobs`, takes sacct for squeue where Slurm forgets a job (its
    MinJobAge) within three times `init_seconds_before_status_checks`, and drops jobs of which sacct fails to tell.
    It fails wherever Slurm keeps no accounts.
    Raises InputError, which names the setting to use.
    """
    told = ask("sacct", "--noheader", "--starttime", "now")
    if told is None or (told.returncode == 0 and "disabled" not in told.stderr):
        return
    why = (told.stderr or told.stdout).strip().splitlines() or [f"exit code {told.returncode}"]
    config = ask("scontrol", "show", "config")
    age = min_job_age(config.stdout if config else "")
    if age is None or age <= _BETWEEN_CHECKS:
        raise InputError(
            f"sacct fails here ({why[0]}), and squeue forgets a job "
            f"{'too soon' if age is None else f'after {age} s'} (MinJobAge), while Snakemake may ask "
            f"{_BETWEEN_CHECKS} s apart: it would wait for ever for jobs that have ended; use "
            "workflow/profiles/generic, with `sbatch --parsable` as submit command"
        )
    if settings.status_command != "squeue":
        raise InputError(
            f"slurm-status-command: found {settings.status_command}, which fails here ({why[0]}), so that Snakemake "
            "would wait for ever for jobs that have ended; use --slurm-status-command squeue"
        )
    if 3 * settings.init_seconds_before_status_checks > age:
        raise InputError(
            "slurm-init-seconds-before-status-checks: found "
            f"{settings.init_seconds_before_status_checks}, allowed are at most {age // 3} here, a third of Slurm's "
            f"MinJobAge: else Snakemake asks sacct, which fails ({why[0]}), and waits for ever"
        )


def min_job_age(config: str) -> int | None:
    """For how many seconds Slurm knows a job that has ended, from `scontrol show config`; None if not told."""
    found = re.search(r"^MinJobAge\s*=\s*(\d+)", config, flags=re.MULTILINE)
    return int(found[1]) if found else None


@dataclass
class Watch:
    """Finds the jobs that Slurm has ended and that the run still waits for.

    waiting: what the run waits for, titles by Slurm's number
    states: what Slurm says of the run's jobs, states by number; None if it cannot be asked
    say: takes one message, which names each such job once
    patience: seconds for which a job must have been in that state
    """

    waiting: Callable[[], Mapping[str, str]]
    states: Callable[[], Mapping[str, str] | None]
    say: Callable[[str], None]
    patience: float
    _listed: set[str] = field(default_factory=set)
    _since: dict[str, float] = field(default_factory=dict)
    _named: set[str] = field(default_factory=set)

    def look(self, now: float) -> None:
        """Ask once; `now` is in seconds, of any clock."""
        states = self.states()
        if states is None:
            return
        self._listed |= states.keys()
        late = []
        for number, title in self.waiting().items():
            state = states.get(number, "no longer listed" if number in self._listed else None)
            if state in _ENDED or state == "no longer listed":
                since = self._since.setdefault(number, now)
                if now - since >= self.patience and number not in self._named:
                    self._named.add(number)
                    late.append(f"Slurm job {number}, {title}: {state}")
            else:
                self._since.pop(number, None)
        if late:
            self.say(_message(late, self.patience))


def watch_jobs(workflow: Any, say: Callable[[str], None]) -> None:
    """Where the run is submitted to Slurm: refuse settings that cannot work, then watch until the run ends.

    workflow: Snakemake's, as it starts; say: takes a warning
    Raises InputError as `check_status_command` does.
    """
    if workflow.executor_plugin.name != "slurm":
        return
    check_status_command(workflow.executor_settings, asked)
    executor = workflow.scheduler._executor
    numbers = _submissions(executor)

    def waiting() -> dict[str, str]:
        running = [job for job in list(workflow.scheduler.running) if job in numbers]
        return {numbers[job]: _title(job) for job in running}

    watch = Watch(waiting, lambda: _states(executor.run_uuid), say, PATIENCE)

    def keep_looking() -> None:
        while executor.wait:
            watch.look(time.monotonic())
            time.sleep(LOOKS)

    threading.Thread(target=keep_looking, daemon=True, name="slurm-watch").start()


def _submissions(executor: Any) -> dict[Any, str]:
    """The number of each job that the executor submits from now on, by Snakemake's job.

    The executor's own list does not serve: when all attempts of one status check fail, the plugin drops the jobs from
    it, and never asks for them again (snakemake-executor-plugin-slurm 2.8.0, `check_active_jobs`).
    """
    numbers: dict[Any, str] = {}
    report = executor.report_job_submission

    def note(submitted: Any, *arguments: Any, **options: Any) -> None:
        numbers[submitted.job] = str(submitted.external_jobid)
        report(submitted, *arguments, **options)

    executor.report_job_submission = note
    return numbers


def _states(run: str) -> dict[str, str] | None:
    """The state of each job of a run that squeue lists, by number; None if it cannot be asked."""
    told = asked("squeue", "--noheader", "--states=all", "--format=%i|%T", "--name", run)
    if told is None or told.returncode:
        return None
    return dict(line.strip().split("|", 1) for line in told.stdout.splitlines() if "|" in line)


def _title(job: Any) -> str:
    """A job's rule and wildcards; of a group its name, and how many jobs of which rules it holds."""
    if not job.is_group():
        return " ".join([job.name, *map(str, job.wildcards_dict.values())])
    rules = Counter(member.rule.name for member in job.jobs)
    return f"group {job.groupid} ({', '.join(f'{n} {rule}' for rule, n in rules.items())})"


def _message(late: list[str], patience: float) -> str:
    more = len(late) - _SHOWN
    shown = [*late[:_SHOWN], *([f"and {more} more"] if more > 0 else [])]
    return (
        f"Slurm ended these jobs at least {patience / 60:.3g} minutes ago, and the run still waits for them: "
        f"{'; '.join(shown)}. Snakemake does not see it. Stop the run (Ctrl-C) and repeat the command, with "
        "--slurm-status-command squeue, or sacct if that was squeue."
    )
