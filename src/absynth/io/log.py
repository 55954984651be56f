"""One log per job: a file and stderr, uncaught exceptions included."""

import logging
import os
import sys
import time
from collections.abc import Iterable, Iterator, Sized
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from absynth.errors import InputError
from absynth.io.opening import refusal

LOGGER = logging.getLogger("absynth")
# A variable that whoever shows the jobs' logs sets, so that they write to these alone.
QUIET = "ABSYNTH_QUIET_JOBS"
_TOLD_EVERY = 30.0  # seconds between two lines that say how far a job is
_FORMAT = "%(asctime)s %(levelname)s %(message)s"
Item = TypeVar("Item")


def start_log(path: str | Path | None) -> logging.Logger:
    """Log to `path` (appended to: a resumed job keeps its earlier log) and to stderr; return the logger.

    Where the variable ABSYNTH_QUIET_JOBS is set, stderr is left alone as long as there is a log.

    An uncaught `InputError` is logged as one line, so is a file that the system refuses; any other exception with its
    traceback.
    """
    handlers: list[logging.Handler] = []
    if path:
        try:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            handlers.append(_File(path, encoding="utf-8"))
        except OSError as error:  # the log continues on stderr, and outputs fail by themselves if they must
            sys.stderr.write(f"{path}: cannot be written ({error.strerror})\n")
    if not (handlers and os.environ.get(QUIET)):
        handlers.append(logging.StreamHandler(sys.stderr))
    for handler in LOGGER.handlers[:]:
        LOGGER.removeHandler(handler)
        handler.close()
    for handler in handlers:
        handler.setFormatter(logging.Formatter(_FORMAT, datefmt="%Y-%m-%d %H:%M:%S"))
        LOGGER.addHandler(handler)
    LOGGER.setLevel(logging.INFO)
    LOGGER.propagate = False
    sys.excepthook = _log_uncaught
    return LOGGER


class _File(logging.FileHandler):
    """A log whose writes may fail, say on a full disk, without a traceback for each line: stderr has them too."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        pass

    def close(self) -> None:
        with suppress(OSError):
            super().close()


def progress_bar(steps: Iterable[Item], name: str) -> Iterable[Item]:
    """Wrap `steps` in a bar with rate and remaining time if stderr is a terminal, else log how far they are."""
    if os.environ.get(QUIET) or not sys.stderr.isatty():
        return _told(steps, name)
    from tqdm import tqdm

    return tqdm(steps, desc=name, leave=False)


def _told(steps: Iterable[Item], name: str) -> Iterator[Item]:
    of_all = f" of {len(steps)}" if isinstance(steps, Sized) else ""
    told = time.monotonic()
    for done, step in enumerate(steps):
        if time.monotonic() - told >= _TOLD_EVERY:
            LOGGER.info("%s: %d%s", name, done, of_all)
            told = time.monotonic()
        yield step


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, InputError):
        LOGGER.error("%s", error)
    elif isinstance(error, OSError) and error.filename and (reason := refusal(error)):
        LOGGER.error("%s: %s", error.filename, reason)
    elif issubclass(kind, KeyboardInterrupt):
        LOGGER.error("interrupted")
    else:
        LOGGER.critical("uncaught exception", exc_info=(kind, error, trace))
