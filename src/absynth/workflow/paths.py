"""The paths that a config names: those that Snakemake would read otherwise than they look, and those not there."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from absynth.errors import InputError

_WEIGHTS = ("published_weights", "trained_weights")  # folders
_FILES = ("weights", "program")


def settle_paths(config: dict[str, Any]) -> None:
    """Expand `~` at the start of the config's paths, in place.

    Raises InputError, with the key, for braces, which are wildcards to Snakemake, for control characters, and for a
    home folder that is not known. Names of files under `datasets` can hold none of these (`absynth.data.sources`).
    """
    for holder, name, key in _places(config):
        holder[name] = _settled(holder[name], key)


def check_there(config: dict[str, Any]) -> None:
    """Raise InputError, with the key, for weights and programs that are no files, and folders that are none."""
    for holder, name, key in _places(config):
        path = Path(holder[name])
        if name in _FILES and not path.is_file():
            raise InputError(f"config key {key}: {path} is no file")
        if name in _WEIGHTS and not path.is_dir():
            raise InputError(f"config key {key}: {path} is no folder")


def _places(config: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str, str]]:
    """Where the config holds a path: the mapping, the key in it, and the whole key."""
    for name in ("data_dir", *_WEIGHTS):
        if config[name]:
            yield config, name, name
    for model, entry in config["models"].items():
        for name in (*_FILES, "trained_weights"):
            if entry and entry.get(name):
                yield entry, name, f"models.{model}.{name}"


def _settled(path: str, key: str) -> str:
    odd = [mark for mark in path if mark in "{}" or ord(mark) < 32]
    if odd:
        raise InputError(
            f"config key {key}: found {path!r}, allowed are paths without {odd[0]!r}, which Snakemake cannot take "
            "literally; rename the file or folder"
        )
    expanded = os.path.expanduser(path)
    if expanded.startswith("~"):
        raise InputError(
            f"config key {key}: found {path!r}, but {expanded.split('/')[0]} is no known home folder; "
            f"write the path out, ./{path} for a name that starts with ~"
        )
    return expanded
