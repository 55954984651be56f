"""The files that a data set is published in, IDX or .npz, and what a config says of them.

Imported when a workflow starts, so it does without numpy.
"""

import re
from collections.abc import Mapping, Set
from dataclasses import dataclass, fields
from typing import Any

from absynth.errors import InputError

_HEX_DIGITS = {"sha256": 64, "md5": 32}
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


@dataclass(frozen=True)
class IdxFile:
    """One published file. `sha256` is of the decompressed payload, `md5` of the .gz or .npz, each hex or None.

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
    """The files of a data set, IDX or .npz of one array each; those for training are None where there are none."""

    train_images: IdxFile | None
    train_labels: IdxFile | None
    test_images: IdxFile
    test_labels: IdxFile

    def by_role(self) -> dict[str, IdxFile]:
        """The files that there are, by their roles, in the order of ROLES."""
        return {role: file for role in ROLES if (file := getattr(self, role)) is not None}


ROLES = tuple(field.name for field in fields(IdxFiles))
_TEST_ROLES = ("test_images", "test_labels")


def files_from_config(key: str, entry: Mapping[str, Mapping[str, str]]) -> IdxFiles:
    """The files that an entry describes, all four or those of the test alone. Raises `InputError` with the key."""
    check_keys(key, entry, required=set(_TEST_ROLES), optional=set(ROLES))
    if any(role not in _TEST_ROLES for role in entry):
        check_keys(key, entry, required=set(ROLES))
    made = {role: _file_from_config(f"{key}.{role}", entry[role]) for role in ROLES if role in entry}
    train_images, train_labels = made.get("train_images"), made.get("train_labels")
    return IdxFiles(train_images, train_labels, made["test_images"], made["test_labels"])


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
