"""What the terminal shows of a run: a line for each finished job with what it found, one bar, and every problem.

`snakemake_logger_plugin_absynth` hands Snakemake's log records on. Its own log, with every detail, stays in
.snakemake/log, and each job's in the run's folder.
"""

import re
import statistics
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

STAMP = "%Y-%m-%d %H:%M:%S"
LINE = re.compile(r"(?P<stamp>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) (?P<level>[A-Z]+) (?P<message>.*)")
_PROBLEMS = ("WARNING", "ERROR", "CRITICAL")
_TAIL = 20_000  # bytes at the end of a log that are looked at
_SHOWN_PROBLEMS, _LONGEST = 3, 160
_EXPECTED = (  # what Snakemake says of every run
    "Building DAG of jobs",
    "Using shell:",
    "Select jobs to execute",
    "Group jobs: inactive",
    "Conda environments: ignored",
    "Singularity containers: ignored",
    "Assuming unrestricted shared filesystem usage",
)


@dataclass(frozen=True)
class Job:
    """A job that has started: its rule, its wildcards' values, its log, and when, by `clock` and as logs write it."""

    rule: str
    wildcards: tuple[str, ...]
    log: Path | None
    started: float
    stamp: str

    @property
    def title(self) -> str:
        return " ".join([self.rule, *self.wildcards])

    def said(self) -> list[tuple[str, str]]:
        """The levels and messages of what it has logged since then; lines of a traceback are left out."""
        lines = _log_lines(self.log)
        return [(line["level"], line["message"]) for line in lines if line["stamp"] >= self.stamp]


class RunView:
    """The state of a run, from what Snakemake tells of it. Times are seconds of one clock, `time.monotonic` say."""

    def __init__(self) -> None:
        self.done = self.total = 0
        self.running: dict[int, Job] = {}
        self._planned: Counter[str] = Counter()
        self._finished: Counter[str] = Counter()
        self._seconds: dict[str, list[float]] = defaultdict(list)  # by rule
        self._begun: float | None = None

    def plan(self, stats: Mapping[str, int]) -> list[str]:
        """Take in how many jobs each rule has; returns the lines that say so."""
        self._planned = Counter({rule: n for rule, n in stats.items() if rule not in ("total", "all")})
        self.total = stats.get("total", sum(stats.values()))
        most = ", ".join(f"{n} {rule}" for rule, n in self._planned.most_common(5))
        return [f"{self.total} jobs, among them {most}" if most else f"{self.total} jobs"]

    def start(
        self, number: int, rule: str, wildcards: Mapping[str, str], logs: Sequence[str], now: float
    ) -> None:
        """A job starts, or starts again."""
        log = Path(logs[0]) if logs else None
        self._begun = now if self._begun is None else self._begun
        stamp = time.strftime(STAMP)
        self.running[number] = Job(rule, tuple(map(str, wildcards.values())), log, now, stamp)

    def finish(self, number: int, now: float) -> list[str]:
        """A job has ended well; returns its line, and one for each problem that it logged, at most three.

        Nothing of a target, which runs nothing and has no log.
        """
        self.done += 1
        job = self.running.pop(number, None)
        if job is None:
            return []
        self._seconds[job.rule].append(now - job.started)
        self._finished[job.rule] += 1
        if job.log is None:
            return []
        width = len(str(self.total))
        said = job.said()
        found = [message for level, message in said if level == "INFO"]
        line = f"{self.done:{width}d}/{self.total}  {job.title}"
        return [_short(f"{line}: {found[-1]}" if found else line), *_problems(said)]

    def fail(self, number: int, rule: str, logs: Sequence[str]) -> list[str]:
        """A job has failed; returns a line that says so, and its problems."""
        job = self.running.pop(number, None)
        title = job.title if job else rule
        where = f"; log: {logs[0]}" if logs else ""
        return [f"{title} failed{where}", *_problems(job.said() if job else [])]

    def progress(self, total: int) -> None:
        """Take in how many jobs there are in all."""
        self.total = total

    def seconds_left(self, now: float) -> float | None:
        """An estimate from the measured times of jobs like those still to come; None before a job has ended.

        A job of a rule of which none has ended counts as long as the median job so far. What remains is divided by
        how many jobs have run at a time.
        """
        known = [value for values in self._seconds.values() for value in values]
        if not known or self._begun is None:
            return None
        middle = statistics.median(known)
        usual = {rule: statistics.fmean(values) for rule, values in self._seconds.items()}
        left = self._planned - self._finished
        work = sum(n * usual.get(rule, middle) for rule, n in left.items())
        begun = [now - job.started for job in self.running.values()]
        at_a_time = (sum(known) + sum(begun)) / max(now - self._begun, 1e-9)
        return max(work - sum(begun), 0.0) / max(at_a_time, 1.0)

    def status(self, now: float) -> str:
        """The time left, and how far the job is that has been running longest."""
        left = self.seconds_left(now)
        parts = [] if left is None else [f"{duration(left)} left"]
        if self.running:
            job = min(self.running.values(), key=lambda job: job.started)
            said = [message for level, message in job.said() if level == "INFO"]
            parts.append(f"{job.title}{': ' + said[-1] if said else ''}")
        return _short(", ".join(parts))


def expected(message: str) -> bool:
    """Whether a message of Snakemake's says only what is true of every run."""
    return message.startswith(_EXPECTED)


def duration(seconds: float) -> str:
    """Seconds in words, rounded to what is worth knowing of an estimate."""
    if seconds < 90:
        return f"{max(5, round(seconds / 5) * 5)} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes / 60:.1f} h"


def clock() -> float:
    """The time that a `RunView` counts in."""
    return time.monotonic()


def _problems(said: Sequence[tuple[str, str]]) -> list[str]:
    found = [f"    {level.lower()}: {message}" for level, message in said if level in _PROBLEMS]
    shown = [_short(line) for line in found[-_SHOWN_PROBLEMS:]]
    more = len(found) - len(shown)
    return [*([f"    {more} more in its log"] if more else []), *shown]


def _log_lines(path: Path | None) -> Iterator[re.Match[str]]:
    """The lines of a job's log, of its end where that is long; none where it cannot be read."""
    if path is None:
        return
    try:
        with path.open("rb") as log:
            log.seek(max(0, path.stat().st_size - _TAIL))
            text = log.read().decode("utf-8", "replace")
    except OSError:
        return
    for line in text.splitlines():
        if match := LINE.match(line):
            yield match


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
