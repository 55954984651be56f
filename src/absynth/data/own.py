"""Data sets of one's own as a config describes them: arrays in a file, a folder of images, or a function.

Imported when a workflow starts, so it does without numpy and torch. `absynth.data.own_readers` reads them.
"""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from absynth.data.files import check_keys
from absynth.data.layout import LAYOUT, check_layout
from absynth.data.sources import Dataset
from absynth.errors import InputError
from absynth.io.contents import sha256

_PARTS = {"images", "labels"}
_COMMON = {"n_test", "n_classes", "channels"}
OWN_KINDS = ("npz", "hdf5", "folder", "load")  # the keys that say what a data set is read from
_KINDS = ("files", *OWN_KINDS)


def own_dataset(name: str, entry: Mapping[str, Any], n_test: int | None, n_classes: int | None) -> Dataset:
    """Make a data set of a config entry of one of four kinds, with the numbers that it states.

    Reads   {npz: path, test: {images: key, labels: key}}, and train likewise where there are training images; or
            {hdf5: path, test: …, train: …}, with the paths of datasets within the file for keys; or
            {folder: path, test: subfolder, train: subfolder}, each with a folder of images for each class; or
            {load: "file.py:function" or "module:function", arguments: {…}, train: whether it returns training images}
            and for each kind: channels: "first" or "last", where that is not plain from the shape; for each but
            `folder` what `absynth.data.layout` checks
    Raises  `InputError` with the key, the value and what is allowed.
    """
    kinds = [kind for kind in _KINDS if kind in entry]
    if len(kinds) != 1:
        found = ", ".join(map(str, entry)) or "nothing"
        raise InputError(
            f"{name}: found {found}; one of {', '.join(_KINDS)} is allowed, which says where it is"
        )
    kind = kinds[0]
    optional = {"train"} | ({"arguments"} if kind == "load" else set())
    optional |= LAYOUT if kind != "folder" else set()
    check_keys(
        name, entry, required={kind} if kind == "load" else {kind, "test"}, optional=_COMMON | optional
    )
    _check_text(f"{name}.{kind}", entry[kind])
    check_layout(name, entry)
    if kind == "load":
        _check_function(name, entry)
    for split in ("test", "train") if kind != "load" else ():
        if split not in entry:
            continue
        if kind == "folder":
            _check_text(f"{name}.{split}", entry[split])
        else:
            check_keys(f"{name}.{split}", entry[split], required=_PARTS)
            for part in sorted(_PARTS):
                _check_text(f"{name}.{split}.{part}", entry[split][part])
    has_train = bool(entry.get("train", False))
    return Dataset(name, kind, None, n_test, n_classes=n_classes, has_train=has_train, options=dict(entry))


def _check_text(key: str, value: object) -> None:
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"{key}: {value!r}; a text is allowed")


def _check_function(name: str, entry: Mapping[str, Any]) -> None:
    module, _, function = entry["load"].rpartition(":")
    if not module or not function.isidentifier():
        raise InputError(
            f"{name}.load: {entry['load']!r}; my_data.py:function and my.module:function are allowed"
        )
    if not isinstance(entry.get("train", False), bool):
        raise InputError(f"{name}.train: {entry['train']!r}; true and false are allowed")
    if not isinstance(entry.get("arguments", {}), Mapping):
        raise InputError(f"{name}.arguments: {entry['arguments']!r}; a mapping of names to values is allowed")


def own_files(dataset: Dataset) -> list[str]:
    """The files that a data set of one's own is read from, as a rule's inputs; a folder's images are not among them.

    Raises `InputError` for a file or folder that is not there.
    """
    named = dataset.options.get(dataset.reader, "")
    path = os.path.expanduser(named.rpartition(":")[0] if dataset.reader == "load" else named)
    if dataset.reader not in OWN_KINDS or (dataset.reader == "load" and not path.endswith(".py")):
        return []
    if dataset.reader == "folder":
        for split in ("test", "train"):
            folder = Path(path, dataset.options.get(split, ""))
            if not folder.is_dir():
                raise InputError(f"config key datasets.{dataset.name}.{split}: {folder} is no folder")
        return []
    if not Path(path).is_file():
        raise InputError(f"config key datasets.{dataset.name}.{dataset.reader}: {path} is no file")
    return [path]


def folder_digest(dataset: Dataset) -> str | None:
    """A digest of a folder's images and their names, so that others are noticed; None for other data sets."""
    if dataset.reader != "folder":
        return None
    digest, root = hashlib.sha256(), Path(dataset.options["folder"]).expanduser()
    splits = [root / dataset.options[split] for split in ("test", "train") if split in dataset.options]
    for path in sorted(path for split in splits for path in split.glob("[!.]*/*")):
        digest.update(f"{path}\0{sha256(path) if path.is_file() else ''}\n".encode())
    return digest.hexdigest()
