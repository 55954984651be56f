"""Make a user's own network: from a class, from a function that returns one, or from the file of a program."""

import inspect
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from absynth.data.format import DataFormat
from absynth.errors import InputError
from absynth.io.modules import split_named
from absynth.models.base import input_threshold
from absynth.models.building import resolve
from absynth.models.programs import load_program
from absynth.models.user_code import imported, settings_kept
from absynth.models.weights import load_weights


def shown_error(error: BaseException) -> str:
    """An exception in words: its type, the first line of its message, and where outside torch it was raised."""
    try:
        message = next(iter(str(error).splitlines()), "")
    except Exception:  # a message that cannot be made
        message = ""
    library = str(Path(torch.__file__).parent)
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith(library)]
    place = f", {Path(frames[-1].filename).name} line {frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{': ' if message else ''}{message}{place}"


def check_switches(name: str, model: nn.Module) -> None:
    """Raise InputError, naming the model, if it cannot be put in evaluation mode, as where its `train` trains."""
    try:
        model.eval()
    except Exception as error:
        raise InputError(
            f"{name}: its eval() fails ({shown_error(error)}); torch calls train(False) for it, so give methods of "
            "its own other names than eval and train"
        ) from error


def stated_threshold(name: str, model: nn.Module) -> float | None:
    """A module's `input_threshold`. Raises InputError, naming the model, if its code fails to say it."""
    try:
        return input_threshold(model)
    except Exception as error:
        raise InputError(f"{name}: its input_threshold cannot be read ({shown_error(error)})") from error


def made_module(shown: str, named: str, arguments: Mapping[str, Any] | None = None) -> nn.Module:
    """A module in evaluation mode, of a user's class or function "module:name" or "file.py:name".

    shown: what messages call it
    What the code sets for the whole process is put back (`settings_kept`).
    Raises InputError if it fails, whatever its code raises, SystemExit included, or makes anything but a module.
    """
    arguments = dict(arguments or {})
    with settings_kept(shown):
        made = imported(split_named(named)[0], lambda: resolve(named))
        try:
            model = made(**arguments)
        except (KeyboardInterrupt, torch.OutOfMemoryError):
            raise
        except BaseException as error:
            name = named if isinstance(error, TypeError) else shown
            raise InputError(
                f"{name}: cannot be made with arguments {arguments} ({shown_error(error)})"
            ) from error
    if not isinstance(model, nn.Module):
        raise InputError(f"{shown}: makes a {type(model).__name__}, expected a torch.nn.Module")
    stated_threshold(shown, model)
    check_switches(shown, model)
    return model


def made_network(
    name: str | None,
    known: DataFormat | None,
    *,
    weights: str | None = None,
    state_dict_key: str | None = None,
    arguments: Mapping[str, Any] | None = None,
    program: str | None = None,
    **rest: str,
) -> tuple[str, nn.Module]:
    """What messages call a network, and the network: of `class` with its `arguments`, or of the file of a program.

    name: of the model in its config; known: what its images are, None if that is not known
    weights, state_dict_key: the state dict of a class, as `load_weights` takes them; a function may do without, since
        what it returns may have its weights
    program: a file as `load_program` takes it, in place of a class
    Raises InputError if any of it fails.
    """
    if program is not None:
        shown = f"{name} ({Path(program).name})" if name else program
        model = load_program(program, known)
        check_switches(shown, model)
        return shown, model
    named = rest["class"]
    shown = f"{name} ({named})" if name else named
    model = made_module(shown, named, arguments)
    if weights is not None:
        load_weights(Path(weights), model, key=state_dict_key)
    elif inspect.isclass(resolve(named)) and any(True for _ in model.parameters()):
        raise InputError(
            f"{shown}: is a class, whose weights are random where none are named; name its state dict under weights, "
            "or under class a function that returns the network with its weights"
        )
    return shown, model
