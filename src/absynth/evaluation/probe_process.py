"""The checks of a probe for what asking a model leaves behind: seeds and settings of the process, and memory."""

import pickle
import random
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from absynth.evaluation.probe_checks import SAME, Inputs, Subject, ask, differ
from absynth.models.user_code import settings_watched

# Random numbers that attacks may draw: whose, how to seed them, and the state that they are in.
_GENERATORS: dict[str, tuple[Callable[[int], Any], Callable[[], Any]]] = {
    "torch": (torch.manual_seed, lambda: torch.random.get_rng_state().tolist()),
    "numpy": (np.random.seed, np.random.get_state),
    "Python": (random.seed, random.getstate),
}


def check_process(subject: Subject, inputs: Inputs) -> None:
    """Refuse a model that sets seeds or other settings of the whole process whenever it is asked.

    Attacks would then draw the same random numbers again and again, or compute otherwise than they should. The state
    of torch's generators is the caller's to keep.
    """
    kept = np.random.get_state(), random.getstate()
    try:
        with torch.enable_grad(), settings_watched() as changed:
            states = [_states(subject, inputs, seed) for seed in (1, 2)]
            check_settings(subject, changed())
    finally:
        np.random.set_state(kept[0])
        random.setstate(kept[1])
    for name in _GENERATORS:
        if states[0][name] == states[1][name]:
            raise subject.fault(
                f"seeds the random numbers of {name} when it is asked, so that attacks would draw the same ones "
                "again and again; leave that out of its forward: noise that is fixed can be drawn in __init__ and "
                "kept as a buffer"
            )


def check_lasting(subject: Subject, inputs: Inputs, logits: Tensor) -> None:
    """Refuse a model whose answers are others after all that the probe asked it, gradients included."""
    with torch.no_grad():
        largest = differ(logits, ask(subject, inputs, inputs.images))
    if largest > SAME[logits.device.type]:
        raise subject.fault(
            "gives the same images other answers once it has been asked about others, or for gradients (logits "
            f"differ by {largest:.2g} of their range); keep nothing from one call to the next"
        )


def check_settings(subject: Subject, changed: Mapping[str, tuple[Any, Any]]) -> None:
    """Refuse a model that has changed a setting of the process: by its name, what it is now and what it was."""
    for what, (found, before) in changed.items():
        raise subject.fault(
            f"sets {what} to {found} for the whole process when it is asked, which was {before}; leave that out of "
            "its forward, or put it back there"
        )


def _states(subject: Subject, inputs: Inputs, seed: int) -> dict[str, bytes]:
    """The state of each generator after two images were asked about, having been seeded before."""
    for start, _ in _GENERATORS.values():
        start(seed)
    ask(subject, inputs, inputs.images[:2])
    return {name: pickle.dumps(state()) for name, (_, state) in _GENERATORS.items()}
