"""Networks that are files by themselves: programs of TorchScript and of torch.export.

A program is code, as a class is: torch asks to load only those of sources that are trusted. Of these files nothing is
unpickled by Python, but what is in them is run.
"""

import os
import warnings
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from absynth.data.format import DataFormat
from absynth.errors import InputError
from absynth.io.opening import BROUGHT, NotOpenedError, opening
from absynth.models.registry import EXPORTED, SCRIPTS
from absynth.models.weights import archived, check_zip

_SAFE = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"  # what torch.load then does, whatever its caller asks for

_UNGUARDED = 2  # least number of images up to which torch.export checks none, and one image is answered too


class ScriptProgram(nn.Module):
    """A TorchScript module, run as it is written: optimised by what it was asked before, its answers would change."""

    def __init__(self, program: nn.Module):
        super().__init__()
        self.program = program

    def forward(self, x: Tensor) -> Any:
        with torch.jit.optimized_execution(False):  # type: ignore[attr-defined]
            return self.program(x)


class ExportedProgram(nn.Module):
    """The module of a program of torch.export, which has its mode baked in and refuses to switch."""

    def __init__(self, program: nn.Module):
        super().__init__()
        for part in program.modules():
            part.training = False
        program.train = lambda mode=True: program  # type: ignore[method-assign]
        program.eval = lambda: program  # type: ignore[method-assign]
        self.program = program

    def forward(self, x: Tensor) -> Any:
        return self.program(x)


def load_program(path: str | os.PathLike[str], known: DataFormat | None = None) -> nn.Module:
    """The network in a file, from images (n, C, H, W) to whatever it answers; on the CPU.

    path: .pt, .pth or .ts of torch.jit.save; .pt2 of torch.export.save
    known: what the images are, None if that is not known
    Raises InputError, naming the file, if it is missing, damaged, of another kind, would have to be unpickled, or is
    an exported program that does not take any number of such images.
    """
    path = Path(path)
    readers: dict[str, Callable[[Path], nn.Module]] = {
        **dict.fromkeys(SCRIPTS, _read_script),
        **dict.fromkeys(EXPORTED, lambda path: _read_exported(path, known)),
    }
    if path.suffix == ".onnx":
        raise InputError(
            f"{path}: ONNX files are not read; name a function that converts it, such as class: onnx2torch:convert "
            f"with arguments: {{onnx_model_or_path: {path.name}}}"
        )
    if path.suffix not in readers:
        raise InputError(f"{path}: allowed are {', '.join(readers)}, of TorchScript and torch.export")
    try:
        with opening(path, "no such file of a program"):
            with path.open("rb") as file:
                file.read(1)
            check_zip(path)
            return readers[path.suffix](path)
    except (NotOpenedError, InputError):
        raise
    except zipfile.BadZipFile as error:
        raise InputError(f"{path}: damaged program ({error}); {BROUGHT}") from None


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]


def _read_script(path: Path) -> nn.Module:
    if "constants.pkl" not in archived(path):
        raise InputError(
            f"{path}: is no TorchScript program; save one with torch.jit.save, or, if it is a state dict, name its "
            "class under `class` and the file under `weights`"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            return ScriptProgram(torch.jit.load(path, map_location="cpu"))
    except RuntimeError as error:
        raise InputError(f"{path}: cannot be loaded as TorchScript ({_one_line(error)})") from None


def _read_exported(path: Path, known: DataFormat | None) -> nn.Module:
    try:
        with _nothing_unpickled():
            program = torch.export.load(path)
        _check_input(path, program, known)
        return ExportedProgram(program.module())
    except InputError:
        raise
    except Exception as error:  # torch has no type of its own for it
        raise InputError(
            f"{path}: cannot be loaded as a program of torch.export, without unpickling ({_one_line(error)}); save "
            "it with torch.export.save and a torch no newer than this one"
        ) from None


@contextmanager
def _nothing_unpickled() -> Iterator[None]:
    """Let torch.load take tensors alone, though torch.export.load asks it to unpickle what it cannot read so."""
    before = os.environ.get(_SAFE)
    os.environ[_SAFE] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_SAFE]
        else:
            os.environ[_SAFE] = before


def _check_input(path: Path, program: torch.export.ExportedProgram, known: DataFormat | None) -> None:
    """Raise InputError unless a program takes one batch of any number of images, of the data set's shape."""
    named = program.graph_signature.user_inputs
    inputs = [
        node.meta["val"] for node in program.graph.nodes if node.op == "placeholder" and node.name in named
    ]
    if len(inputs) != 1 or not isinstance(inputs[0], Tensor) or inputs[0].ndim != 4:
        raise InputError(f"{path}: takes {len(inputs)} inputs, allowed is one batch of images (n, C, H, W)")
    batch, *shape = inputs[0].shape
    found = _limit(batch, program)
    if found:
        raise InputError(
            f"{path}: takes {found} images at a time; export it for any number, with "
            "torch.export.export(model, (images,), dynamic_shapes=({0: torch.export.Dim('n')},))"
        )
    if known and all(isinstance(size, int) for size in shape) and tuple(shape) != known.shape:
        raise InputError(f"{path}: takes images {_shown(shape)}, and the data set has {_shown(known.shape)}")


def _limit(batch: Any, program: torch.export.ExportedProgram) -> str | None:
    """How many images a program takes, such as "at most 50", None if any number."""
    if isinstance(batch, int):
        return f"exactly {batch}"
    allowed = program.range_constraints.get(batch.node.expr)
    if allowed is None:
        return None
    if getattr(allowed.upper, "is_Integer", False):  # not infinity
        return f"at most {allowed.upper}"
    return f"at least {allowed.lower}" if allowed.lower > _UNGUARDED else None


def _shown(shape: Sequence[int]) -> str:
    return "×".join(map(str, shape))
