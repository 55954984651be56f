"""What a config must fulfil as to its data set. All here raise InputError with the key and what is allowed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absynth.data.format import DataFormat, check_labels, check_shape, check_taken
from absynth.data.own import OWN_KINDS, own_files
from absynth.data.own_headers import known_images, no_array, npz_shapes
from absynth.data.sources import Dataset, find_dataset
from absynth.errors import InputError

if TYPE_CHECKING:
    from absynth.workflow.plan import Plan


def settle_dataset(config: dict[str, Any]) -> bool:
    """Move a description that stands at `dataset` itself to `datasets`, in place, under a name of its own.

    That is its `name`, or that of its file, folder or function. Returns whether one stood there.
    """
    entry = config["dataset"]
    if not isinstance(entry, Mapping):
        return False
    description = dict(entry)
    name = description.pop("name", None)
    if not isinstance(name, str | None):
        raise InputError(f"config key dataset.name: found {name!r}, a text is allowed")
    if name is None:
        source = next((str(description[kind]) for kind in OWN_KINDS if kind in description), "own")
        stem = source.rpartition(":")[2] if "load" in description else Path(source).stem
        name = re.sub(r"[^A-Za-z0-9_.-]", "_", stem).lstrip(".-") or "own"
    if name in config["datasets"]:
        raise InputError(
            f"config key dataset.name: {name!r} stands under datasets already; name yours otherwise"
        )
    config["datasets"], config["dataset"] = {**config["datasets"], name: description}, name
    return True


def check_data(plan: Plan) -> None:
    """Refuse files that are not there, models that the data set does not suit, and labels that it does not have."""
    dataset = plan.dataset
    names = [*plan.models, *(["substitute"] if plan.transfers else [])]
    for name, taken in plan.takes.items():
        check_taken(name, taken, dataset.format, dataset.name)
    _check_calibration(plan)
    distal = plan.config["distal"]
    if dataset.format and distal and distal["labels"]:
        check_labels(distal["labels"], dataset.format)
    if not dataset.has_train:
        for name, reason in needs_training(plan, names):
            out = (
                "attacks: standard (without transfer attacks)"
                if name == "substitute"
                else f"models: {{{name}: null}}"
            )
            raise InputError(
                f"{_shown(name)} {reason}, and the data set {dataset.name} has no training images; name those in its "
                f"entry (train), or write {out}"
            )
    for name, taken in plan.takes.items():
        check_shape(name, taken, known_images(dataset)[1], dataset.name)


def check_description(config: Mapping[str, Any], *, in_place: bool) -> None:
    """Refuse a malformed description of the config's data set, and files of it that are not there, by its key.

    in_place: whether it stood at `dataset` itself
    """
    name = config["dataset"]
    key = "dataset" if in_place else f"datasets.{name}"
    try:
        dataset = find_dataset(name, config["datasets"].get(name))
        own_files(dataset)
        _check_arrays(dataset)
    except InputError as error:
        message = str(error)
        for start in (f"config key datasets.{name}", name):
            if message.startswith((f"{start}.", f"{start}:")):
                raise InputError(f"config key {key}{message.removeprefix(start)}") from None
        raise


def _check_arrays(dataset: Dataset) -> None:
    """Refuse keys of arrays that an .npz file does not have; a damaged file is left to who reads it."""
    if dataset.reader != "npz":
        return
    path = Path(dataset.options["npz"]).expanduser()
    try:
        known = npz_shapes(path)
    except (OSError, ValueError):
        return
    for split in ("train", "test"):
        for part, key in dataset.options.get(split, {}).items():
            if key not in known:
                raise no_array(dataset, split, part, path, known)


def _check_calibration(plan: Plan) -> None:
    """Refuse as many calibration images as there are training images, or more, where their number is known."""
    n, n_train = plan.config["n_calibration"], plan.dataset.n_train
    if plan.uses_training_images and n_train is not None and n >= n_train:
        raise InputError(
            f"config key n_calibration: found {n}, allowed are up to {n_train - 1} of the {n_train} training images "
            f"of {plan.dataset.name}, of which others train"
        )


def takes(plan: Plan) -> dict[str, DataFormat]:
    """What models that do not take any images take, and the substitute; by what messages call them."""
    names = [*plan.models, *(["substitute"] if plan.transfers else [])]
    taken = {_shown(name): plan.planned(name).kind.takes for name in names}
    return {name: images for name, images in taken.items() if images is not None}


def _shown(name: str) -> str:
    """What a message calls a model or the substitute."""
    if name == "substitute":
        return "config key attacks: the substitute of transfer attacks"
    return f"config key models.{name}: it"


def needs_training(plan: Plan, names: list[str]) -> Iterator[tuple[str, str]]:
    """The models that need training images, and what for; names: of models, or the substitute."""
    for name in names:
        kind = plan.planned(name).kind
        if kind.reads_training_images:
            yield name, "looks neighbours up"
        elif kind.tuned:
            yield name, "is calibrated"
        elif kind.trainer == "prototypes" or (kind.trainer and not plan.weight_sources(name)):
            yield name, "is trained"
