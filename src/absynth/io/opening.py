"""Files that cannot be opened are not damaged: told apart by errno, each with its cure. And advice on damage."""

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from absynth.errors import InputError

# What to do about a file that is unsound: one that a rule made, and one that the user brought.
MADE = "delete it and rerun"
BROUGHT = "it was not made by this run, which leaves it alone: put a sound copy in its place"

_LOCKED = (
    "the file system refuses locks, or another program is writing the file: wait for that, "
    "or export HDF5_USE_FILE_LOCKING=FALSE and run again"
)
_DISK = "the disk or the network file system fails: see the system's log, and run again once it answers"
_CURES = {
    errno.EAGAIN: _LOCKED,
    errno.ENOLCK: _LOCKED,
    errno.EDEADLK: _LOCKED,
    errno.EACCES: "allow this user to read the file and to enter its folders (chmod), and run again",
    errno.EPERM: "allow this user to read the file and to enter its folders (chmod), and run again",
    errno.EIO: _DISK,
    errno.EREMOTEIO: _DISK,
    errno.ETIMEDOUT: _DISK,
    errno.ENOTCONN: _DISK,
    errno.EHOSTDOWN: _DISK,
    errno.EHOSTUNREACH: _DISK,
    errno.ENXIO: _DISK,
    errno.ENODEV: _DISK,
    errno.ESTALE: "the network file system has replaced it meanwhile: run again",
    errno.EINTR: "the call was interrupted: run again",
    errno.EBUSY: "another program holds it: run again once that has ended",
    errno.ETXTBSY: "another program holds it: run again once that has ended",
    errno.ENOTDIR: "a file stands where a folder should be: correct the path",
    errno.EISDIR: "a folder stands in its place: move that away, or correct the path",
    errno.ELOOP: "its links lead in a circle: correct them",
    errno.ENAMETOOLONG: "use shorter names",
    errno.EMFILE: "too many files are open: raise the limit (ulimit -n) or use fewer cores, and run again",
    errno.ENFILE: "too many files are open on this machine: run again once other programs have closed theirs",
    errno.ENOMEM: "memory is used up: use fewer cores, and run again",
    errno.ENOSPC: "make space, and run again",
    errno.EDQUOT: "make space within your quota, and run again",
}
_IN_TEXT = re.compile(r"errno = (\d+)")  # as the HDF5 library words it


class NotOpenedError(InputError):
    """A file could not be opened or read; nothing is known of its content."""


def refusal(error: OSError | RuntimeError) -> str | None:
    """Why the system did not hand out a file, and what to do; None if `error` is about the file's content."""
    found = _IN_TEXT.search(str(error))
    number = int(found[1]) if found else getattr(error, "errno", None)
    if "unable to lock file" in str(error) and number != errno.ENOENT:
        cure: str | None = _LOCKED  # also where locks are not implemented: ENOSYS, EOPNOTSUPP
    else:
        cure = _CURES.get(number or 0)
    return f"cannot be opened ({os.strerror(number)}); {cure}" if cure and number else None


@contextmanager
def opening(path: str | os.PathLike[str], missing: str = "no such file") -> Iterator[None]:
    """Turn an error with which the system refuses `path` into NotOpenedError; what is about its content passes.

    A folder in place of the file is refused, too, before anything is read.
    missing: what to say where nothing is there
    """
    try:
        if Path(path).is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        yield
    except FileNotFoundError:
        raise NotOpenedError(f"{path}: {missing}") from None
    except (OSError, RuntimeError) as error:
        reason = refusal(error)
        if reason is None:
            raise
        raise NotOpenedError(f"{path}: {reason}") from None
