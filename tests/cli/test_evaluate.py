"""What `absynth evaluate` says when the workflow stops."""

import argparse
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from absynth.cli import evaluate
from absynth.cli.reasons import reason_of

RESULTS = Path("results", "mine")
PROBE, ATTACK = (
    RESULTS / "logs" / "probe_model" / "Net.log",
    RESULTS / "logs" / "run_attack" / "ddn" / "0.log",
)
SNAKEMAKES = Path(".snakemake", "log", "1.snakemake.log")
# As Snakemake 9 writes it.
FAILED = """\
[Fri Nov 27 18:00:00 2026]
Error in rule {rule}:
    message: None
    jobid: 3
    output: results/mine/made.h5
    log: {log} (check log file(s) for error details)
Shutting down, this might take some time.
"""
UNCAUGHT = """\
2026-11-27 18:00:02 CRITICAL uncaught exception
Traceback (most recent call last):
  File "a.py", line 1, in <module>
    ask()
KeyError: 'first'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "a.py", line 3, in <module>
    ask()
RuntimeError: Error(s) in loading state_dict for Net:
\tMissing key(s)
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def log(path, text, time=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    if time:
        os.utime(path, (time, time))


def test_the_reason_is_the_last_error_in_the_log_of_the_job_that_failed():
    assert reason_of(RESULTS, 0) is None
    log(PROBE, "2026-11-27 18:00:01 ERROR first\n2026-11-27 18:00:02 ERROR ddn: fails\n", 100)
    log(ATTACK, "2026-11-27 18:00:03 ERROR another, of a job that was tried again\n", 200)
    log(SNAKEMAKES, FAILED.format(rule="probe_model", log=PROBE))
    assert reason_of(RESULTS, 0) == f"ddn: fails ({PROBE})"
    assert reason_of(Path("results", "other"), 0) is None  # another run, called at the same time


def test_an_uncaught_exception_is_what_its_traceback_ends_with():
    log(PROBE, f"2026-11-27 18:00:01 ERROR before\n{UNCAUGHT}2026-11-27 18:00:03 INFO done\n")
    log(SNAKEMAKES, FAILED.format(rule="probe_model", log=f"{PROBE}, other.log"))
    assert reason_of(RESULTS, 0) == f"RuntimeError: Error(s) in loading state_dict for Net: ({PROBE})"


def test_what_an_earlier_call_logged_is_no_reason(monkeypatch):
    log(ATTACK, "2020-01-01 18:00:01 ERROR of long ago\n")
    log(SNAKEMAKES, FAILED.format(rule="run_attack", log=ATTACK))
    began = 1.7e9  # 2023
    assert reason_of(RESULTS, began) == f"run_attack failed, and its log does not say why ({ATTACK})"
    log(SNAKEMAKES, FAILED.format(rule="run_attack", log=ATTACK), began - 9)
    assert reason_of(RESULTS, began) is None


def test_of_several_failures_the_last_counts():
    log(PROBE, "2026-11-27 18:00:01 ERROR was tried again, with success\n")
    log(ATTACK, "2026-11-27 18:00:01 ERROR for good\n")
    log(
        SNAKEMAKES,
        FAILED.format(rule="probe_model", log=PROBE) + FAILED.format(rule="run_attack", log=ATTACK),
    )
    assert reason_of(RESULTS, 0) == f"for good ({ATTACK})"


def test_where_snakemake_is_quiet_the_newest_log_with_a_problem_counts():
    log(ATTACK, "2026-11-27 18:00:01 ERROR older\n", 1.9e9)
    log(PROBE, "2026-11-27 18:00:02 ERROR newer\n", 1.9e9 + 1)
    log(SNAKEMAKES, "")
    assert reason_of(RESULTS, 0) == f"newer ({PROBE})"


def test_a_lock_is_named_with_its_cure(monkeypatch, capsys):
    call = SimpleNamespace(runs=True, config=Path("c.yaml"))
    plan = SimpleNamespace(
        norms=["l2"], models={}, config={"n_samples": 1}, dataset=SimpleNamespace(name="toy")
    )
    asked = SimpleNamespace(written=lambda: call, plan=plan, results=RESULTS)
    monkeypatch.setattr(evaluate, "asked", lambda options, folder: asked)

    def locked(call):
        log(SNAKEMAKES, "LockException:\nError: Directory cannot be locked. Please make sure\n", 4e9)
        return 1

    monkeypatch.setattr(evaluate.workflow_process, "run", locked)
    assert evaluate.run(argparse.Namespace()) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert "the run is locked" in last
    assert "--unlock" in last
