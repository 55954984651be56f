"""What a run's recorded settings imply: the command that repeats it, and where its weights came from."""

import math
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from absynth.attacks.registry import ATTACKS
from absynth.models.registry import KINDS
from absynth.workflow.config_files import merged_config
from absynth.workflow.matrix import kind_of
from absynth.workflow.plan import Plan

ROOT = Path(__file__).parents[2]
TEMPLATES = ("own-model",)  # configs to copy and fill in
PATHS = ("data_dir", "published_weights", "trained_weights")  # config keys


def command_of(config: Mapping[str, Any]) -> str:
    """The command that runs these settings, as Markdown, starting from the shipped config with the fewest changes.

    Settings that --config cannot express go into a file, changes.yaml, whose content follows. Absolute paths, which
    do not exist on other machines, are replaced by DIR.
    """
    candidates = []
    shipped = [path for path in (ROOT / "config").glob("*.yaml") if path.stem not in TEMPLATES]
    for path in sorted(shipped, key=lambda path: path.stem != "config"):
        base = merged_config([ROOT / "config" / "config.yaml", path], [])
        Plan(base, ROOT / "workflow" / "schemas")  # fills in defaults, as the workflow did
        candidates.append((_changes(base, _with_nulls(base, config)), path.name))
    changes, name = min(candidates, key=lambda pair: _leaves(pair[0]))
    given = {key: _argument(key, value) for key, value in changes.items() if _fits_command_line(value)}
    filed = {key: value for key, value in changes.items() if key not in given}
    files = [f"config/{name}"] if name != "config.yaml" else []
    parts = ["snakemake --cores all"]
    if files or filed:
        parts += ["--configfile", *files, *(["changes.yaml"] if filed else [])]
    if given:
        parts += ["--config", *given.values()]
    if not filed:
        return f"`{' '.join(parts)}`"
    content = yaml.safe_dump(filed, default_flow_style=True, width=math.inf, sort_keys=False).strip()
    return f"`{' '.join(parts)}` with changes.yaml: `{content}`"


def _with_nulls(base: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """The settings with null for the models and attacks of `base` that they lack: so a config takes them out."""
    taken = {
        key: {
            name: None for name, entry in base[key].items() if entry is not None and name not in config[key]
        }
        for key in ("models", "attacks")
    }
    return {**config, **{key: {**config[key], **nulls} for key, nulls in taken.items()}}


def _changes(base: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """What must be laid over `base` to get `config`."""
    changes = {}
    for key, value in config.items():
        if key in base and base[key] == value:
            continue
        nested = isinstance(value, Mapping) and isinstance(base.get(key), Mapping)
        found = _changes(base[key], value) if nested else value
        if found != {} or not nested:
            changes[key] = found
    return changes


def _leaves(value: Any) -> int:
    return sum(map(_leaves, value.values())) if isinstance(value, Mapping) else 1


def _fits_command_line(value: Any) -> bool:
    """Whether --config keeps its type: nested numbers and null become strings there."""
    return type(value) in (int, float) or (isinstance(value, str) and yaml.safe_load(value) == value)


def _argument(key: str, value: Any) -> str:
    elsewhere = key in PATHS and Path(value).is_absolute()
    return f"{key}=DIR" if elsewhere else shlex.quote(f"{key}={value}")


def weights_of(config: Mapping[str, Any]) -> str:
    """Which models' weights are the authors', which another run's, and which were trained in the run."""
    attacks = [name for name, entry in config["attacks"].items() if entry is not None]
    transferred = any(ATTACKS[name].substitute for name in attacks if name in ATTACKS)
    released, taken, trained = [], [], []
    for name, entry in {**config["models"], "substitute": {} if transferred else None}.items():
        kind = None if entry is None else KINDS[kind_of(name, entry)]
        if kind and kind.trainer:
            if config["published_weights"] and kind.published:
                group = released
            else:
                group = taken if config.get("trained_weights") else trained
            group.append(entry.get("label") or kind.label)
    groups = {
        "released by the authors": released,
        "trained in another run": taken,
        "trained in the run": trained,
    }
    return ", ".join(f"{title} ({', '.join(names)})" for title, names in groups.items() if names) or "none"
