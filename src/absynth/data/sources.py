"""The registered data sets: their files, checksums, mirrors and sizes. A data set is one entry here or in a config.

Imported when a workflow starts, so it does without numpy, torch and scikit-learn.
"""

import re
from collections.abc import Mapping, Set
from dataclasses import dataclass, field, fields
from typing import Any

from absynth.data.format import PAPER, DataFormat
from absynth.errors import InputError

_HEX_DIGITS = {"sha256": 64, "md5": 32}
_NUMBERS = {"n_test": 1, "n_classes": 2}  # what an entry may state, and at least
_MIRROR = re.compile(r"(https?|ftp|file)://\S+")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


@dataclass(frozen=True)
class IdxFile:
    """One published file. `sha256` is of the decompressed payload, `md5` of the .gz, each hex or None.

    `sha256` is preferred where it is known: recompressing keeps the payload but changes the .gz.
    """

    name: str
    sha256: str | None = None
    md5: str | None = None

    @property
    def plain_name(self) -> str:
        return self.name.removesuffix(".gz")


@dataclass(frozen=True)
class IdxFiles:
    """The four files of a data set published as IDX."""

    train_images: IdxFile
    train_labels: IdxFile
    test_images: IdxFile
    test_labels: IdxFile


@dataclass(frozen=True)
class Dataset:
    """A data set of images of one shape, with a class each.

    `reader` names the entry of `absynth.data.splits.READERS` that reads it; `files` is None if a library ships them.
    `n_train` (before calibration is split off) and `n_test` are numbers of images, None if not stated.
    A mirror is a URL prefix, to which "/" and the file's name are added.
    format: what its images are, None if that is not known before they are read
    n_classes: how many classes are stated; None: as many as the largest label says
    has_train: whether it has training images, of which the last calibrate; without, models can be attacked only
    options: what its reader needs to know besides, of a data set of one's own (`absynth.data.own`)
    """

    name: str
    reader: str
    n_train: int | None
    n_test: int | None
    files: IdxFiles | None = None
    mirrors: tuple[str, ...] = ()
    format: DataFormat | None = None
    n_classes: int | None = None
    has_train: bool = True
    options: Mapping[str, Any] = field(default_factory=dict)


ROLES = tuple(field.name for field in fields(IdxFiles))
_PUBLISHED_NAMES = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)


def _published(name: str, mirrors: tuple[str, ...], checksum: str, sums: tuple[str, ...]) -> Dataset:
    """A data set under MNIST's file names and sizes; `sums` are the files' `checksum`, in the order of ROLES."""
    files = [IdxFile(file, **{checksum: value}) for file, value in zip(_PUBLISHED_NAMES, sums, strict=True)]
    return Dataset(
        name, "idx", n_train=60_000, n_test=10_000, files=IdxFiles(*files), mirrors=mirrors, format=PAPER
    )


DATASETS = {
    dataset.name: dataset
    for dataset in (
        Dataset("digits", "digits", n_train=1437, n_test=360, format=PAPER),
        _published(
            "mnist",
            (
                "https://ossci-datasets.s3.amazonaws.com/mnist",
                "https://storage.googleapis.com/cvdf-datasets/mnist",
            ),
            "sha256",
            (
                "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
                "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
                "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
                "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
            ),
        ),
        _published(
            "fashion_mnist",
            (
                "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
                "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion",
            ),
            "md5",
            (
                "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
                "25c81989df183df01b3e8a0aad5dffbe",
                "bef4ecab320f06d8554ea6380940ec79",
                "bb300cfdad3c16e7a12a480ee83cd310",
            ),
        ),
        _published(
            "kmnist",
            ("http://codh.rois.ac.jp/kmnist/dataset/kmnist",),
            "md5",
            (
                "bdb82020997e1d708af4cf47b453dcf7",
                "e144d726b3acfaa3e44228e80efcd344",
                "5c965bf0a639b31b8f53240b1b52f4d7",
                "7320c461ea6c1c855c0b718fb2a4b134",
            ),
        ),
    )
}


