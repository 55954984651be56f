"""What a config must fulfil as to its data set. All here raise InputError with the key and what is allowed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absynth.data.format import check_labels, check_taken
from absynth.data.own import OWN_KINDS, own_files
from absynth.errors import InputError

if TYPE_CHECKING:
    from absynth.workflow.plan import Plan


def settle_dataset(config: dict[str, Any]) -> None:
    """Move a description that stands at `dataset` itself to `datasets`, in place, under a name of its own.

    That is its `name`, or that of its file, folder or function.
    """
    entry = config["dataset"]
    if not isinstance(entry, Mapping):
        return
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


def check_data(plan: Plan) -> None:
    """Refuse files that are not there, models that the data set does not suit, and labels that it does not have."""
    dataset = plan.dataset
    own_files(dataset)
    names = [*plan.models, *(["substitute"] if plan.transfers else [])]
    for name in names:
        check_taken(_shown(name), plan.planned(name).kind.takes, dataset.format, dataset.name)
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
