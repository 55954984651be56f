"""Load a model of a finished run, inside the workflow or in a user's own code."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from absynth.errors import InputError
from absynth.io.log import LOGGER
from absynth.models.base import INFERENCES, with_inference
from absynth.models.building import build
from absynth.models.calibration_file import read_calibration
from absynth.models.kept import MANIFEST, kept_spec, lacking

_NO_COPY = f"run the workflow again, which makes {MANIFEST}, or load it where its class and its files are"


def load_model(run: str | Path, name: str, *, device: str = "cpu", inference: str | None = None) -> nn.Module:
    """The model `name` of the run in folder `run` as a module from images to logits.

    It takes images (n, c, h, w) float in [0, 1] and returns logits (n, K) that are differentiable with
    respect to the images; its own parameters are frozen.

    inference: for ABS and Binary ABS, "fast" (if left out) or "reference"
    A user's own model is built from what the run keeps of it, whose code is executed: only of runs that you trust.
    Where a run keeps nothing of it, whatever is found here under its name is used, and the log says so.
    Raises InputError if the run has no such calibrated model, if a file is missing or damaged, and for a device that
    is not there.
    """
    if inference is not None and inference not in INFERENCES:
        raise InputError(f"unknown inference {inference!r}; there are {' and '.join(INFERENCES)}")
    _check_device(device)
    path = Path(run) / "models" / name / "calibration.json"
    if not path.is_file():
        there = sorted(file.parent.name for file in Path(run).glob("models/*/calibration.json"))
        raise InputError(f"{run} has no calibrated model {name!r}; it has {', '.join(there) or 'none'}")
    model = _build(read_calibration(path, "model")["model"], path.parent, Path(run)).to(device)
    return with_inference(model, inference) if inference else model


def _check_device(device: str) -> None:
    """Refuse a device that torch does not know, or cannot use here."""
    try:
        torch.empty(0, device=device)
    except Exception as error:  # of several types: AssertionError, say, where torch was built without CUDA
        reason = str(error).partition("\n")[0]
        raise InputError(
            f"device: found {device!r}, which cannot be used here ({reason}); allowed are cpu and, where torch sees "
            "a GPU, cuda"
        ) from None


def _build(spec: Mapping[str, Any], folder: Path, run: Path) -> nn.Module:
    """Build a model whose files lie in `folder` of a run; a user's own from what is kept of it, if anything is."""
    if not {"class", "program"} & spec.get("options", {}).keys():
        return build(spec, run)
    kept = (folder / MANIFEST).is_file()
    try:
        model = build(kept_spec(folder, spec) if kept else spec, run)
    except InputError as error:
        reason = lacking(folder) if kept else f"{folder} keeps no copy of it; {_NO_COPY}"
        raise InputError(f"{error}; {reason}" if reason else str(error)) from error
    if not kept:
        LOGGER.warning(
            "%s keeps no copy of the model, which is built from what is found here; %s", folder, _NO_COPY
        )
    return model
