"""Where the files of a data set may lie on this machine.

Imported when a workflow starts, so it does without numpy and torch.
"""

import gzip
import hashlib
import os
import zlib
from pathlib import Path

from absynth.data.files import IdxFile
from absynth.data.own import folder_digest, own_files
from absynth.data.own_headers import npz_shapes
from absynth.data.sources import Dataset
from absynth.io.contents import contents

GZIP_MAGIC = b"\x1f\x8b"
ZIP_MAGIC = b"PK\x03\x04"  # of an .npz file
DOWNLOADS = "results/downloads"  # of the workflow, from its working directory
_IMAGES_MAGIC = bytes([0, 0, 8, 3])  # of an IDX file of uint8 values in three dimensions


def packed(raw: bytes) -> str | None:
    """As what bytes are packed, by the first of them: ".gz" or ".npz"; None for others, as plain IDX."""
    magics = {GZIP_MAGIC: ".gz", ZIP_MAGIC: ".npz"}
    return next((suffix for magic, suffix in magics.items() if raw.startswith(magic)), None)


def named_folders(data_dir: str | os.PathLike[str] | None) -> dict[str, Path]:
    """The folders that a user names for data files, by where they are named, in the order that they are searched."""
    named = {"data_dir": data_dir, "ABSYNTH_DATA": os.environ.get("ABSYNTH_DATA")}
    return {source: Path(folder).expanduser() for source, folder in named.items() if folder}


def candidates(folder: Path, dataset: Dataset, file: IdxFile) -> list[Path]:
    """Where a folder may hold a file: first in the subfolder named after the data set, gzipped or plain."""
    names = (file.plain_name + ".gz", file.plain_name)
    return [place / name for place in (folder / dataset.name, folder) for name in names]


def download_place(cache: Path, dataset: Dataset, file: IdxFile, mirror: str) -> Path:
    """Where a download is kept. One that no checksum can tell from another mirror's has a folder for its mirror."""
    folder = cache / dataset.name
    if file.sha256 or file.md5:
        return folder / file.name
    return folder / hashlib.sha256(mirror.rstrip("/").encode()).hexdigest()[:12] / file.name


def downloaded(cache: Path, dataset: Dataset, file: IdxFile) -> list[Path]:
    """Where earlier downloads of a file may lie."""
    if file.sha256 or file.md5:
        return candidates(cache, dataset, file)
    return [download_place(cache, dataset, file, mirror) for mirror in dataset.mirrors]


def unverified(dataset: Dataset, data_dir: str | os.PathLike[str] | None) -> dict[str, str]:
    """The sha256 of each file, by its role or path, that a user's folders hold and that no checksum verifies.

    What such files hold may change between two runs; that of all others is known from their checksums, wherever they
    lie. Files that are not there or cannot be read are left out, without an error: who needs them will say so.
    """
    digest = folder_digest(dataset)
    found = {"folder": digest} if digest is not None else contents(own_files(dataset))
    for role, file in (dataset.files.by_role() if dataset.files else {}).items():
        path = None if file.sha256 else _first(dataset, file, data_dir)
        try:
            raw = path.read_bytes() if path else None
        except OSError:
            continue
        if raw is not None and not (file.md5 and packed(raw)):
            found[role] = hashlib.sha256(raw).hexdigest()
    return found


def images_held(
    dataset: Dataset, data_dir: str | os.PathLike[str] | None, cache: str | os.PathLike[str]
) -> int | None:
    """How many test images a data set of files has, by the header of its file in a user's folders or `cache`.

    None if the file is not there, or not to be read: who needs it will say so.
    """
    if not dataset.files:
        return None
    file = dataset.files.test_images
    brought = _first(dataset, file, data_dir)
    try:
        path = brought or next(
            (path for path in downloaded(Path(cache), dataset, file) if path.is_file()), None
        )
        if path is None:
            return None
        with path.open("rb") as raw:
            kind = packed(raw.read(4))
        if kind == ".npz":
            (shape,) = npz_shapes(path).values()
            return shape[0]
        with gzip.open(path) if kind else path.open("rb") as stream:
            header = stream.read(8)
    except (OSError, EOFError, zlib.error, ValueError, IndexError):
        return None
    return int.from_bytes(header[4:8], "big") if len(header) == 8 and header[:4] == _IMAGES_MAGIC else None


def _first(dataset: Dataset, file: IdxFile, data_dir: str | os.PathLike[str] | None) -> Path | None:
    places = (
        path for folder in named_folders(data_dir).values() for path in candidates(folder, dataset, file)
    )
    try:
        return next((path for path in places if path.is_file()), None)
    except OSError:
        return None
