"""Presets of attacks: a name in the config that stands for attacks, their options and a relay of them.

Each is a file workflow/presets/NAME.yaml with the keys `attacks` and, if it has one, `relay`. The preset `paper` is
what config/config.yaml attacks with. `python -m absynth.workflow.presets NAME` prints one.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from absynth.attacks.registry import ATTACKS
from absynth.errors import InputError
from absynth.io.spelling import nearest
from absynth.workflow.config_files import lay_over, read_config

PAPER_PRESET = "paper"
KEY = "preset"  # of the config's `attacks`, where it is a mapping
Content = dict[str, Any]


def preset_names(schemas: str | Path) -> list[str]:
    """The presets there are; schemas: the folder workflow/schemas."""
    return sorted([*(path.stem for path in _folder(schemas).glob("*.yaml")), PAPER_PRESET])


def read_preset(name: str, schemas: str | Path) -> Content:
    """The keys `attacks` and `relay` (None if it has none) of a preset. Raises InputError for an unknown name."""
    known = preset_names(schemas)
    if name not in known:
        raise InputError(
            f"preset {_shown(name)}: unknown; {_meant(name, known)}allowed are {', '.join(known)}"
        )
    paper = Path(schemas).parents[1] / "config" / "config.yaml"
    content = read_config(paper if name == PAPER_PRESET else _folder(schemas) / f"{name}.yaml")
    return {"attacks": content["attacks"], "relay": content.get("relay")}


def expand_presets(config: dict[str, Any], schemas: str | Path) -> frozenset[str]:
    """Put attacks in place of the presets that the config's `attacks` names, and their relay, in place.

    `attacks` may be a name, a list of names, or a mapping with such under `preset` and changes to be laid over them.
    A name is that of a preset or of an attack, which then has its default options. Of an attack in several presets,
    and of their relays, the last counts. The config's own `relay` is laid over it; null leaves it out. What the
    changes leave out (null) starts no other attack of a preset and has no place in its relay.
    Returns the attacks whose starts are a preset's choice.
    Raises InputError, naming the key, for what is neither preset nor attack.
    """
    given = config.get("attacks")
    if isinstance(given, str | list):
        given = {KEY: given}
    if not isinstance(given, dict) or KEY not in given:
        return frozenset()
    if given == {KEY: []}:
        raise InputError(
            "config key attacks: found an empty list, allowed are names of presets and attacks; lower bounds without "
            "attacks are made by the target certificates"
        )
    changes = {name: entry for name, entry in given.items() if name != KEY}
    base = _combined(given[KEY], "attacks" if len(given) == 1 else f"attacks.{KEY}", schemas)
    left_out = {name for name, entry in changes.items() if entry is None}
    for entry in base["attacks"].values():
        if entry and "start_from" in entry:
            entry["start_from"] = [name for name in entry["start_from"] if name not in left_out]
    config["attacks"] = lay_over(base["attacks"], changes)
    config["relay"] = _relay(base["relay"], left_out, config)
    own = {name for name, entry in changes.items() if isinstance(entry, Mapping) and "start_from" in entry}
    return frozenset(base["attacks"]) - own


def _combined(names: Any, key: str, schemas: str | Path) -> Content:
    """The attacks and the relay of all that is named."""
    known = preset_names(schemas)
    combined: Content = {"attacks": {}, "relay": None}
    for name in names if isinstance(names, list) else [names]:
        if isinstance(name, str) and name in known:
            preset = read_preset(name, schemas)
            combined["attacks"] |= preset["attacks"]
            combined["relay"] = preset["relay"] or combined["relay"]
        elif isinstance(name, str) and name in ATTACKS:
            combined["attacks"].setdefault(name, {})
        else:
            meant = _meant(name, [*known, *ATTACKS])
            raise InputError(
                f"config key {key}: found {_shown(name)}, which is no preset ({', '.join(known)}) and no attack; "
                f"{meant}docs/reference/attacks.md lists the attacks"
            )
    return combined


def _relay(base: Content | None, left_out: set[str], config: Mapping[str, Any]) -> Any:
    """A preset's relay without the attacks that are left out, with the config's own laid over it."""
    if base is not None:
        base = base | {"attacks": [name for name in base["attacks"] if name not in left_out]}
        base = base if base["attacks"] else None
    if "relay" not in config:
        return base
    own = config["relay"]
    return lay_over(base or {}, own) if isinstance(own, Mapping) else own


def _shown(value: Any) -> str:
    shown = ascii(value)
    return shown if len(shown) <= 80 else shown[:77] + "..."


def _meant(name: Any, known: Sequence[str]) -> str:
    meant = nearest(str(name), known)
    return f"did you mean {meant}? " if meant else ""


def _folder(schemas: str | Path) -> Path:
    return Path(schemas).parent / "presets"


def main(arguments: Sequence[str] | None = None) -> str:
    """The text of a preset as a config has it; with no name, the names there are."""
    parser = argparse.ArgumentParser(prog="python -m absynth.workflow.presets", description=main.__doc__)
    parser.add_argument("name", nargs="?", help="of a preset")
    name = parser.parse_args(arguments).name
    schemas = Path(__file__).parents[3] / "workflow" / "schemas"
    if not schemas.is_dir():
        raise InputError(f"{schemas}: not found; presets are files of a checkout of the project")
    if name is None:
        return "\n".join(preset_names(schemas))
    content = read_preset(name, schemas)
    kept = {key: value for key, value in content.items() if value is not None}
    return yaml.safe_dump(
        kept, sort_keys=False, allow_unicode=True, default_flow_style=None, width=120
    ).rstrip()


if __name__ == "__main__":
    try:
        sys.stdout.write(f"{main()}\n")
    except InputError as error:
        sys.exit(str(error))
