"""Standard output kept free of what compiled libraries print to it, past Python's `sys.stdout`."""

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def silent() -> Iterator[None]:
    """Drop what is written to file descriptor 1 meanwhile, by any thread; it is as before afterwards, in any case.

    What Python or C had written before and not passed on yet is kept.
    """
    _flush()
    try:
        before = os.dup(1)
    except OSError:  # closed, so nothing is printed
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 1)
        yield
    finally:
        _flush_c()
        os.dup2(before, 1)
        os.close(before)
        os.close(nowhere)


def _flush() -> None:
    if sys.stdout is not None and not sys.stdout.closed:
        sys.stdout.flush()
    _flush_c()


def _flush_c() -> None:
    ctypes.CDLL(None).fflush(None)
