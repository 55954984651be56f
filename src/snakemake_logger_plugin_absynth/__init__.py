"""Snakemake's logger plugin `absynth`: `snakemake --logger absynth`, which profiles/default chooses.

A line for each finished job and, on a terminal, one bar for the run; problems in colour. Dry runs look as Snakemake
shows them.
"""

import logging
import os
import sys
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

if TYPE_CHECKING:
    from absynth.workflow.terminal import RunView

_SILENT = {
    LogEvent.WORKFLOW_STARTED,
    LogEvent.JOB_STARTED,
    LogEvent.SHELLCMD,
    LogEvent.RESOURCES_INFO,
    LogEvent.GROUP_INFO,
    LogEvent.RULEGRAPH,
    LogEvent.DEBUG_DAG,
}
_RED, _YELLOW, _PLAIN = "\033[31m", "\033[33m", "\033[0m"
_REFRESH = 2.0  # seconds between two looks at the running jobs' logs


class LogHandler(LogHandlerBase):
    """Writes what `RunView` makes of Snakemake's records to the stream that Snakemake would write to."""

    writes_to_stream = True
    writes_to_file = False
    has_filter = False  # Snakemake's own, which --quiet sets
    has_formatter = False  # Snakemake's own, for dry runs
    needs_rulegraph = False

    def __post_init__(self) -> None:
        # Here, for Snakemake imports every plugin there is, whether it is used or not.
        from absynth.io.log import QUIET
        from absynth.workflow import terminal

        self._terminal = terminal
        self._plain = self.common_settings.dryrun
        self._stream = sys.stdout if self.common_settings.stdout else sys.stderr
        on_terminal = self._stream.isatty() and os.environ.get("TERM") != "dumb"
        self._colours = on_terminal and not self.common_settings.nocolor
        self._view = terminal.RunView()
        shown = on_terminal and not self._plain
        self._bar: _Bar | None = _Bar(self._view, self._stream, terminal.clock) if shown else None
        if not self._plain:
            os.environ[QUIET] = "1"  # jobs log to their files, which are shown here

    def emit(self, record: logging.LogRecord) -> None:
        """Show a record; one that cannot be shown costs no run."""
        try:
            self._emit(record)
        except Exception:
            self.handleError(record)

    def close(self) -> None:
        """Take the bar away."""
        if self._bar:
            self._bar.close()
        super().close()

    def _emit(self, record: logging.LogRecord) -> None:
        event = getattr(record, "event", None)
        if self._plain:
            self._write([self.format(record)])
        elif event == LogEvent.JOB_ERROR:
            self._write(self._view.fail(record.jobid, record.rule_name, record.log), _RED)  # type: ignore[attr-defined]
        elif event is None or event in (LogEvent.ERROR, LogEvent.GROUP_ERROR):
            self._message(record)
        elif event not in _SILENT:
            self._write(self._lines(event, vars(record)))
        if self._bar:
            self._bar.update()

    def _lines(self, event: LogEvent, told: dict[str, Any]) -> Sequence[str]:
        """What becomes of the run, and the lines that this is worth."""
        if event == LogEvent.RUN_INFO:
            return [] if self._view.total else self._view.plan(told["stats"])
        if event == LogEvent.JOB_INFO:
            now = self._terminal.clock()
            self._view.start(told["jobid"], told["rule_name"], told["wildcards"], told["log"], now)
        elif event == LogEvent.JOB_FINISHED:
            return self._view.finish(told["job_id"], self._terminal.clock())
        elif event == LogEvent.PROGRESS:
            self._view.progress(told["total"])
        return []

    def _message(self, record: logging.LogRecord) -> None:
        message = self.format(record)
        if message and message != "None" and not self._terminal.expected(message):
            level = record.levelno
            self._write(
                [message], _RED if level >= logging.ERROR else _YELLOW if level >= logging.WARNING else ""
            )

    def _write(self, lines: Sequence[str], colour: str = "") -> None:
        for number, line in enumerate(lines):
            shade = colour or (_YELLOW if number and line.startswith("    ") else "")
            text = f"{shade}{line}{_PLAIN}" if shade and self._colours else line
            if self._bar:
                self._bar.write(text)
            else:
                self._stream.write(f"{text}\n")
        self._stream.flush()


class _Bar:
    """One bar for the whole run, with the time left and how far the longest running job is."""

    def __init__(self, view: "RunView", stream: Any, clock: Callable[[], float]):
        from tqdm import tqdm

        self._view, self._clock, self._lock = view, clock, threading.Lock()
        form = "{n_fmt}/{total_fmt} |{bar:20}| {desc}"
        self._bar = tqdm(total=1, file=stream, leave=False, dynamic_ncols=True, bar_format=form)
        self._ended = threading.Event()
        threading.Thread(target=self._tick, daemon=True).start()

    def _tick(self) -> None:
        while not self._ended.wait(_REFRESH):
            self.update()

    def update(self) -> None:
        with self._lock:
            if self._ended.is_set():
                return
            self._bar.total, self._bar.n = max(self._view.total, 1), self._view.done
            self._bar.set_description_str(self._view.status(self._clock()), refresh=True)
            if self._view.total and self._view.done >= self._view.total:
                self._close()

    def write(self, text: str) -> None:
        with self._lock:
            self._bar.write(text, file=self._bar.fp)

    def close(self) -> None:
        with self._lock:
            self._close()

    def _close(self) -> None:
        if not self._ended.is_set():
            self._ended.set()
            self._bar.close()
