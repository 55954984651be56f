"""Find a data set's file on this machine, or download it; accept it only if its checksum matches."""

import hashlib
import http.client
import os
import shutil
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

from absynth import __version__
from absynth.data.files import IdxFile
from absynth.data.idx import decompress
from absynth.data.places import candidates, download_place, downloaded, named_folders, packed
from absynth.data.published import parse
from absynth.data.sources import DATASETS, Dataset
from absynth.errors import InputError
from absynth.io.atomic import replacing
from absynth.io.log import LOGGER
from absynth.io.opening import BROUGHT, MADE, opening

_TRANSFER_ERRORS = (OSError, http.client.HTTPException)  # URLError and timeouts are OSErrors
_PASSING_STATUS = {408, 416, 425, 429}  # client errors that may not recur
_ANOTHER = "or set data_dir to a folder that holds this data set's own file"
_REMEDY = "set data_dir in the config, or the variable ABSYNTH_DATA, to a folder that holds it"


@dataclass(frozen=True)
class Downloads:
    """How files are downloaded.

    retries: attempts per mirror, at least 1; timeout: seconds without data after which an attempt fails
    backoff: seconds before the second attempt, doubled before each further one
    opener, sleep: `urlopen` and `time.sleep`, or what replaces them in tests
    """

    retries: int = 3
    timeout: float = 30.0
    backoff: float = 1.0
    opener: Callable[..., Any] = urllib.request.urlopen
    sleep: Callable[[float], None] = time.sleep


def locate(
    file: IdxFile,
    dataset: Dataset,
    data_dir: str | os.PathLike[str] | None,
    cache: str | os.PathLike[str],
    downloads: Downloads | None = None,
) -> Path:
    """Return the path of `file`, verified; plain or gzipped, whatever its suffix.

    Looks in `data_dir`, in the folder that ABSYNTH_DATA names, and in `cache`; in each, first in the subfolder named
    after the data set, since several data sets share their file names. Of a file without a checksum, `cache` serves
    only what comes from a mirror of this data set. Then downloads into `cache`, from each mirror in turn; an
    interrupted transfer is resumed if the server supports it.
    Raises  `InputError` if a folder does not exist, a file found there does not match, or no mirror has it.
    """
    searched, cache = [], Path(cache).expanduser()
    brought = [path for folder in _local_folders(data_dir) for path in candidates(folder, dataset, file)]
    made = downloaded(cache, dataset, file)
    for path in [*brought, *made]:
        searched.append(str(path))
        if _is_there(path):
            _check_local(path, file, dataset, f"{BROUGHT if path in brought else MADE}, {_ANOTHER}")
            LOGGER.info("%s: %s from %s", dataset.name, file.name, path)
            return path
    return _download(file, dataset, cache, downloads or Downloads(), searched)


def _local_folders(data_dir: str | os.PathLike[str] | None) -> list[Path]:
    folders = named_folders(data_dir)
    for source, folder in folders.items():
        if not folder.is_dir():
            raise InputError(f"{source}: {folder} is not a folder; a folder that holds IDX files is allowed")
    return list(folders.values())


def _is_there(path: Path) -> bool:
    """Whether a folder has such a file. Raises NotOpenedError if it does not say, as one that cannot be entered."""
    with opening(path):
        return path.is_file()


def _check_local(path: Path, file: IdxFile, dataset: Dataset, remedy: str) -> None:
    """Check a file that was found; `remedy` says what to do if it is unsound."""
    with opening(path):
        raw = path.read_bytes()
    try:
        verified = _check(raw, file, dataset, str(path))
    except InputError as error:
        raise InputError(f"{error}; {remedy}") from error
    if not verified:
        LOGGER.warning(
            "%s: used as a file of %s without verification, since no checksum is known for it",
            path,
            dataset.name,
        )


