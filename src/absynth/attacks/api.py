"""What an attack is, and what its builder may ask of a norm."""

from collections.abc import Callable
from typing import TypeVar

from absynth.attacks.randomness import SampleRandom
from absynth.attacks.target import Target
from absynth.errors import InputError

# Attacks the active images of a target, which keeps what is found, with random numbers of each image's own.
Attack = Callable[[Target, SampleRandom], None]

Choice = TypeVar("Choice")


def for_norm(norm: str, **choices: Choice) -> Choice:
    """What an attack uses in a norm. Raises InputError for a norm that it does not minimise."""
    if norm not in choices:
        raise InputError(f"norm {norm!r}; this attack minimises {', '.join(choices)}")
    return choices[norm]
