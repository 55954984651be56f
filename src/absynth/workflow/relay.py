"""The config's relay as attacks of its own: each round's, by name, with the starts of all before them."""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from absynth.attacks.outside import outside_kind
from absynth.attacks.registry import ATTACKS
from absynth.errors import InputError

# What an entry of `attacks` says that an attack in a relay does not take over from it.
_OWN = ("start_from", "label")


def relay_name(attack: str, number: int) -> str:
    """The name of an attack in a round of the relay, counted from 1."""
    return f"relay{number}_{attack}"


def relay_rounds(relay: Mapping[str, Any] | None) -> dict[str, int]:
    """The names of the relay's attacks, in their order, and the round of each."""
    if relay is None:
        return {}
    return {
        relay_name(attack, number): number
        for number in range(1, relay["rounds"] + 1)
        for attack in relay["attacks"]
    }


def add_relay(config: dict[str, Any]) -> None:
    """Add the attacks of the config's relay, if it has one, to its `attacks`, in place.

    Each is of the kind that it is named after, with the options that the config gives that attack, and starts from
    all attacks of the run outside of the relay and from all before it within.
    Raises InputError for an attack that there is not or that takes no start, and for a name that is taken.
    """
    relay, attacks = config["relay"], config["attacks"]
    if relay is None:
        return
    for name in relay["attacks"]:
        kind = (attacks.get(name) or {}).get("kind", name)
        if kind not in ATTACKS or not ATTACKS[kind].takes_start:
            able = ", ".join(known for known, entry in ATTACKS.items() if entry.takes_start)
            reason = (
                "takes no start"
                if kind in ATTACKS or outside_kind(attacks.get(name) or {}) is not None
                else "is no attack"
            )
            raise InputError(f"config key relay.attacks: found {name}, which {reason}; allowed are {able}")
    before = [
        name for name, entry in attacks.items() if entry is not None and name not in relay_rounds(relay)
    ]
    for number in range(1, relay["rounds"] + 1):
        for attack in relay["attacks"]:
            name, chosen = relay_name(attack, number), attacks.get(attack) or {}
            kept = {key: deepcopy(value) for key, value in chosen.items() if key not in _OWN}
            entry = {"kind": attack, **kept, "start_from": list(before)}
            if attacks.setdefault(name, entry) != entry:
                raise InputError(
                    f"config key attacks.{name}: is the name of an attack of the relay; name yours otherwise"
                )
            before.append(name)