def _check(raw: bytes, file: IdxFile, dataset: Dataset, name: str) -> bool:
    """Check the bytes of a file; return whether a checksum verified them.

    Without a checksum that applies (`md5` applies only to what is packed, .gz or .npz) they must be a whole IDX or
    .npz file and, for a registered data set, not a file of another one.
    Raises `InputError`, naming `name`, with the sum expected and the sum found.
    """
    payload = decompress(raw, name)
    found = hashlib.sha256(payload).hexdigest()
    if file.sha256:
        if found != file.sha256:
            raise InputError(f"{name}: sha256 of the payload is {found}, expected {file.sha256}")
        return True
    if file.md5 and (kind := packed(raw)):
        found = hashlib.md5(raw, usedforsecurity=False).hexdigest()
        if found != file.md5:
            raise InputError(f"{name}: md5 of the {kind} is {found}, expected {file.md5}")
        return True
    parse(payload, name)
    owner = _known_payloads().get(found)
    if owner and DATASETS.get(dataset.name) == dataset:
        raise InputError(f"{name}: sha256 of the payload is {found}, which is a file of {owner}")
    return False


def _known_payloads() -> dict[str, str]:
    """The data set of each registered payload with a known checksum, by its sha256."""
    registered = [(dataset.files, dataset) for dataset in DATASETS.values() if dataset.files]
    owners = [(file, dataset.name) for files, dataset in registered for file in files.by_role().values()]
    return {file.sha256: name for file, name in owners if file.sha256}


def _download(
    file: IdxFile, dataset: Dataset, cache: Path, downloads: Downloads, searched: list[str]
) -> Path:
    """Download a file from the first mirror that has it; returns where it is kept in `cache`."""
    failures = []
    for mirror in dataset.mirrors:
        url, target = f"{mirror.rstrip('/')}/{file.name}", download_place(cache, dataset, file, mirror)
        _make_folder(target.parent)
        try:
            with replacing(target) as part:
                _transfer(url, part, downloads)
                verified = _check(part.read_bytes(), file, dataset, url)
                if file.md5 and not verified:
                    raise InputError(f"{url}: not packed, so that its md5 {file.md5} cannot be checked")
        except (InputError, *_TRANSFER_ERRORS) as error:
            failures.append(f"{url} ({_one_line(error)})")
            LOGGER.warning("%s: %s could not be downloaded from %s", dataset.name, file.name, failures[-1])
            continue
        LOGGER.info("%s: %s from %s", dataset.name, file.name, url)
        return target
    raise InputError(
        f"{dataset.name}: {file.name} not found; looked for {', '.join(searched)}; "
        f"mirrors tried: {', '.join(failures) or 'none is listed'}; {_REMEDY}"
    )


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cache: {folder} cannot be made ({error.strerror}); {_REMEDY}") from error


def _transfer(url: str, part: Path, downloads: Downloads) -> None:
    """Copy `url` into `part`; raises the last attempt's error, one of `_TRANSFER_ERRORS`."""
    for attempt in range(1, downloads.retries + 1):
        try:
            _stream(url, part, downloads)
            return
        except _TRANSFER_ERRORS as error:
            if isinstance(error, HTTPError):
                error.close()
                if error.code == 416:  # `part` is complete, or not the start of this file
                    part.write_bytes(b"")
            if attempt == downloads.retries or _is_permanent(error):
                raise
            LOGGER.warning("%s: attempt %d of %d: %s", url, attempt, downloads.retries, _one_line(error))
        downloads.sleep(downloads.backoff * 2 ** (attempt - 1))


def _is_permanent(error: Exception) -> bool:
    return isinstance(error, HTTPError) and 400 <= error.code < 500 and error.code not in _PASSING_STATUS


def _stream(url: str, part: Path, downloads: Downloads) -> None:
    """Request once the bytes that `part` lacks; a server that cannot resume sends all of them."""
    offset = part.stat().st_size
    headers = {"User-Agent": f"absynth/{__version__}"} | ({"Range": f"bytes={offset}-"} if offset else {})
    request = urllib.request.Request(url, headers=headers)
    with downloads.opener(request, timeout=downloads.timeout) as response:
        resumes = response.status == 206  # None for file://
        with part.open("ab" if resumes else "wb") as stream:
            shutil.copyfileobj(response, stream)
        promised = response.headers.get("Content-Length")
    received = part.stat().st_size - (offset if resumes else 0)
    if promised and received < int(promised):
        raise ConnectionError(f"connection closed after {received} of {promised} bytes")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