def find_dataset(name: str, description: Mapping[str, Any] | None = None) -> Dataset:
    """Return the data set `name`: as the config describes it, else as registered.

    Raises `InputError` if it is neither, or the description is malformed.
    """
    if description is not None:
        return dataset_from_config(name, description)
    if name not in DATASETS:
        raise InputError(
            f"dataset: {name!r}; allowed are {', '.join(DATASETS)}, or one that the config describes"
        )
    return DATASETS[name]


def dataset_from_config(name: str, entry: Mapping[str, Any]) -> Dataset:
    """Make a data set of one's own from a config entry: of four IDX files, or as `absynth.data.own.own_dataset`.

    Reads   {files: {train_images: {name, sha256 or md5}, train_labels: …, test_images: …, test_labels: …},
            mirrors: [URL, …] (none: local files only), n_test: test images, n_classes: classes (not stated: unknown
            until read)}
    Raises  `InputError` with the key, the value and what is allowed.
    """
    if not _NAME.fullmatch(name):
        raise InputError(f"data set name: {name!r}; letters, digits, '_', '-' and '.' are allowed")
    n_test, n_classes = (stated_number(name, entry, key, least) for key, least in _NUMBERS.items())
    if isinstance(entry, Mapping) and "files" not in entry:
        from absynth.data.own import own_dataset

        return own_dataset(name, entry, n_test, n_classes)
    check_keys(name, entry, required={"files"}, optional={"mirrors", *_NUMBERS})
    check_keys(f"{name}.files", entry["files"], required=set(ROLES))
    files = IdxFiles(
        **{role: _file_from_config(f"{name}.files.{role}", entry["files"][role]) for role in ROLES}
    )
    mirrors = _mirrors_from_config(f"{name}.mirrors", entry.get("mirrors", []))
    return Dataset(name, "idx", None, n_test, files, mirrors, n_classes=n_classes)


def stated_number(name: str, entry: Any, key: str, least: int) -> int | None:
    """A whole number that the entry of a data set states, None if it does not."""
    found = entry.get(key) if isinstance(entry, Mapping) else None
    if found is not None and (isinstance(found, bool) or not isinstance(found, int) or found < least):
        allowed = "a positive number of images" if key == "n_test" else f"a whole number from {least} on"
        raise InputError(f"{name}.{key}: {found!r}; {allowed} is allowed")
    return found


def _file_from_config(key: str, entry: Mapping[str, Any]) -> IdxFile:
    check_keys(key, entry, required={"name"}, optional=set(_HEX_DIGITS))
    name = entry["name"]
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InputError(f"{key}.name: {name!r}; a file name without folders is allowed")
    sums = {}
    for checksum, length in _HEX_DIGITS.items():
        value = entry.get(checksum)
        if value is not None and not re.fullmatch(rf"[0-9a-fA-F]{{{length}}}", str(value)):
            raise InputError(f"{key}.{checksum}: {value!r}; {length} hexadecimal digits are allowed")
        sums[checksum] = None if value is None else str(value).lower()
    return IdxFile(name, **sums)


def _mirrors_from_config(key: str, mirrors: object) -> tuple[str, ...]:
    if not isinstance(mirrors, list | tuple):
        raise InputError(f"{key}: {mirrors!r}; a list of URLs is allowed")
    for mirror in mirrors:
        if not isinstance(mirror, str) or not _MIRROR.fullmatch(mirror):
            raise InputError(f"{key}: {mirror!r}; URLs that start with http, https, ftp or file are allowed")
    return tuple(mirrors)


def check_keys(key: str, entry: object, required: Set[str], optional: Set[str] = frozenset()) -> None:
    if not isinstance(entry, Mapping):
        raise InputError(
            f"{key}: {entry!r}; a mapping with the keys {', '.join(sorted(required))} is allowed"
        )
    allowed = required | optional
    for unknown in entry.keys() - allowed:
        raise InputError(
            f"{key}.{unknown}: {entry[unknown]!r}; allowed keys are {', '.join(sorted(allowed))}"
        )
    for missing in sorted(required - entry.keys()):
        raise InputError(f"{key}.{missing}: missing; needed are {', '.join(sorted(required))}")
