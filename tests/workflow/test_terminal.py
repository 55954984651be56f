"""What the terminal shows of a run, from Snakemake's records."""

import logging
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from snakemake_interface_logger_plugins.common import LogEvent

from absynth.io.log import QUIET
from absynth.workflow.terminal import RunView, duration, expected
from snakemake_logger_plugin_absynth import LogHandler

ROOT = Path(__file__).parents[2]
ATTACK = {"model": "cnn", "norm": "l2", "attack": "ddn", "shard": "0"}


NOW = "2026-11-27 12:00:00"


@pytest.fixture(autouse=True)
def _noon(monkeypatch):
    monkeypatch.setattr("absynth.workflow.terminal.time.strftime", lambda form: NOW)


def logged(path, *lines, stamp=NOW):
    with path.open("a", encoding="utf-8") as log:
        log.writelines(f"{stamp} {line}\n" for line in lines)
    return [str(path)]


def test_a_finished_job_says_what_it_found_and_its_problems_alone(tmp_path):
    view = RunView()
    assert view.plan({"run_attack": 11, "all": 1, "total": 12}) == ["12 jobs, among them 11 run_attack"]
    log = logged(
        tmp_path / "x.log", "INFO median 9", "WARNING of an earlier attempt", stamp="2026-11-27 11:59:59"
    )
    view.start(3, "run_attack", ATTACK, log, 10.0)
    logged(tmp_path / "x.log", "INFO device cpu", "WARNING slow", "INFO median 0.8, 2.1 s")
    assert view.finish(3, 12.0) == [" 1/12  run_attack cnn l2 ddn 0: median 0.8, 2.1 s", "    warning: slow"]
    view.start(4, "run_attack", ATTACK, [], 12.0)
    assert view.finish(4, 13.0) == []  # a target
    view.start(5, "plot", {}, [str(tmp_path / "silent.log")], 13.0)
    assert view.finish(5, 14.0) == [" 3/12  plot"]


def test_no_more_than_three_problems_and_no_endless_line(tmp_path):
    view = RunView()
    view.plan({"x": 1, "total": 1})
    log = [str(tmp_path / "x.log")]
    view.start(1, "x", {}, log, 0.0)
    logged(tmp_path / "x.log", *(f"WARNING {number}" for number in range(5)), "INFO " + "long " * 100)
    line, *problems = view.finish(1, 1.0)
    assert len(line) == 160
    assert line.endswith("…")
    assert problems == ["    2 more in its log", *(f"    warning: {number}" for number in (2, 3, 4))]


def test_a_failed_job_names_its_log_and_what_it_says(tmp_path):
    view = RunView()
    log = [str(tmp_path / "x.log")]
    view.start(1, "probe_model", {"model": "mine"}, log, 0.0)
    (tmp_path / "x.log").write_text("2026-11-27 12:00:00 ERROR mine: no logits\nTraceback\n  File\n")
    assert view.fail(1, "probe_model", log) == [
        f"probe_model mine failed; log: {log[0]}",
        "    error: mine: no logits",
    ]
    assert view.fail(2, "other", []) == ["other failed"]  # one that Snakemake never said had started
    assert view.running == {}


def test_what_is_left_comes_from_like_jobs_at_the_speed_so_far():
    view = RunView()
    view.plan({"train": 1, "run_attack": 4, "total": 5})
    assert view.seconds_left(0.0) is None
    view.start(1, "train", {}, [], 0.0)
    view.start(2, "run_attack", ATTACK, [], 0.0)
    assert view.seconds_left(5.0) is None
    view.finish(2, 10.0)
    view.start(3, "run_attack", ATTACK, [], 10.0)
    # Left: three attacks of 10 s, one of which has run for 10, and a training like the median job, all but done.
    assert view.seconds_left(20.0) == pytest.approx((3 * 10 + 10 - 10 - 20) / 2)
    view.finish(1, 40.0)
    assert view.seconds_left(40.0) == pytest.approx(
        0
    )  # the running one is long overdue: two to go, by its 30 s
    assert view.status(40.0) == "5 s left, run_attack cnn l2 ddn 0"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "5 s"), (42, "40 s"), (89, "90 s"), (90, "2 min"), (5300, "88 min"), (7200, "2.0 h")],
)
def test_times_left_are_rounded(seconds, words):
    assert duration(seconds) == words


class Stream(list):
    """A stream that is no terminal, or says it is."""

    encoding = "utf-8"

    def __init__(self, terminal=False):
        super().__init__()
        self.terminal = terminal

    def write(self, text):
        self.append(text)

    def flush(self):
        pass

    def isatty(self):
        return self.terminal

    @property
    def text(self):
        return "".join(self)


