"""Read and write weights without ever unpickling, and check them against the module they are for."""

import io
import pickle
import re
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from absynth.errors import InputError
from absynth.io.atomic import write_bytes
from absynth.io.opening import BROUGHT, opening

_EXTRA = "_extra_state"  # the last part of a name, of what `torch.nn.Module.get_extra_state` returns
_WRAPPERS = ("module.", "_orig_mod.")  # of DataParallel and DistributedDataParallel, and of torch.compile


def save_weights(path: str | Path, module: nn.Module) -> None:
    """Write a plain state dict, on the CPU, atomically."""
    state = {name: value.detach().cpu().contiguous() for name, value in module.state_dict().items()}
    save_state(path, state)


def save_state(path: str | Path, state: Mapping[str, Any]) -> None:
    """Write what torch.save takes, atomically; from memory, since torch hides why a disk refuses."""
    memory = io.BytesIO()
    torch.save(state, memory)
    write_bytes(path, memory.getvalue())


def read_state(path: str | Path, key: str | None = None, *, damaged: str = BROUGHT) -> dict[str, Tensor]:
    """Read a state dict (.safetensors, or a file that torch.load(weights_only=True) accepts).

    key: where the state dict lies within a file that holds more, "state_dict" or "ema.model" say
    damaged: what to do about a damaged file: `MADE` or `BROUGHT` of `absynth.io.opening`
    Raises InputError if the file is missing, cannot be opened, is damaged, holds pickled objects, or holds anything
    but named tensors there; then with the keys under which it holds some.
    """
    content = _read(Path(path), damaged)
    state = _at_key(path, content, key) if key else content
    if _is_state(state):
        return dict(state)
    where = f"{path}: {key!r}" if key else f"{path}:"
    if _is_mostly_state(state) and (key or not _state_keys(content)):
        raise InputError(f"{where} {_odd_entry(state)}")
    raise InputError(f"{where} expected a dict of named tensors, found {_shown(state)}{_hint(content, key)}")


