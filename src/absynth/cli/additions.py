"""What a call of `absynth evaluate` says anew of a run that is there: its data set and its models.

What a call states replaces what an earlier call stated as long as nothing was made of that: a first call may have
failed for a slip in it. Afterwards it must agree.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from absynth.errors import InputError

Config = dict[str, Any]
# What arguments of the command state of a model and of a data set; all else stays if it was written into the config.
_OF_MODEL = {"class", "program", "weights", "arguments", "preprocessing"}
_OF_DATASET = {"test", "arguments"}


def models_of_run(config: Config, models: Mapping[str, Config], path: Path) -> Config:
    """The config's `models` with those of a call added, or put in place of what no probe has passed.

    config: of the run, in the file `path`
    A model of another spelling, Net after net, takes the place of that one likewise.
    Raises InputError for another model under the name of one that its probe has passed.
    """
    entries = dict(config.get("models", {}))
    for name, entry in models.items():
        slips = [
            other for other in entries if other.casefold() == name.casefold() and not _probed(path, other)
        ]
        for other in slips:
            if other != name:
                _say(path, f"models.{other}", entries.pop(other), None)
        known = entries.get(name)
        if known and name in slips:
            kept = {key: value for key, value in known.items() if key not in _OF_MODEL}
            entries[name] = {**entry, **kept, **entry}
            _say(path, f"models.{name}", known, entries[name])
        elif known and not entry.items() <= known.items():
            other = next(key for key in entry if entry[key] != known.get(key))
            raise InputError(
                f"run {config.get('run')} has a model {name} with {other} {known.get(other)!r}, found "
                f"{entry[other]!r}; name the new one by --as to add it to the run, or the new run by --name, or edit "
                f"{path}"
            )
        else:
            entries[name] = known or entry
    return entries


def dataset_of_run(config: Config, dataset: str | Config | None, n_classes: int | None, path: Path) -> Any:
    """The config's `dataset`, as a call states it, if it does, as long as no images were read.

    config: of the run, in the file `path`; n_classes: if the call states it, for as long as no model was probed
    Raises InputError for another data set than that whose images were read.
    """
    known = config.get("dataset")
    asked = _with_classes(known if dataset is None else dataset, n_classes)
    if known is None or asked == known:
        return asked
    if not (path.parent / "data" / "test.h5").is_file():
        settled = _laid_over(known, asked)
    elif _agrees(asked, known):
        return known
    elif n_classes and not any(_probed(path, name) for name in config.get("models", {})):
        settled = _with_classes(known, n_classes)
        if not _agrees(asked, settled):
            raise _other_data(config, dataset, path)
    else:
        raise _other_data(config, asked, path)
    if settled != known:
        _say(path, "dataset", known, settled)
    return settled


def _with_classes(dataset: Any, n_classes: int | None) -> Any:
    """A data set of one's own with a number of classes, if one is stated."""
    if not n_classes:
        return dataset
    if not isinstance(dataset, Mapping):
        raise InputError(
            f"--n-classes: states the classes of data of your own, and the data set is {dataset}; leave it out"
        )
    return {**dataset, "n_classes": n_classes}


def _laid_over(known: Any, asked: Any) -> Any:
    """The data set that is asked for, with what the config says besides if it is from the same source."""
    if not isinstance(known, Mapping) or not isinstance(asked, Mapping):
        return asked
    source = next(iter(asked))
    if known.get(source) != asked[source]:
        return asked
    return {**asked, **{key: value for key, value in known.items() if key not in _OF_DATASET}, **asked}


def _agrees(dataset: Any, known: Any) -> bool:
    """Whether a data set is the known one, which may say more of it."""
    if isinstance(dataset, Mapping) and isinstance(known, Mapping):
        return dataset.items() <= known.items()
    return dataset == known


def _other_data(config: Config, dataset: Any, path: Path) -> InputError:
    return InputError(
        f"--data: run {config.get('run')} is on {config.get('dataset')}, found {dataset}; give the new one another "
        f"--name, or edit {path}"
    )


def _probed(path: Path, model: str) -> bool:
    """Whether the probe of a model of the run whose config is in `path` has passed."""
    return (path.parent / "models" / model / "probe.json").is_file()


def _say(path: Path, key: str, before: Any, after: Any) -> None:
    """Say that something written before is replaced."""
    if before != after:
        now = "is left out" if after is None else f"is now {after}"
        sys.stderr.write(f"{path}: {key} was {before}, and {now}\n")
