"""The registered data sets: their files, checksums, mirrors and sizes. A data set is one entry here or in a config.

Imported when a workflow starts, so it does without numpy, torch and scikit-learn.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from absynth.data.files import IdxFile, IdxFiles, check_keys, files_from_config
from absynth.data.format import PAPER, DataFormat
from absynth.data.layout import LAYOUT, check_layout, check_stated
from absynth.errors import InputError

_NUMBERS = {"n_test": 1, "n_classes": 2}  # what an entry may state, and at least
_MIRROR = re.compile(r"(https?|ftp|file)://\S+")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


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


_PUBLISHED_NAMES = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)


def _published(
    name: str,
    mirrors: tuple[str, ...],
    checksum: str,
    sums: tuple[str, ...],
    names: tuple[str, ...] = _PUBLISHED_NAMES,
    n_test: int = 10_000,
) -> Dataset:
    """A data set of 60,000 training images; names and sums (`checksum`) of its files in the order of ROLES."""
    files = [IdxFile(file, **{checksum: value}) for file, value in zip(names, sums, strict=True)]
    return Dataset(
        name, "idx", n_train=60_000, n_test=n_test, files=IdxFiles(*files), mirrors=mirrors, format=PAPER
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
        _published(
            "qmnist",
            ("https://raw.githubusercontent.com/facebookresearch/qmnist/master",),
            "md5",
            (
                "ed72d4157d28c017586c42bc6afe6370",
                "0058f8dd561b90ffdd0f734c6a30e5e4",
                "1394631089c404de565df7b7aeaf9412",
                "5b5b05890a5e13444e108efe57b788aa",
            ),
            (
                "qmnist-train-images-idx3-ubyte.gz",
                "qmnist-train-labels-idx2-int.gz",
                "qmnist-test-images-idx3-ubyte.gz",
                "qmnist-test-labels-idx2-int.gz",
            ),
            n_test=60_000,
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
    """Make a data set of one's own from a config entry: of files, or as `absynth.data.own.own_dataset`.

    Reads   {files: {train_images: {name, sha256 or md5}, train_labels: …, test_images: …, test_labels: …},
            mirrors: [URL, …] (none: local files only), n_test: test images, n_classes: classes (not stated: unknown
            until read), and what `absynth.data.layout` checks}; files for training may be missing
    Raises  `InputError` with the key, the value and what is allowed.
    """
    if not _NAME.fullmatch(name):
        raise InputError(f"data set name: {name!r}; letters, digits, '_', '-' and '.' are allowed")
    n_test, n_classes = (stated_number(name, entry, key, least) for key, least in _NUMBERS.items())
    if isinstance(entry, Mapping) and "files" not in entry:
        from absynth.data.own import own_dataset

        return own_dataset(name, entry, n_test, n_classes)
    check_keys(name, entry, required={"files"}, optional={"mirrors", "channels", *_NUMBERS, *LAYOUT})
    check_layout(name, entry)
    files = files_from_config(f"{name}.files", entry["files"])
    check_stated(name, entry, [file.name for file in files.by_role().values()])
    mirrors = _mirrors_from_config(f"{name}.mirrors", entry.get("mirrors", []))
    options = {key: value for key, value in entry.items() if key not in ("files", "mirrors", *_NUMBERS)}
    return Dataset(
        name, "idx", None, n_test, files, mirrors, None, n_classes, files.train_images is not None, options
    )


def stated_number(name: str, entry: Any, key: str, least: int) -> int | None:
    """A whole number that the entry of a data set states, None if it does not."""
    found = entry.get(key) if isinstance(entry, Mapping) else None
    if found is not None and (isinstance(found, bool) or not isinstance(found, int) or found < least):
        allowed = "a positive number of images" if key == "n_test" else f"a whole number from {least} on"
        raise InputError(f"{name}.{key}: {found!r}; {allowed} is allowed")
    return found


def _mirrors_from_config(key: str, mirrors: object) -> tuple[str, ...]:
    if not isinstance(mirrors, list | tuple):
        raise InputError(f"{key}: {mirrors!r}; a list of URLs is allowed")
    for mirror in mirrors:
        if not isinstance(mirror, str) or not _MIRROR.fullmatch(mirror):
            raise InputError(f"{key}: {mirror!r}; URLs that start with http, https, ftp or file are allowed")
    return tuple(mirrors)
