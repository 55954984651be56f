"""Atomic writes: a file appears whole or not at all. And what rules wrote as CSV and JSON, read with checks."""

import csv
import errno
import io
import json
import os
import re
import socket
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from absynth.errors import InputError
from absynth.io.opening import MADE, opening

_WRITABLE = "use a folder that can be written to"
_FILE_FOR_FOLDER = "move away the file that stands in the folder's place"
_DISK = "the disk or the network file system fails: see the system's log, once it answers,"
_REMEDIES = {
    errno.ENOSPC: "make space",
    errno.EDQUOT: "make space within your quota",
    errno.EFBIG: "raise the limit on the size of files (ulimit -f)",
    errno.EROFS: _WRITABLE,
    errno.EACCES: _WRITABLE,
    errno.EPERM: _WRITABLE,
    errno.EEXIST: _FILE_FOR_FOLDER,
    errno.ENOTDIR: _FILE_FOR_FOLDER,
    errno.EISDIR: "move away the folder that stands in the file's place",
    errno.ENAMETOOLONG: "use shorter names of the run, of models and of attacks",
    errno.EMFILE: "raise the limit on open files (ulimit -n)",
    errno.ENFILE: "close other programs, which hold too many files open,",
    errno.ESTALE: "the network file system has replaced the folder meanwhile: wait",
    errno.EIO: _DISK,
    errno.EREMOTEIO: _DISK,
    errno.ETIMEDOUT: _DISK,
    errno.ENOTCONN: _DISK,
}


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it is renamed into place, on failure removed.

    The temporary name keeps the suffix of `path`, by which writers such as matplotlib choose a format, and contains
    host and process: what a killed process of this host left behind is removed by the next writer.
    Raises InputError, with a remedy, if the system refuses to write: no space, no permission, a failing disk.
    """
    path = Path(path)
    with _input_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path)
        prefix = f".{path.stem}-{socket.gethostname()}-{os.getpid()}-"
        handle, name = tempfile.mkstemp(prefix=prefix, suffix=path.suffix, dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            os.chmod(temporary, 0o666 & ~_umask())  # mkstemp makes files private; outputs are to be shared
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def _input_errors(path: Path) -> Iterator[None]:
    """Turn errors of a full or read-only place into InputError, with the path and a remedy."""
    try:
        yield
    except OSError as error:
        if error.errno not in _REMEDIES:
            raise
        reason, remedy = os.strerror(error.errno), _REMEDIES[error.errno]
        raise InputError(f"{path}: cannot be written ({reason}); {remedy} and run again") from error


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write UTF-8 text atomically."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_bytes(path: str | os.PathLike[str], content: bytes) -> None:
    """Write bytes atomically."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_csv(
    path: str | os.PathLike[str], rows: Iterable[Mapping[str, Any]], columns: Sequence[str] | None = None
) -> None:
    """Write rows as CSV with a header, atomically; `columns` are those written, by default the first row's."""
    rows = list(rows)
    text = io.StringIO()
    names = columns or list(rows[0])
    writer = csv.DictWriter(text, fieldnames=names, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


def read_rows(paths: Iterable[str | os.PathLike[str]]) -> list[dict[str, str]]:
    """The rows of all CSV files in order, as text. Raises InputError if one is damaged or cannot be opened."""
    rows: list[dict[str, str]] = []
    for path in paths:
        try:
            with opening(path), Path(path).open(newline="", encoding="utf-8") as file:
                found = csv.DictReader(file, strict=True)
                rows += found
                header = found.fieldnames
        except (csv.Error, UnicodeDecodeError) as error:
            raise InputError(f"{path}: not valid CSV ({error}); {MADE}") from None
        if not header:
            raise InputError(f"{path}: is empty; {MADE}")
        if any(None in row or None in row.values() for row in rows[-1:]):
            raise InputError(f"{path}: ends within a row; {MADE}")
    return rows


def read_json(path: str | os.PathLike[str], missing: str = "no such file") -> dict[str, Any]:
    """The object in a JSON file that a rule wrote. Raises InputError if it is damaged or cannot be opened."""
    try:
        with opening(path, missing):
            content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not valid JSON ({error}); {MADE}") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: holds no JSON object; {MADE}")
    return content


def _sweep(path: Path) -> None:
    """Remove temporary files of `path` whose process, on this host, has ended."""
    start, end = re.escape(f".{path.stem}-{socket.gethostname()}-"), re.escape(path.suffix)
    ours = re.compile(rf"{start}(\d+)-\w+{end}")
    for entry in path.parent.iterdir():
        match = ours.fullmatch(entry.name)
        if match and not _alive(int(match[1])):
            entry.unlink(missing_ok=True)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        return True
    return True


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