def _read(path: Path, damaged: str) -> Any:
    """What a weights file holds."""
    try:
        with opening(path, "no such weights file"):
            with path.open("rb") as file:  # safetensors hides why the system refuses a file
                file.read(1)
            if path.suffix == ".safetensors":
                from safetensors.torch import load_file

                return load_file(path)
            check_zip(path)
            if "constants.pkl" in archived(path):
                raise InputError(
                    f"{path}: is a TorchScript program, not a state dict; name it under program, in place of "
                    "class and weights"
                )
            return torch.load(path, weights_only=True, map_location="cpu")
    except InputError:
        raise
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{path}: not a plain state dict and therefore not read: it holds {_pickled(error)}, "
            "and loading those can run any code; save model.state_dict() alone, with torch.save"
        ) from None
    except (RuntimeError, EOFError, ValueError, OSError, KeyError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: damaged weights file ({_one_line(error)}); {damaged}") from None
    except Exception as error:  # safetensors raises its own type, which must not be imported needlessly
        found = f"{type(error).__name__}: {_one_line(error)}"
        raise InputError(f"{path}: unreadable weights file ({found}); {damaged}") from None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _pickled(error: pickle.UnpicklingError) -> str:
    """What torch refused to unpickle, as far as its message tells."""
    found = re.search(r"GLOBAL (\S+)", str(error))
    return f"pickled objects ({found[1]})" if found else "pickled objects"


def _is_state(content: Any) -> bool:
    named = isinstance(content, Mapping) and all(isinstance(name, str) for name in content)
    return named and all(isinstance(value, Tensor) for value in content.values())


def _is_mostly_state(content: Any) -> bool:
    """Whether something is a state dict but for some entries, such as what a module adds as its extra state."""
    if not isinstance(content, Mapping) or not all(isinstance(name, str) for name in content):
        return False
    tensors = sum(isinstance(value, Tensor) for value in content.values())
    return tensors > 0 and 2 * tensors >= len(content)


def _odd_entry(state: Mapping[str, Any]) -> str:
    """The first entry of a state dict that is no tensor, in words, and what to do."""
    name, value = next((name, value) for name, value in state.items() if not isinstance(value, Tensor))
    found = f"the entry {name!r} holds a {type(value).__name__}, expected tensors alone"
    if any("_packed_params" in other for other in state):
        return f"{found}; that is a quantised model: save the state dict of the model before it was quantised"
    return (
        f"{found}; leave it out: torch.save({{k: v for k, v in state.items() if torch.is_tensor(v)}}, path)"
    )


def _at_key(path: str | Path, content: Any, key: str) -> Any:
    """What a file holds under a dotted key. Raises InputError if it holds nothing there."""
    for part in key.split("."):
        if not isinstance(content, Mapping) or part not in content:
            raise InputError(f"{path}: has nothing under state_dict_key {key!r}{_hint(content, None)}")
        content = content[part]
    return content


def _shown(content: Any) -> str:
    if isinstance(content, Mapping):
        return "an empty dict" if not content else f"a dict with {', '.join(map(repr, list(content)[:8]))}"
    return type(content).__name__


def _hint(content: Any, key: str | None) -> str:
    """Under which keys a file holds state dicts, in words; nothing if it was asked for one of them."""
    keys = [] if key else _state_keys(content)
    return f"; write state_dict_key: {' or '.join(keys)}" if keys else ""


def _state_keys(content: Any, prefix: str = "", depth: int = 3) -> list[str]:
    """The dotted keys at which nested dicts hold state dicts."""
    if not isinstance(content, Mapping) or not depth:
        return []
    keys = []
    for name, value in content.items():
        if name == _EXTRA or str(name).endswith(f".{_EXTRA}"):
            continue
        if (_is_state(value) and len(value)) or _is_mostly_state(value):
            keys.append(f"{prefix}{name}")
        else:
            keys += _state_keys(value, f"{prefix}{name}.", depth - 1)
    return keys


def archived(path: str | Path) -> set[str]:
    """The names of the files in an archive of torch, without its first folder; none of what is no archive."""
    if not zipfile.is_zipfile(path):
        return set()
    with zipfile.ZipFile(path) as archive:
        return {name.partition("/")[2] for name in archive.namelist()}


def check_zip(path: str | Path) -> None:
    """Raise BadZipFile unless the checksums in a file of torch.save are right: torch.load ignores them.

    Files of torch before 1.6 are no archives and have none.
    """
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        if damaged:
            raise zipfile.BadZipFile(f"the checksum of {damaged} is another")


def load_weights(
    path: str | Path, module: nn.Module, *, key: str | None = None, damaged: str = BROUGHT
) -> None:
    """Load the state dict in `path` into `module`.

    Prefixes that wrappers add to all names ("module." by DataParallel, "_orig_mod." by torch.compile) are taken off.
    Values are converted to the dtype of the module.

    key, damaged: where the state dict lies within the file, and what to do about damage, as in `read_state`
    What a module adds to its state dict that is no tensor (`get_extra_state`) may be missing; it then keeps its own.
    Raises InputError naming the first missing, unknown or misshapen tensor, or a non-finite one.
    """
    expected = module.state_dict()
    state = _without_prefixes(read_state(path, key, damaged=damaged), expected)
    optional = {name for name in expected if name.endswith("num_batches_tracked")}
    optional |= {name for name, value in expected.items() if not isinstance(value, Tensor)}
    missing = sorted(set(expected) - set(state) - optional)
    unknown = sorted(set(state) - set(expected))
    if missing:
        more = f" (and {len(missing) - 1} more of {len(expected)} tensors)"
        raise InputError(f"{path}: lacks {missing[0]!r}{more}{_found_instead(unknown)}")
    if unknown:
        raise InputError(f"{path}: has {unknown[0]!r}, which {type(module).__name__} does not know")
    for name, value in state.items():
        _check_tensor(f"{path}: {name!r}", value, expected[name])
    try:
        module.load_state_dict(state, strict=False)
    except (RuntimeError, NotImplementedError) as error:  # a layout that cannot be copied to another, say
        raise InputError(f"{path}: does not fit {type(module).__name__} ({_one_line(error)})") from error


def _check_tensor(name: str, value: Tensor, wanted: Any) -> None:
    """Raise InputError unless a tensor of a state dict has the shape of the module's own and is finite."""
    if isinstance(wanted, Tensor) and not is_lazy(wanted):
        if wanted.is_meta:
            raise InputError(
                f"{name}: the model's own lies on the device meta, which holds no values; make it on the CPU"
            )
        if value.shape != wanted.shape:
            raise InputError(f"{name} has shape {tuple(value.shape)}, expected {tuple(wanted.shape)}")
    try:
        finite = bool(torch.isfinite(_plain(value)).all())
    except (RuntimeError, NotImplementedError) as error:
        raise InputError(
            f"{name}: a tensor of {value.dtype} and {value.layout} is not read ({_one_line(error)}); "
            "save it as an ordinary tensor, and let the model convert it"
        ) from error
    if not finite:
        raise InputError(f"{name} holds values that are not finite")


def _plain(value: Tensor) -> Tensor:
    """The values of a sparse, quantised or 8-bit floating tensor as those of an ordinary one, in whatever shape."""
    if value.is_quantized:
        value = value.dequantize()
    if value.layout is torch.sparse_coo:
        value = value.coalesce()
    if value.layout is not torch.strided:
        value = value.values()
    return value.float() if value.is_floating_point() and value.element_size() == 1 else value


def _without_prefixes(state: dict[str, Tensor], expected: Mapping[str, Any]) -> dict[str, Tensor]:
    """The state dict as its module was named before wrappers prefixed every name."""
    while state and not set(state) & set(expected):
        prefix = next((p for p in _WRAPPERS if all(name.startswith(p) for name in state)), None)
        if prefix is None:
            break
        state = {name.removeprefix(prefix): value for name, value in state.items()}
    return state


def _found_instead(unknown: Sequence[str]) -> str:
    return f"; it has {unknown[0]!r}, which the model does not know" if unknown else ""
