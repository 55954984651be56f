"""One log a job, with whatever ended it."""

import logging
import subprocess
import sys
from pathlib import Path

import pytest

from absynth.io import log
from absynth.io.log import LOGGER, progress_bar, start_log

SCRIPTS = Path(log.__file__).parents[2]


def run(path: Path, last: str) -> subprocess.CompletedProcess:
    """A job that logs one line and then does `last`."""
    code = f"""if True:
        from absynth.errors import InputError
        from absynth.io.log import start_log
        start_log({str(path)!r}).info("begun ε")
        {last}
    """
    return subprocess.run([sys.executable, "-c", code], cwd=SCRIPTS, capture_output=True, text=True)


def test_file_and_stderr_get_the_same_lines(tmp_path):
    path = tmp_path / "logs" / "x.log"
    done = run(path, "pass")
    assert done.returncode == 0
    assert path.read_text(encoding="utf-8") == done.stderr
    assert done.stderr.endswith(" INFO begun ε\n")


def test_later_job_appends(tmp_path):
    for _ in range(2):
        run(tmp_path / "x.log", "pass")
    assert (tmp_path / "x.log").read_text(encoding="utf-8").count("begun") == 2


def test_bad_input_ends_a_job_with_one_line(tmp_path):
    done = run(tmp_path / "x.log", "raise InputError('no such file')")
    assert done.returncode == 1
    last = (tmp_path / "x.log").read_text(encoding="utf-8").splitlines()[1:]
    assert len(last) == 1
    assert last[0].endswith(" ERROR no such file")


def test_other_exceptions_are_logged_with_their_trace(tmp_path):
    done = run(tmp_path / "x.log", "1 / 0")
    text = (tmp_path / "x.log").read_text(encoding="utf-8")
    assert done.returncode == 1
    assert "CRITICAL uncaught exception" in text
    assert "Traceback" in text
    assert text.endswith("ZeroDivisionError: division by zero\n")


def test_interruption_is_logged_without_a_trace(tmp_path):
    run(tmp_path / "x.log", "raise KeyboardInterrupt")
    text = (tmp_path / "x.log").read_text(encoding="utf-8")
    assert text.endswith(" ERROR interrupted\n")
    assert "Traceback" not in text


@pytest.fixture
def restored():
    """What start_log changes, put back afterwards."""
    before = sys.excepthook, LOGGER.handlers[:], LOGGER.propagate, LOGGER.level
    yield
    for handler in LOGGER.handlers:
        handler.close()
    sys.excepthook, LOGGER.handlers[:], LOGGER.propagate = before[:3]
    LOGGER.setLevel(before[3])


@pytest.mark.usefixtures("restored")
def test_starting_again_does_not_double_lines(tmp_path, capsys):
    start_log(tmp_path / "one.log")
    start_log(tmp_path / "two.log").info("once")
    assert capsys.readouterr().err.count("once") == 1
    assert (tmp_path / "one.log").read_text() == ""
    assert (tmp_path / "two.log").read_text().count("once") == 1


@pytest.mark.usefixtures("restored")
def test_without_a_file_stderr_alone_gets_the_lines(capsys):
    assert [type(handler) for handler in start_log(None).handlers] == [logging.StreamHandler]
    LOGGER.info("here")
    assert "here" in capsys.readouterr().err


def test_bar_is_for_people_alone(monkeypatch, capsys):
    steps = [1, 2]
    assert list(progress_bar(steps, "x")) == steps
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert list(progress_bar(steps, "counting")) == steps
    assert "counting" in capsys.readouterr().err


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize("terminal", [False, True])
def test_without_a_bar_a_job_logs_how_far_it_is_every_half_minute(tmp_path, monkeypatch, capsys, terminal):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal, raising=False)
    monkeypatch.setenv(log.QUIET, "1" if terminal else "")  # another shows the bar
    path = tmp_path / "x.log"
    start_log(path)
    times = iter([0.0, 1.0, 31.0, 31.0, 40.0, 62.0, 62.0])
    monkeypatch.setattr(log.time, "monotonic", lambda: next(times))
    assert list(progress_bar(range(4), "batches")) == [0, 1, 2, 3]
    said = path.read_text()
    assert [line.partition(" INFO ")[2] for line in said.splitlines()] == [
        "batches: 1 of 4",
        "batches: 3 of 4",
    ]
    assert capsys.readouterr().err == ("" if terminal else said)


@pytest.mark.usefixtures("restored")
def test_a_log_that_cannot_be_written_leaves_stderr(tmp_path, capsys):
    (tmp_path / "logs").write_text("a file in the folder's place")
    start_log(tmp_path / "logs" / "x.log").info("here")
    said = capsys.readouterr().err
    assert "x.log: cannot be written (" in said
    assert "here" in said


@pytest.mark.usefixtures("restored")
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full")
def test_a_log_on_a_full_disk_costs_no_line_on_stderr(capsys):
    start_log("/dev/full").info("here")
    said = capsys.readouterr().err
    assert said.endswith(" INFO here\n")
    assert len(said.splitlines()) == 1
