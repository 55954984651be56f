"""What files hold, as sha256: for the params of rules whose inputs are a user's own files.

Snakemake compares time stamps, and looks into files that are newer than a result only. A file put in another's place
(`mv`, `cp -p`, an unpacked archive) may be older.
"""

import hashlib
import os
from collections.abc import Iterable
from functools import cache
from pathlib import Path


def sha256(path: str | os.PathLike[str]) -> str:
    """The sha256 of a file, read again only where its size or time has changed."""
    found = os.stat(path)
    return _sha256(os.fspath(path), found.st_size, found.st_mtime_ns)


def contents(paths: Iterable[str | os.PathLike[str]]) -> dict[str, str]:
    """The sha256 of each file by its path; those that are not there are left out: who needs them will say so."""
    return {os.fspath(path): sha256(path) for path in paths if Path(path).is_file()}


@cache
def _sha256(path: str, size: int, time: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
