"""IDX files, the format MNIST and its relatives are published in.

A file is a header of big-endian fields (two zero bytes, a dtype code, the number of dimensions, one
uint32 size for each) and the values in C order. The whole may be gzipped.
"""

import gzip
import math
import os
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from absynth.data.places import GZIP_MAGIC
from absynth.errors import InputError
from absynth.io.opening import opening

Bytes = npt.NDArray[np.uint8]
_UINT8 = 0x08
_MAX_DIMENSIONS = 3


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


def parse_idx(payload: bytes, name: str) -> Bytes:
    """Parse the decompressed bytes of one IDX file of uint8 values.

    Returns a writable uint8 array in the shape the header states, 1 to 3 dimensions.
    Raises  `InputError`, naming `name`, on a wrong magic number, another dtype, or a payload that is shorter
            or longer than its header says.
    """
    dtype, n_dimensions = _parse_magic(payload, name)
    if dtype != _UINT8:
        raise InputError(f"{name}: IDX dtype code 0x{dtype:02x}; only 0x{_UINT8:02x} (uint8) is allowed")
    header = 4 + 4 * n_dimensions
    if len(payload) < header:
        raise InputError(f"{name}: truncated IDX header: {len(payload)} bytes found, {header} needed")
    shape = tuple(int.from_bytes(payload[i : i + 4], "big") for i in range(4, header, 4))
    expected = header + math.prod(shape)
    if len(payload) != expected:
        fault = "truncated" if len(payload) < expected else "over-long"
        raise InputError(
            f"{name}: {fault} IDX payload: {len(payload)} bytes found, {expected} needed for shape {shape}"
        )
    return np.frombuffer(payload, np.uint8, offset=header).reshape(shape).copy()


def _parse_magic(payload: bytes, name: str) -> tuple[int, int]:
    if len(payload) < 4:
        raise InputError(f"{name}: truncated IDX header: {len(payload)} bytes found, at least 4 needed")
    dtype, n_dimensions = payload[2], payload[3]
    if payload[:2] != b"\0\0" or not 1 <= n_dimensions <= _MAX_DIMENSIONS:
        raise InputError(
            f"{name}: wrong magic number 0x{payload[:4].hex()}; allowed are 0x00000801 (labels), "
            f"0x00000802 and 0x00000803 (images)"
        )
    return dtype, n_dimensions


def read_idx(path: str | os.PathLike[str]) -> Bytes:
    """Read one IDX file, gzipped or plain; returns and raises as `parse_idx`, and if it cannot be read."""
    with opening(path):
        raw = Path(path).read_bytes()
    return parse_idx(decompress(raw, str(path)), str(path))
