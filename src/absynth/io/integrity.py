"""A checksum over a whole HDF5 file, in its user block, by which damage is noticed before anything is read.

HDF5 guards chunks of data alone (with the filter fletcher32), not text, attributes or its own structures: a
flipped bit there can change a value in silence, or send the HDF5 library into an endless loop.
"""

import hashlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py

from absynth.io.atomic import write_bytes

_BLOCK = 512  # bytes before the HDF5 content, the least that HDF5 allows; readers of HDF5 skip them
_TITLE = b"absynth sha256 "


@contextmanager
def sealed_hdf5(path: str | Path) -> Iterator[h5py.File]:
    """Yield an HDF5 file to write into; it appears at `path` whole and with its checksum, or not at all.

    It is made in memory: the HDF5 library does not survive a full disk.
    """
    memory = io.BytesIO()
    with h5py.File(memory, "w", userblock_size=_BLOCK) as file:
        yield file
    write_bytes(path, sealed(memory.getvalue()))


def sealed(content: bytes) -> bytes:
    """An HDF5 file that has a user block, with its checksum there."""
    body = content[_BLOCK:]
    line = _TITLE + hashlib.sha256(body).hexdigest().encode() + b"\n"
    return line.ljust(_BLOCK, b"\0") + body


def check_seal(path: str | Path) -> None:
    """Raise OSError if the file has a checksum and it is another; files of other programs have none."""
    with Path(path).open("rb") as file:
        line = file.readline(_BLOCK)
        file.seek(_BLOCK)
        body = hashlib.file_digest(file, "sha256").hexdigest().encode()
    if line.startswith(_TITLE) and line.strip() != _TITLE + body:
        raise OSError("its checksum is another")
