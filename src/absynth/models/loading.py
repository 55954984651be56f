"""Load a model of a finished run, inside the workflow or in a user's own code."""

from pathlib import Path

from torch import nn

from absynth.errors import InputError
from absynth.models.base import with_inference
from absynth.models.building import build
from absynth.models.calibration_file import read_calibration


def load_model(run: str | Path, name: str, *, device: str = "cpu", inference: str | None = None) -> nn.Module:
    """The model `name` of the run in folder `run` as a module from images to logits.

    It takes images (n, c, h, w) float in [0, 1] and returns logits (n, K) that are differentiable with
    respect to the images; its own parameters are frozen.

    inference: for ABS and Binary ABS, "fast" (if left out) or "reference"
    Raises InputError if the run has no such calibrated model, or a file is missing or damaged.
    """
    path = Path(run) / "models" / name / "calibration.json"
    if not path.is_file():
        there = sorted(file.parent.name for file in Path(run).glob("models/*/calibration.json"))
        raise InputError(f"{run} has no calibrated model {name!r}; it has {', '.join(there) or 'none'}")
    model = build(read_calibration(path, "model")["model"], run).to(device)
    return with_inference(model, inference) if inference else model
