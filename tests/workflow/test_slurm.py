"""What a run on Slurm is refused for at its start, and which jobs it is told of while it waits."""

import time
from dataclasses import dataclass, field
from subprocess import CompletedProcess
from types import SimpleNamespace

import pytest

from absynth.errors import InputError
from absynth.workflow import slurm
from absynth.workflow.slurm import Watch, asked, check_status_command, min_job_age, watch_jobs

# As Slurm 22.05 says it.
CONFIG = (
    "Configuration data as of 2026-11-27T12:00:00\nMinJobAge               = {age} sec\nMpiDefault   = none\n"
)
NO_ACCOUNTS = "Slurm accounting storage is disabled\n"


def site(*, accounts: bool | None, age: int | None = 300):
    """The commands of a site; accounts: None where there is no sacct, age: None where MinJobAge is not told."""

    def ask(command, *arguments):
        if command == "scontrol":
            return CompletedProcess([], 0, "" if age is None else CONFIG.format(age=age), "")
        if accounts is None:
            return None
        return CompletedProcess([], 0, "", "") if accounts else CompletedProcess([], 1, "", NO_ACCOUNTS)

    return ask


def settings(command: str, first: int = 40):
    return SimpleNamespace(status_command=command, init_seconds_before_status_checks=first)


@pytest.mark.parametrize("command", ["sacct", "squeue"])
@pytest.mark.parametrize("accounts", [True, None])
@pytest.mark.parametrize("age", [10, 300, None])
def test_where_sacct_answers_or_is_not_there_either_command_will_do(command, accounts, age):
    check_status_command(settings(command), site(accounts=accounts, age=age))


@pytest.mark.parametrize(
    ("command", "first", "age", "message"),
    [
        ("sacct", 40, 300, "found sacct.*accounting storage is disabled.*use --slurm-status-command squeue"),
        ("squeue", 101, 300, "slurm-init-seconds-before-status-checks: found 101, allowed are at most 100"),
        ("squeue", 40, 180, "forgets a job after 180 s.*180 s apart.*workflow/profiles/generic"),
        ("sacct", 40, 60, "forgets a job after 60 s.*workflow/profiles/generic"),
        ("squeue", 40, None, "forgets a job too soon.*workflow/profiles/generic"),
    ],
)
def test_without_accounts_what_would_wait_for_ever_is_refused(command, first, age, message):
    with pytest.raises(InputError, match=message):
        check_status_command(settings(command, first), site(accounts=False, age=age))


def test_a_sacct_that_says_so_and_ends_well_will_not_do():
    answers = site(accounts=False)

    def ask(*command):
        return CompletedProcess([], 0, "", NO_ACCOUNTS) if command[0] == "sacct" else answers(*command)

    with pytest.raises(InputError, match="accounting storage is disabled"):
        check_status_command(settings("sacct"), ask)


def test_without_accounts_squeue_will_do():
    check_status_command(settings("squeue"), site(accounts=False))
    check_status_command(settings("squeue", 100), site(accounts=False))


def test_the_age_is_read_from_what_slurm_says():
    assert min_job_age(CONFIG.format(age=2)) == 2
    assert min_job_age("MinJobAgeing = 3\n") is None


def test_a_command_that_is_not_there_is_no_error():
    assert asked("a-command-that-no-machine-has") is None
    assert asked("echo", "here").stdout == "here\n"


@pytest.fixture
def watch():
    said: list[str] = []
    view = SimpleNamespace(waiting={}, states={}, said=said)
    view.watch = Watch(lambda: view.waiting, lambda: view.states, said.append, patience=600)
    return view


def test_a_job_that_slurm_has_ended_is_named_once_and_not_too_soon(watch):
    watch.waiting = {"7": "run_attack cnn l2 ddn 0", "8": "train_vae 3"}
    watch.states = {"7": "COMPLETED", "8": "RUNNING"}
    for now in (0.0, 599.0):
        watch.watch.look(now)
    assert watch.said == []
    for now in (600.0, 660.0):
        watch.watch.look(now)
    (message,) = watch.said
    assert "at least 10 minutes ago" in message
    assert "Slurm job 7, run_attack cnn l2 ddn 0: COMPLETED." in message
    assert "train_vae" not in message


