"""Read and write weights without ever unpickling, and check them against the module they are for."""

import io
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from absynth.errors import InputError
from absynth.io.atomic import write_bytes


def save_weights(path: str | Path, module: nn.Module) -> None:
    """Write a plain state dict, on the CPU, atomically."""
    state = {name: value.detach().cpu().contiguous() for name, value in module.state_dict().items()}
    save_state(path, state)


def save_state(path: str | Path, state: Mapping[str, Any]) -> None:
    """Write what torch.save takes, atomically; from memory, since torch hides why a disk refuses."""
    memory = io.BytesIO()
    torch.save(state, memory)
    write_bytes(path, memory.getvalue())


def read_state(path: str | Path) -> dict[str, Tensor]:
    """Read a state dict (.safetensors, or a file that torch.load(weights_only=True) accepts).

    Raises InputError if the file is missing, damaged, holds pickled objects or anything but named tensors.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such weights file")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        check_zip(path)
        state = torch.load(path, weights_only=True, map_location="cpu")
    except pickle.UnpicklingError as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path}: not a plain state dict and therefore not read ({reason})") from None
    except (RuntimeError, EOFError, ValueError, OSError, KeyError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: damaged weights file ({error})") from None
    except Exception as error:  # safetensors raises its own type, which must not be imported needlessly
        raise InputError(f"{path}: unreadable weights file ({type(error).__name__}: {error})") from None
    named = isinstance(state, dict) and all(isinstance(name, str) for name in state)
    if not named or not all(isinstance(value, Tensor) for value in state.values()):
        raise InputError(f"{path}: expected a dict of named tensors, found {type(state).__name__}")
    return dict(state)


def check_zip(path: str | Path) -> None:
    """Raise BadZipFile unless the checksums in a file of torch.save are right: torch.load ignores them.

    Files of torch before 1.6 are no archives and have none.
    """
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        if damaged:
            raise zipfile.BadZipFile(f"the checksum of {damaged} is another")


def load_weights(path: str | Path, module: nn.Module) -> None:
    """Load `path` into `module`.

    Raises InputError naming the first missing, unknown or misshapen tensor, or a non-finite one.
    """
    state = read_state(path)
    expected = module.state_dict()
    optional = {name for name in expected if name.endswith("num_batches_tracked")}
    missing = sorted(set(expected) - set(state) - optional)
    unknown = sorted(set(state) - set(expected))
    if missing:
        raise InputError(
            f"{path}: lacks {missing[0]!r} (and {len(missing) - 1} more of {len(expected)} tensors)"
        )
    if unknown:
        raise InputError(f"{path}: has {unknown[0]!r}, which {type(module).__name__} does not know")
    for name, value in state.items():
        if value.shape != expected[name].shape:
            found, wanted = tuple(value.shape), tuple(expected[name].shape)
            raise InputError(f"{path}: {name!r} has shape {found}, expected {wanted}")
        if not torch.isfinite(value).all():
            raise InputError(f"{path}: {name!r} holds values that are not finite")
    module.load_state_dict(state, strict=False)
