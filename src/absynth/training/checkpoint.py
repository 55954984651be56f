"""Training epoch by epoch, resumed after an interruption from checkpoints, and the curve that it returns."""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from absynth.errors import InputError
from absynth.io.log import LOGGER, progress_bar
from absynth.io.opening import NotOpenedError, opening
from absynth.models.weights import check_zip, save_state

Module = TypeVar("Module", bound=nn.Module)


@dataclass
class Training:
    """The state of a training: everything that the next epoch depends on.

    settings: identify the training; a checkpoint of other settings is not resumed
    epoch: the number of epochs done; curve: one row for each of them
    """

    module: nn.Module
    optimizer: Optimizer
    generator: torch.Generator
    settings: dict[str, Any]
    epoch: int = 0
    curve: list[dict[str, float]] = field(default_factory=list)

    def save(self, path: Path) -> None:
        """Write the state atomically."""
        state = {
            "module": self.module.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "settings": self.settings,
            "epoch": self.epoch,
            "curve": self.curve,
        }
        save_state(path, state)

    def resume(self, path: Path) -> None:
        """Resume from `path` if it holds a training with these settings; otherwise start from the beginning.

        Raises InputError if the checkpoint has the same settings but does not fit the module, or cannot be opened.
        """
        if not os.path.lexists(path):
            return
        try:
            with opening(path):
                check_zip(path)
                state = torch.load(path, weights_only=True, map_location="cpu")
            same = state["settings"] == self.settings
        except NotOpenedError:
            raise
        except Exception as error:  # a damaged file can make the reader raise anything
            LOGGER.warning("%s: unreadable checkpoint ignored (%s)", path, " ".join(str(error).split()))
            return
        if not same:
            LOGGER.warning("%s: checkpoint of other settings ignored", path)
            return
        try:
            self.module.load_state_dict(state["module"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.generator.set_state(state["generator"])
            self.epoch, self.curve = state["epoch"], state["curve"]
        except (RuntimeError, ValueError, KeyError) as error:
            reason = " ".join(str(error).split())
            raise InputError(
                f"{path}: does not fit the model; delete it to start afresh ({reason})"
            ) from None
        LOGGER.info("resumed from %s after epoch %d", path, self.epoch)


def digest(module: nn.Module, *data: Tensor) -> str:
    """The SHA-256 of what a training begins with: a module's state and tensors."""
    found = hashlib.sha256()
    for value in [*module.state_dict().values(), *data]:
        found.update(f"{value.dtype} {tuple(value.shape)}".encode())
        found.update(value.detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()


def to_device(module: Module, device: torch.device) -> Module:
    """Move a module to a device, with its weights in channels-last order, in which convolutions are faster."""
    return module.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's is untyped


def fit(
    training: Training,
    run_epoch: Callable[[int], dict[str, float]],
    *,
    epochs: int,
    checkpoint: str | Path | None,
) -> list[dict[str, float]]:
    """Run the remaining epochs, log and checkpoint each, and return the curve, one row per epoch.

    run_epoch: trains the epoch of a given number, from 0, and returns its row of the curve
    checkpoint: file of the state after the last epoch (outside a rule's outputs, which are deleted when a job fails)
    """
    if checkpoint:
        training.resume(Path(checkpoint))
    for epoch in progress_bar(range(training.epoch, epochs), "epochs"):
        row = {"epoch": epoch + 1, **run_epoch(epoch)}
        training.curve.append(row)
        training.epoch = epoch + 1
        LOGGER.info(" ".join(f"{name} {value:.6g}" for name, value in row.items()))
        if checkpoint:
            training.save(Path(checkpoint))
    training.module.eval()
    return training.curve
