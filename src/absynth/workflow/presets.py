"""Presets of attacks: a name in the config for attacks, their options and a relay of them.

Each is a file workflow/presets/{name}.yaml with the keys `attacks` and, if there is one, `relay`, but for the preset
`paper`, which is what config/config.yaml attacks with.
"""

import difflib
from pathlib import Path
from typing import Any

from absynth.errors import InputError
from absynth.workflow.config_files import read_config

PAPER_PRESET = "paper"  # that of the project's own config


def preset_names(schemas: str | Path) -> list[str]:
    """The presets there are; schemas: the folder workflow/schemas."""
    return [*sorted(path.stem for path in _folder(schemas).glob("*.yaml")), PAPER_PRESET]


def read_preset(name: str, schemas: str | Path) -> dict[str, Any]:
    """The keys `attacks` and `relay` (None if it has none) of a preset. Raises InputError for an unknown name."""
    known = preset_names(schemas)
    if name not in known:
        close = difflib.get_close_matches(name, known, n=1)
        meant = f"did you mean {close[0]}? " if close else ""
        raise InputError(
            f"config key attacks: found {name}, no preset; {meant}allowed are {', '.join(known)}"
        )
    path = _folder(schemas) / f"{name}.yaml"
    if name == PAPER_PRESET:
        path = Path(schemas).parents[1] / "config" / "config.yaml"
    content = read_config(path)
    return {"attacks": content["attacks"], "relay": content.get("relay")}


def _folder(schemas: str | Path) -> Path:
    return Path(schemas).parent / "presets"
