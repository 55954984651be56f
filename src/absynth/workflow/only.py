"""The key `only` of the config's `models`: what a user evaluates, and nothing that was not asked for."""

from collections.abc import Iterator, Mapping
from typing import Any

from absynth.attacks.registry import ATTACKS
from absynth.errors import InputError
from absynth.models.registry import KINDS

KEY = "only"  # of the config's `models`


def check_only(layer: Mapping[str, Any]) -> None:
    """Refuse one file of a config, or the entries of `--config`, that asks for what its own `only: true` leaves out.

    Raises InputError with the key.
    """
    models = layer.get("models")
    if not isinstance(models, Mapping) or models.get(KEY) is not True:
        return
    for name, entry in models.items():
        if name in KINDS and entry is not None:
            own = [other for other, stated in models.items() if other != KEY and stated is not None]
            raise InputError(
                f"config key models.{name}: found beside only: true, which leaves all models but your own out; "
                f"write only: [{', '.join(own)}]"
            )
    attacks = layer.get("attacks")
    asked = [name for name in _with_substitute(attacks) if isinstance(attacks, Mapping)]
    key = f"attacks.{asked[0]}" if asked else "distal" if layer.get("distal") is not None else None
    if key:
        raise InputError(
            f"config key {key}: found beside models.only: true, which leaves it out; write only: [NAME, …] with the "
            "names of your models, and all else is run"
        )


def settle_only(config: dict[str, Any]) -> list[str]:
    """Set to null what `only` leaves out, and take the key itself out of `models`, in place.

    With a list these are all models that it does not name. With true they are all models of the project under their
    own names, and what would have to be trained or generated besides: attacks that need a substitute, which no other
    attack then starts from, and distal adversarials.
    Returns a line for the user if attacks are left out. Raises InputError for names that are no models, and if no
    model is left.
    """
    models, attacks = config["models"], config["attacks"]
    only = models.pop(KEY, False)
    if only is False:
        return []
    there = [name for name, entry in models.items() if entry is not None]
    kept = [name for name in there if name not in KINDS] if only is True else only
    for name in kept:
        if name not in there:
            raise InputError(
                f"config key models.{KEY}: found {name}, allowed are {', '.join(there) or 'none'}"
            )
    if not kept:
        raise InputError(
            f"config key models.{KEY}: found true, but no model of your own; describe it beside it, as mine: "
            "{class: my_models.py:Net, weights: my_weights.pt}"
        )
    models.update(dict.fromkeys(name for name in there if name not in kept))
    if only is not True:
        return []
    config["distal"] = None
    left_out = list(_with_substitute(attacks))
    for name in left_out:
        attacks[name] = None
    for entry in attacks.values():
        if entry and isinstance(entry.get("start_from"), list):
            entry["start_from"] = [name for name in entry["start_from"] if name not in left_out]
    return [_told(left_out)] if left_out else []


def _with_substitute(attacks: Any) -> Iterator[str]:
    """The attacks that need a substitute, among entries that may still be wrong."""
    for name, entry in attacks.items() if isinstance(attacks, Mapping) else ():
        kind = entry.get("kind", name) if isinstance(entry, Mapping) else None
        if isinstance(kind, str) and kind in ATTACKS and ATTACKS[kind].substitute:
            yield name


def _told(names: list[str]) -> str:
    return (
        f"models.{KEY}: true leaves out {', '.join(names)}, which would train a substitute network; "
        f"models.{KEY}: [NAME, …] keeps such attacks"
    )
