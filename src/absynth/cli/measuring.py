"""Measure the models of a run that is planned: what they take to answer, on the device that jobs would use."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from absynth.cli.model_speed import Speed, measure
from absynth.data.format import DataFormat
from absynth.data.places import DOWNLOADS
from absynth.data.split_files import read_format, read_split
from absynth.data.splits import format_of, load_dataset
from absynth.errors import InputError
from absynth.models.building import build
from absynth.workflow.outputs import Outputs
from absynth.workflow.plan import Plan

_PLACES = {"cpu": "the CPU", "cuda": "the GPU"}
_LARGEST = 100  # images of a batch that is timed; larger ones are taken to cost in proportion


@dataclass(frozen=True)
class Measurements:
    """speeds: of the models that could be built, by the size of a batch; notes: lines on what was measured."""

    speeds: dict[str, Callable[[int], Speed]]
    values: int
    n_test: int
    device: str
    notes: list[str]

    @property
    def unit(self) -> str:
        """What is estimated."""
        return "CPU time" if self.device == "cpu" else "time, attacks on the GPU"


def measured(plan: Plan, results: Path) -> Measurements:
    """Measure each model of the plan whose weights are there and that answers images directly.

    results: the run's folder, whose test images are taken if it has them
    Raises InputError for data that cannot be read, and for models that cannot be built or do not answer.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.set_num_threads(plan.config["threads"]["attack"])
    images, about, n_test = _images(plan, results)
    speeds: dict[str, Callable[[int], Speed]] = {}
    notes = []
    for name, model in plan.models.items():
        if model.kind.latents or not _there(plan, name):
            continue
        known = {"shape": list(about.shape), "n_classes": about.n_classes}
        spec = {**plan.model_spec(name), "calibration": None, "format": known}
        built = build(spec, results).to(device)
        speeds[name] = _speed(built, images.to(device), model.gradients)
        one = _first(name, speeds[name], min(_LARGEST, plan.config["n_samples"]))
        n = min(_LARGEST, plan.config["n_samples"])
        notes.append(
            f"Measured here: {name} takes {1000 * one.forward / n:.2g} ms an image to answer and "
            f"{1000 * one.backward / n:.2g} ms more for a gradient, in batches of {n}, on {_PLACES[device.type]}."
        )
    return Measurements(speeds, images[0].numel(), n_test, device.type, notes)


def _first(name: str, speed: Callable[[int], Speed], n: int) -> Speed:
    """The speed for a batch of n images. InputError, with the model's name, if it fails or lacks gradients."""
    try:
        return speed(n)
    except InputError as error:
        raise InputError(
            f"model {name}: {error}; if it has none, say so: gradients: false in its config entry, which is "
            "--model-keys gradients=false on the command line"
        ) from None
    except Exception as error:  # whatever a user's own network raises
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"model {name}: fails on the test images ({type(error).__name__}: {reason})"
        ) from None


def _there(plan: Plan, name: str) -> bool:
    """Whether all files are there that building a model reads."""
    return all(Path(path).is_file() for path in Outputs(plan).uncalibrated_model_files(name))


def _images(plan: Plan, results: Path) -> tuple[Tensor, DataFormat, int]:
    """Up to a hundred test images (n, C, H, W), what they are, and how many there are.

    Of a data set that is published and not here, grey noise of its shape.
    """
    prepared = results / "data" / "test.h5"
    dataset = plan.dataset
    if prepared.is_file():
        images, labels = read_split(prepared)
        return torch.from_numpy(images[:_LARGEST]), read_format(prepared), len(labels)
    if dataset.format and dataset.n_test:
        noise = torch.rand(_LARGEST, *dataset.format.shape, generator=torch.Generator().manual_seed(0))
        return noise, dataset.format, dataset.n_test
    splits = load_dataset(dataset, plan.config["data_dir"], DOWNLOADS)
    test: Any = splits[2]
    test = test[:, None] if test.ndim == 3 else test
    scaled = test[:_LARGEST].astype(np.float32) / (1 if test.dtype == np.float32 else 255)
    return torch.from_numpy(scaled), format_of(dataset, splits), len(test)


def _speed(model: nn.Module, images: Tensor, gradients: bool) -> Callable[[int], Speed]:
    """The speed of a model by the size of a batch, measured once for each size up to a hundred."""

    @cache
    def timed(size: int) -> Speed:
        batch = images.repeat(-(-size // len(images)), 1, 1, 1)[:size]
        return measure(model, batch, gradients=gradients)

    def speed(size: int) -> Speed:
        one = timed(min(size, _LARGEST))
        factor = max(1.0, size / _LARGEST)
        return Speed(factor * one.forward, factor * one.backward)

    return speed
