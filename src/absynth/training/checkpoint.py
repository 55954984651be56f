"""Epoch-wise training that survives a kill, and the curve it leaves."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn
from torch.optim import Optimizer

from absynth.errors import InputError
from absynth.io.log import LOGGER, progress_bar
from absynth.models.weights import check_zip, save_state


@dataclass
class Training:
    """What a training consists of and how far it has come.

    settings identify it: a checkpoint of other settings is not continued.
    """

    module: nn.Module
    optimizer: Optimizer
    generator: torch.Generator
    settings: dict
    epoch: int = 0
    curve: list[dict[str, float]] = field(default_factory=list)

    def save(self, path: Path) -> None:
        """Write everything that the next epoch needs, atomically."""
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
        """Continue from `path` if it holds a training with these settings.

        Raises InputError if the checkpoint claims the same settings but does not fit the module.
        """
        if not path.is_file():
            return
        try:
            check_zip(path)
            state = torch.load(path, weights_only=True, map_location="cpu")
            same = state["settings"] == self.settings
        except Exception as error:  # whatever a damaged file makes the reader raise
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


def fit(
    training: Training,
    run_epoch: Callable[[int], dict[str, float]],
    *,
    epochs: int,
    checkpoint: str | Path | None,
) -> list[dict[str, float]]:
    """Run the remaining epochs, logging and checkpointing each; return the curve, one row per epoch.

    run_epoch: takes the epoch's number, trains it and returns its figures, loss among them
    checkpoint: where the state after each epoch is kept (outside a rule's outputs), or None
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
