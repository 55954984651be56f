"""Attacks that no entry of the registry describes: a config names a class or a function. Free of torch."""

from collections.abc import Mapping, Sequence
from typing import Any

from absynth.attacks.registry import AttackEntry
from absynth.io.modules import is_file

# Libraries, besides Foolbox, whose attacks a config may name: what is imported, and what is installed.
LIBRARIES = {
    "torchattacks": "torchattacks",
    "adv_lib": "adv-lib",
    "art": "adversarial-robustness-toolbox",
}

# What builds such an attack, by the schema of its config entry.
BUILDERS = {
    "foolbox": "absynth.attacks.foolbox.bridge:foolbox_attack",
    "library": "absynth.attacks.foreign.build:library_attack",
    "function": "absynth.attacks.foreign.function:function_attack",
}


# What a user's function that attacks is called with, before the arguments of its config entry.
FUNCTION_PARAMETERS = ("model", "x", "y", "epsilon", "norm", "generator")


def named_path(entry: Mapping[str, Any]) -> str | None:
    """The "module.name" or "module:name" that a config entry has as its class or function, None if it has neither."""
    named = entry.get("class", entry.get("function"))
    return None if named is None else str(named)


def outside_kind(entry: Mapping[str, Any]) -> str | None:
    """The key of BUILDERS for a config entry with `class` or `function`, None for one without."""
    named = named_path(entry)
    if named is None:
        return None
    if not is_file(named.rpartition(":")[0]) and named.replace(":", ".").partition(".")[0] in LIBRARIES:
        return "library"
    return "foolbox" if "class" in entry else "function"


def outside_entry(kind: str, label: str, norms: Sequence[str], gradients: bool) -> AttackEntry:
    """The entry of such an attack. It is taken to draw its random numbers for the whole batch at once.

    kind: a key of BUILDERS; label: its title in every norm; gradients: whether it needs them
    """
    return AttackEntry(BUILDERS[kind], dict.fromkeys(norms, label), gradients, kind, batch_free=False)
