"""Why a run stopped, in one line, from the logs of Snakemake and of the job that failed."""

import re
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from absynth.workflow.terminal import LINE, STAMP

_SNAKEMAKES = Path(".snakemake", "log")  # one for each of its runs, in the folder that it is called in
_FAILED = re.compile(r"^ *Error in rule (\w+).*\n((?: +\S.*\n?)*)", re.MULTILINE)
_ITS_LOG = re.compile(r"^ *log: (.+?)(?:, .+)? \(check log", re.MULTILINE)
_LOCKED = "Directory cannot be locked"
_TRACEBACK = "Traceback (most recent call last):"


def locked(began: float) -> bool:
    """Whether Snakemake, called here at this time (seconds since 1970), stopped since the run is locked."""
    return any(_LOCKED in text for text in _snakemakes(began))


def reason_of(results: Path, began: float) -> str | None:
    """Why Snakemake, called here, stopped: the last problem in the log of a job that failed, and that log.

    results: the run's folder, as Snakemake names it
    began: when it was called, in seconds since 1970; what was logged before says nothing
    None where no log of a failed job is known; where Snakemake's own log, with --quiet, names no failed job, the
    problem is that of the newest log that has one.
    """
    failed = [
        (found[1], Path(named[1]))
        for text in _snakemakes(began)
        for found in _FAILED.finditer(text)
        if (named := _ITS_LOG.search(found[2])) and Path(named[1]).is_relative_to(results)
    ]
    paths = [path for _, path in reversed(failed)]  # an earlier one may have been tried again, with success
    for path in paths or _newest_first((results / "logs").rglob("*.log"), began):
        if reason := _last_problem(_text(path).splitlines(), began):
            return f"{reason} ({path})"
    return next((f"{rule} failed, and its log does not say why ({path})" for rule, path in failed), None)


def _snakemakes(began: float) -> list[str]:
    """Snakemake's own logs since then."""
    return [_text(path) for path in _newest_first(_SNAKEMAKES.glob("*.log"), began)]


def _newest_first(logs: Iterable[Path], began: float) -> list[Path]:
    """Those of the logs that were written since then."""
    times = {path: path.stat().st_mtime for path in logs}
    return sorted((path for path in times if times[path] >= began), key=lambda path: -times[path])


def _last_problem(lines: Sequence[str], began: float) -> str | None:
    """The last error since then; of an uncaught exception what its traceback ends with."""
    since = time.strftime(STAMP, time.localtime(began))
    reason = None
    for number, line in enumerate(lines):
        said = LINE.match(line)
        if said is None or said["stamp"] < since:
            continue
        if said["level"] == "ERROR":
            reason = said["message"]
        elif said["level"] == "CRITICAL":
            reason = _exception(lines[number + 1 :]) or said["message"]
    return reason


def _exception(lines: Sequence[str]) -> str | None:
    """The exception in which the traceback at the head of these lines ends, the last of a chain; None without one."""
    end = next((place for place, line in enumerate(lines) if LINE.match(line)), len(lines))
    starts = [place for place, line in enumerate(lines[:end]) if line == _TRACEBACK]
    after = lines[starts[-1] + 1 : end] if starts else ()
    return next((line for line in after if line and not line.startswith(" ")), None)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