def test_a_job_that_slurm_no_longer_lists_is_named_but_not_one_it_never_listed(watch):
    watch.waiting = {"7": "run_attack", "8": "on another cluster"}
    watch.states = {"7": "RUNNING"}
    watch.watch.look(0.0)
    watch.states = {}
    watch.watch.look(60.0)
    watch.watch.look(660.0)
    (message,) = watch.said
    assert "Slurm job 7, run_attack: no longer listed" in message
    assert "another cluster" not in message


def test_jobs_that_snakemake_has_seen_or_slurm_runs_again_are_not_named(watch):
    watch.waiting = {"7": "seen", "8": "requeued"}
    watch.states = {"7": "COMPLETED", "8": "NODE_FAIL"}
    watch.watch.look(0.0)
    watch.waiting, watch.states = {"8": "requeued"}, {"8": "RUNNING"}
    watch.watch.look(300.0)
    watch.states = {"8": "COMPLETED"}
    watch.watch.look(700.0)
    watch.watch.look(1299.0)
    assert watch.said == []
    watch.watch.look(1300.0)
    assert "Slurm job 8" in watch.said[0]


def test_nothing_is_said_while_slurm_cannot_be_asked(watch):
    watch.waiting, watch.states = {"7": "run_attack"}, {"7": "RUNNING"}
    watch.watch.look(0.0)
    watch.states = None
    watch.watch.look(60.0)
    watch.watch.look(6000.0)
    assert watch.said == []


def test_many_jobs_are_named_in_one_short_message(watch):
    watch.waiting = {str(number): f"job {number}" for number in range(100)}
    watch.states = dict.fromkeys(watch.waiting, "FAILED")
    watch.watch.look(0.0)
    watch.watch.look(600.0)
    (message,) = watch.said
    assert "Slurm job 2, job 2: FAILED; and 97 more." in message
    assert "job 3:" not in message


@dataclass(eq=False)
class Job:
    name: str
    wildcards_dict: dict = field(default_factory=dict)
    jobs: tuple = ()
    groupid: str = ""

    def is_group(self):
        return bool(self.jobs)


@pytest.fixture
def started(monkeypatch):
    """A run that has started on a site without accounts; its executor keeps no list of jobs."""
    monkeypatch.setattr(slurm, "LOOKS", 0.01)
    monkeypatch.setattr(slurm, "PATIENCE", 0.0)
    answers = site(accounts=False)
    listed = CompletedProcess([], 0, "7|COMPLETED\n8|RUNNING\n9|TIMEOUT\n", "")
    monkeypatch.setattr(
        slurm, "asked", lambda *command: listed if command[0] == "squeue" else answers(*command)
    )
    said, reported = [], []
    executor = SimpleNamespace(run_uuid="run", wait=True, report_job_submission=reported.append)
    run = SimpleNamespace(
        executor_plugin=SimpleNamespace(name="slurm"),
        executor_settings=settings("squeue"),
        scheduler=SimpleNamespace(_executor=executor, running=set()),
        said=said,
        reported=reported,
    )
    yield run
    executor.wait = False


def test_jobs_that_the_plugin_has_forgotten_are_named(started):
    watch_jobs(started, started.said.append)
    one = Job("run_attack", {"model": "cnn", "shard": "0"})
    member = SimpleNamespace(rule=SimpleNamespace(name="gather_minima"))
    group = Job("minima", jobs=(member, member), groupid="minima")
    jobs = {"7": one, "8": Job("train_vae"), "9": group}
    for number, job in jobs.items():
        submitted = SimpleNamespace(job=job, external_jobid=number)
        started.scheduler._executor.report_job_submission(submitted)
    assert [info.external_jobid for info in started.reported] == ["7", "8", "9"]
    started.scheduler.running |= set(jobs.values())
    deadline = time.monotonic() + 60
    while not started.said and time.monotonic() < deadline:
        time.sleep(0.01)
    (message,) = started.said
    assert "Slurm job 7, run_attack cnn 0: COMPLETED" in message
    assert "Slurm job 9, group minima (2 gather_minima): TIMEOUT" in message
    assert "train_vae" not in message


def test_nothing_is_asked_or_watched_elsewhere(started):
    started.executor_plugin.name = "local"
    started.executor_settings = None
    watch_jobs(started, started.said.append)
    assert started.scheduler._executor.report_job_submission == started.reported.append
