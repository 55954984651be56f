"""IDX files, the format MNIST and its relatives are published in.

A file is a header of big-endian fields (two zero bytes, a dtype code, the number of dimensions, one
uint32 size for each) and the values in C order, big-endian too. The whole may be gzipped.
"""

import gzip
import math
import os
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from absynth.data.places import GZIP_MAGIC
from absynth.errors import InputError
from absynth.io.opening import opening

Values = npt.NDArray[np.uint8 | np.int32]
# By their codes; int32 are QMNIST's labels.
_DTYPES: dict[int, np.dtype[Any]] = {0x08: np.dtype(np.uint8), 0x0C: np.dtype(">i4")}
_MAX_DIMENSIONS = 3
# What other files of the MNIST family start with, and what to do with them.
_FOREIGN = {
    b"\xfd7zXZ\0": "; it is compressed with xz, unpack it",
    b"MATLAB": "; it is a MATLAB file, take the data set's binary format (IDX)",
}


def is_gzip(raw: bytes) -> bool:
    """Whether bytes are gzipped, by the first two; an IDX payload starts with zeros."""
    return raw.startswith(GZIP_MAGIC)


def decompress(raw: bytes, name: str) -> bytes:
    """Return the payload of `raw`, gzipped or plain. Raises `InputError` naming `name` if gzip is corrupt."""
    if not is_gzip(raw):
        return raw
    try:
        return gzip.decompress(raw)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(
            f"{name}: corrupt gzip ({error}); a whole gzip file or plain IDX is allowed"
        ) from error


def parse_idx(payload: bytes, name: str) -> Values:
    """Parse the decompressed bytes of one IDX file of uint8 or int32 values.

    Returns a writable uint8 or int32 array in the shape the header states, 1 to 3 dimensions.
    Raises  `InputError`, naming `name`, on a wrong magic number, another dtype, or a payload that is shorter
            or longer than its header says.
    """
    dtype, n_dimensions = _parse_magic(payload, name)
    if dtype not in _DTYPES:
        raise InputError(
            f"{name}: IDX dtype code 0x{dtype:02x}; only 0x08 (uint8) and 0x0c (int32) are allowed"
        )
    header = 4 + 4 * n_dimensions
    if len(payload) < header:
        raise InputError(f"{name}: truncated IDX header: {len(payload)} bytes found, {header} needed")
    shape = tuple(int.from_bytes(payload[i : i + 4], "big") for i in range(4, header, 4))
    expected = header + math.prod(shape) * _DTYPES[dtype].itemsize
    if len(payload) != expected:
        fault = "truncated" if len(payload) < expected else "over-long"
        raise InputError(
            f"{name}: {fault} IDX payload: {len(payload)} bytes found, {expected} needed for shape {shape}"
        )
    values = np.frombuffer(payload, _DTYPES[dtype], offset=header).reshape(shape)
    return values.astype(_DTYPES[dtype].newbyteorder("="))  # a copy in any case


def _parse_magic(payload: bytes, name: str) -> tuple[int, int]:
    if len(payload) < 4:
        raise InputError(f"{name}: truncated IDX header: {len(payload)} bytes found, at least 4 needed")
    dtype, n_dimensions = payload[2], payload[3]
    if payload[:2] != b"\0\0" or not 1 <= n_dimensions <= _MAX_DIMENSIONS:
        cure = next((cure for start, cure in _FOREIGN.items() if payload.startswith(start)), "")
        raise InputError(
            f"{name}: wrong magic number 0x{payload[:4].hex()}; allowed are 0x00000801 (labels), "
            f"0x00000802 and 0x00000803 (images), and 0x00000c02 (labels of QMNIST){cure}"
        )
    return dtype, n_dimensions


def read_idx(path: str | os.PathLike[str]) -> Values:
    """Read one IDX file, gzipped or plain; returns and raises as `parse_idx`, and if it cannot be read."""
    with opening(path):
        raw = Path(path).read_bytes()
    return parse_idx(decompress(raw, str(path)), str(path))
