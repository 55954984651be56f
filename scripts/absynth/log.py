"""One log a job: a file and stderr, uncaught exceptions included."""

import logging
import sys
from collections.abc import Iterable
from pathlib import Path

from absynth.errors import InputError

LOGGER = logging.getLogger("absynth")
_FORMAT = "%(asctime)s %(levelname)s %(message)s"


def start_log(path: str | Path | None) -> logging.Logger:
    """Log to `path` (appending: a resumed job keeps its history) and to stderr; return the logger.

    An uncaught `InputError` is logged as its one line, anything else with its traceback.
    """
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    if path:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        handlers.append(logging.FileHandler(path, encoding="utf-8"))
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


def progress_bar(steps: Iterable, name: str) -> Iterable:
    """Wrap `steps` in a bar with rate and remaining time if a person watches; logs get none."""
    if not sys.stderr.isatty():
        return steps
    from tqdm import tqdm

    return tqdm(steps, desc=name, leave=False)


def _log_uncaught(kind, error, trace) -> None:
    if issubclass(kind, InputError):
        LOGGER.error("%s", error)
    elif issubclass(kind, KeyboardInterrupt):
        LOGGER.error("interrupted")
    else:
        LOGGER.critical("uncaught exception", exc_info=(kind, error, trace))
