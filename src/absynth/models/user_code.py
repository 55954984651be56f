"""Run a user's own code without letting it change what a whole process depends on."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from absynth.errors import InputError
from absynth.io.log import LOGGER


def _working_directory() -> str:
    try:
        return os.getcwd()
    except FileNotFoundError:  # it was deleted, as a temporary one is
        return "a folder that is gone"


def _reset_device(before: torch.device) -> None:
    torch.set_default_device(
        None
    )  # a device set for good, even the same, would slow down every call of torch
    if torch.get_default_device() != before:
        torch.set_default_device(before)


# What code may set for a whole process, and every later result would depend on: how to read it, and to put it back.
_SETTINGS: dict[str, tuple[Callable[[], Any], Callable[[Any], object]]] = {
    "the working directory": (_working_directory, os.chdir),
    "torch's grad mode": (torch.is_grad_enabled, torch.set_grad_enabled),
    "torch's default dtype": (torch.get_default_dtype, torch.set_default_dtype),
    "torch's default device": (torch.get_default_device, _reset_device),
    "torch's number of threads": (torch.get_num_threads, torch.set_num_threads),
    "torch's deterministic algorithms": (
        torch.are_deterministic_algorithms_enabled,
        torch.use_deterministic_algorithms,
    ),
    "torch's precision of matrix products": (
        torch.get_float32_matmul_precision,
        torch.set_float32_matmul_precision,
    ),
    "torch's anomaly detection": (torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly),
    "numpy's treatment of floating-point errors": (np.geterr, lambda before: np.seterr(**before)),
}


_LEFT: dict[str, dict[str, Any]] = {}  # what importing a module set, for a class of it that is made again


@contextmanager
def settings_kept(name: str, when: str = "as it is imported or made") -> Iterator[None]:
    """Put back, in the end, what the code within has set for the whole process, with a warning that names it.

    name, when: whose code it is, and when it runs, for messages. Relative paths, gradients and dtypes are then as
        without this code.
    Raises InputError for inference mode, which cannot be left from outside.
    """
    inference = torch.is_inference_mode_enabled()
    with settings_watched() as changed:
        try:
            yield
        finally:
            for what, (found, kept) in changed().items():
                LOGGER.warning(
                    "%s: its code sets %s to %s for the whole process %s; put back to %s",
                    name, what, found, when, kept,
                )  # fmt: skip
    if torch.is_inference_mode_enabled() and not inference:
        raise InputError(
            f"{name}: its code enters torch.inference_mode for good; leave it again, or use `with`"
        )


@contextmanager
def settings_watched() -> Iterator[Callable[[], dict[str, tuple[Any, Any]]]]:
    """Put back, in the end, what the code within has set for the whole process; gives what tells of it until then.

    That is, by the setting's name, what it is now and what it was.
    """
    before = _read()
    try:
        yield lambda: _changes(before)
    finally:
        for what, (_, kept) in _changes(before).items():
            _SETTINGS[what][1](kept)


def imported(module: str, load: Callable[[], Any]) -> Any:
    """What `load` imports from a module, with the settings that importing it leaves: the first time, and again later.

    To be called within `settings_kept`.
    """
    before = _read()
    for what, value in _LEFT.get(module, {}).items():
        _SETTINGS[what][1](value)
    found = load()
    _LEFT.setdefault(module, {what: value for what, (value, _) in _changes(before).items()})
    return found


def _read() -> dict[str, Any]:
    return {what: read() for what, (read, _) in _SETTINGS.items()}


def _changes(before: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """The settings that are now others: what they are, and what they were."""
    now = {what: (value, before[what]) for what, value in _read().items()}
    return {what: values for what, values in now.items() if values[0] != values[1]}
