"""HDF5 files of the project, changed as another version of it might have written them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py

from absynth.io.integrity import sealed


@contextmanager
def altered(path: Path) -> Iterator[h5py.File]:
    """Open a file to change it; its checksum is updated afterwards."""
    with h5py.File(path, "a") as file:
        yield file
    path.write_bytes(sealed(path.read_bytes()))