def handler(monkeypatch, stream, **settings):
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setenv(QUIET, "")  # restored afterwards
    common = SimpleNamespace(**{"dryrun": False, "stdout": False, "nocolor": False} | settings)
    made = LogHandler(common, None)
    made.setFormatter(logging.Formatter("%(message)s"))
    return made


def record(message, event=None, level=logging.INFO, **extra):
    made = logging.LogRecord("snakemake", level, "", 0, message, None, None)
    vars(made).update(extra, **({"event": event} if event else {}))
    return made


def run(made, tmp_path):
    """A run of two jobs, the second of which fails."""
    logs = {number: [str(tmp_path / f"{number}.log")] for number in (1, 2)}
    made.emit(record("Building DAG of jobs..."))
    made.emit(record(None, LogEvent.RUN_INFO, stats={"x": 2, "total": 2}))
    for number in (1, 2):
        info = {"jobid": number, "rule_name": "x", "wildcards": {"model": "m"}, "log": logs[number]}
        made.emit(record("Select jobs to execute..."))
        made.emit(record("Execute 1 jobs...", LogEvent.JOB_STARTED, jobs=[number]))
        made.emit(record("x", LogEvent.JOB_INFO, **info))
        logged(
            tmp_path / f"{number}.log",
            "INFO half",
            "WARNING odd",
            "ERROR bad" if number == 2 else "INFO found it",
        )
    made.emit(record("Finished", LogEvent.JOB_FINISHED, job_id=1))
    made.emit(record(None, LogEvent.PROGRESS, done=1, total=2))
    made.emit(record("", LogEvent.JOB_ERROR, level=logging.ERROR, jobid=2, rule_name="x", log=logs[2]))
    made.emit(record("Elapsed time: 0:00:01"))
    made.close()
    made.close()


def test_off_a_terminal_there_are_plain_lines(monkeypatch, tmp_path):
    stream = Stream()
    run(handler(monkeypatch, stream), tmp_path)
    assert stream.text == (
        "2 jobs, among them 2 x\n"
        "1/2  x m: found it\n"
        "    warning: odd\n"
        f"x m failed; log: {tmp_path}/2.log\n"
        "    warning: odd\n"
        "    error: bad\n"
        "Elapsed time: 0:00:01\n"
    )


def test_on_a_terminal_there_is_one_bar_and_problems_are_coloured(monkeypatch, tmp_path):
    stream = Stream(terminal=True)
    run(handler(monkeypatch, stream), tmp_path)
    assert "\033[33m    warning: odd\033[0m" in stream.text
    assert f"\033[31mx m failed; log: {tmp_path}/2.log\033[0m" in stream.text
    assert "1/2 |" in stream.text
    without = Stream(terminal=True)
    run(handler(monkeypatch, without, nocolor=True), tmp_path)
    assert "\033[33m" not in without.text


def test_a_dry_run_looks_as_snakemake_shows_it(monkeypatch, tmp_path):
    stream = Stream()
    made = handler(monkeypatch, stream, dryrun=True)
    made.emit(record("rule x: reason", LogEvent.JOB_INFO))
    assert stream.text == "rule x: reason\n"


def test_what_is_said_of_every_run_is_known():
    assert expected("Select jobs to execute...")
    assert expected("Assuming unrestricted shared filesystem usage.")
    assert not expected("Nothing to be done (all requested files are present and up to date).")


SNAKEFILE = """
rule all:
    input:
        expand("{i}.txt", i=range(2)),


rule job:
    output:
        "{i}.txt",
    log:
        "{i}.log",
    shell:
        "touch {output} {log}"
"""


def test_a_real_run_into_a_file_has_a_plain_line_for_each_job_that_succeeds(tmp_path):
    """With the profile that plain `snakemake` takes, whose scheduler is one that this Snakemake has."""
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    command = [
        sys.executable,
        "-m",
        "snakemake",
        "--cores",
        "1",
        "--workflow-profile",
        ROOT / "profiles/default",
    ]
    surroundings = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    with (tmp_path / "told").open("w+", encoding="utf-8") as told:
        subprocess.run(command, cwd=tmp_path, env=surroundings, stdout=told, stderr=told, check=True)
        told.seek(0)
        text = told.read()
    lines = text.splitlines()
    assert "3 jobs, among them 2 job" in lines
    assert sorted(line for line in lines if "/3  job " in line)[0].startswith("1/3  job ")
    assert {line[-1] for line in lines if "/3  job " in line} == {"0", "1"}
    assert not {"\033", "\r"} & set(text)
