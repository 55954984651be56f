"""A checksum over a whole HDF5 file, in its user block, so that damage is noticed before anything is read.

HDF5 itself protects only chunks of data (filter fletcher32), not text, attributes or its own structures: a flipped
bit there can change a value silently, or send the HDF5 library into an endless loop.
"""

import hashlib
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py

from absynth.io.atomic import write_bytes

_BLOCK = 512  # bytes before the HDF5 content, the fewest that HDF5 allows; readers of HDF5 skip them
_TITLE = b"absynth sha256 "


@contextmanager
def sealed_hdf5(path: str | os.PathLike[str]) -> Iterator[h5py.File]:
    """Yield an HDF5 file to write into; it appears at `path` whole and with its checksum, or not at all.

    It is built in memory, since the HDF5 library crashes on a full disk.
    """
    memory = io.BytesIO()
    with h5py.File(memory, "w", userblock_size=_BLOCK) as file:
        yield file
    write_bytes(path, sealed(memory.getvalue()))


def sealed(content: bytes) -> bytes:
    """The bytes of an HDF5 file with a user block, with the checksum written there."""
    body = content[_BLOCK:]
    line = _TITLE + hashlib.sha256(body).hexdigest().encode() + b"\n"
    return line.ljust(_BLOCK, b"\0") + body


def check_seal(path: str | os.PathLike[str]) -> None:
    """Raise OSError if the file's checksum does not match; files of other programs have none and pass."""
    with Path(path).open("rb") as file:
        line = file.readline(_BLOCK)
        file.seek(_BLOCK)
        body = hashlib.file_digest(file, "sha256").hexdigest().encode()
    if line.startswith(_TITLE) and line.strip() != _TITLE + body:
        raise OSError("its checksum does not match")
