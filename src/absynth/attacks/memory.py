"""Memory that was freed and that the C library keeps.

Batches of ever other sizes leave the heap in pieces that none of the next fits: a job held ten times what it used.
"""

import ctypes
from collections.abc import Callable
from functools import cache


def release() -> None:
    """Give memory that was freed back to the system, where the C library can do so: glibc."""
    trim = _trim()
    if trim is not None:
        trim(0)


@cache
def _trim() -> Callable[[int], int] | None:
    try:
        return ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError, TypeError):
        return None
