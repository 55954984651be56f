"""A model at hand, images and labels, as the user has them: checked, and made what attacks are run on."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from absynth.data.format import DataFormat
from absynth.errors import InputError
from absynth.evaluation.probe_checks import Inputs, ask, check_batches, check_repeats
from absynth.evaluation.probe_checks import Subject as Probed
from absynth.io.spelling import nearest
from absynth.models.abs.model import ABS
from absynth.models.base import input_threshold
from absynth.models.checks import check_images
from absynth.models.custom import Custom
from absynth.models.making import check_switches
from absynth.models.nearest_neighbor import NearestNeighbor
from absynth.models.prototypes import PrototypeABS
from absynth.norms import NORMS
from absynth.workflow.devices import full_precision

Model = nn.Module | Callable[[Tensor], Tensor]
Array = Any  # a tensor, a NumPy array, or what NumPy makes one of
_ASKED = 8  # images that a model is asked again, and in smaller batches


@dataclass(frozen=True)
class Subject:
    """What is attacked.

    model: from images to logits, guarded as the workflow guards a user's own model
    entry: what a config would say of it (`absynth.workflow.at_hand.plan_at_hand`)
    x (n, C, H, W) float32 in [0, 1], y (n,) int64: on the device of the model
    device: that on which the user has the images
    """

    model: nn.Module
    entry: Mapping[str, Any]
    x: Tensor
    y: Tensor
    device: torch.device


class _Function(nn.Module):
    """A function from images to logits, as a module."""

    def __init__(self, function: Callable[[Tensor], Tensor]):
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def check_norm(norm: Any, key: str) -> None:
    """Raise InputError, naming the argument `key`, unless this is the name of a norm."""
    if not isinstance(norm, str) or norm not in NORMS:
        close = nearest(str(norm), NORMS)
        meant = f"did you mean {close!r}? " if close else ""
        raise InputError(f"{key}: found {norm!r}; {meant}allowed are {', '.join(NORMS)}")


@contextmanager
def subject(model: Model, x: Array, y: Array) -> Iterator[Subject]:
    """Make a model, images and labels ready; within, the model is in evaluation mode and its parameters are frozen.

    In the end modes and parameters are as they were. On CUDA it computes in full float32, as jobs of the workflow.
    Raises InputError for images that are not (n, C, H, W) floats in [0, 1], labels that are not (n,) classes of the
    model, and a model that fails on an image, does not answer with logits, or answers otherwise when asked again or
    in another batch.
    """
    if isinstance(model, type):
        raise InputError(
            f"model: found the class {model.__name__}, expected an instance, {model.__name__}(…)"
        )
    if not callable(model):
        raise InputError(
            f"model: found {type(model).__name__}, expected a torch.nn.Module or a function giving logits"
        )
    module = model if isinstance(model, nn.Module) else _Function(model)
    images = _images(x)
    labels = _labels(y, len(images))
    first = next(chain(module.parameters(), module.buffers()), images)
    exact = full_precision() if first.is_cuda else nullcontext()
    with evaluating(module), exact:
        placed = images.to(first.device, torch.float32)
        name = getattr(model, "__name__", type(model).__name__)
        try:
            guarded, entry = _guarded(module, name, placed[:1], labels)
            if isinstance(guarded, Custom):
                _check_answers(guarded, placed[:_ASKED])
            yield Subject(guarded, entry, placed, labels.to(first.device), images.device)
        except InputError as error:
            said = str(error).removeprefix("probe: ")
            error.args = (said.replace("in its config entry", "in its entry of a run's config"),)
            raise


def _images(x: Array) -> Tensor:
    images = _tensor(x, "x", "images (n, channels, rows, columns)")
    if images.dtype == torch.uint8:
        raise InputError("x: images are integers from 0 to 255; divide them by 255")
    check_images(images, None)
    if not len(images):
        raise InputError(f"x: there is no image, shape {tuple(images.shape)}")
    return images


def _tensor(given: Array, key: str, expected: str) -> Tensor:
    if isinstance(given, Tensor):
        return given.detach()
    try:
        return torch.from_numpy(np.array(given))
    except (TypeError, ValueError) as error:
        what = type(given).__name__
        raise InputError(f"{key}: found a {what} that is no array of numbers, expected {expected}") from error


def _labels(y: Array, n: int) -> Tensor:
    labels = _tensor(y, "y", "labels (n,)")
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise InputError(f"y: labels have dtype {labels.dtype}, expected integers")
    if tuple(labels.shape) != (n,):
        raise InputError(f"y: labels have shape {tuple(labels.shape)}, expected ({n},), one for each image")
    return labels.long()


def _guarded(module: nn.Module, name: str, image: Tensor, labels: Tensor) -> tuple[nn.Module, dict[str, Any]]:
    """The module as attacks ask it, and what a config would say of it, from its answer to one image (1, C, H, W)."""
    known = _known_kind(module)
    own = type(module).__module__.partition(".")[0] == "absynth" and not isinstance(module, _Function)
    asked = module if own else Custom(name, module)
    with torch.enable_grad():
        logits = asked(image.clone().requires_grad_())
    _, channels, height, width = image.shape
    found = DataFormat((channels, height, width), logits.shape[1])
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= found.n_classes:
        raise InputError(
            f"y: found label {low if low < 0 else high}, allowed are the classes 0 to {found.n_classes - 1} of {name}"
        )
    if known:
        return module, {"kind": known}
    entry = {"gradients": logits.requires_grad, "binarises": input_threshold(module) is not None}
    return module if own else Custom(name, module, format=found), entry


def _check_answers(model: Custom, images: Tensor) -> None:
    """Refuse, as the probe of a run does, a model that answers otherwise when asked again, or in another batch."""
    asked = Probed(model.name, model)
    inputs = Inputs(images, tuple(f"image {i}" for i in range(len(images))))
    with torch.random.fork_rng(devices=[images.device] if images.is_cuda else []), torch.no_grad():
        logits = ask(asked, inputs, images)
        check_repeats(asked, inputs, logits)
        check_batches(asked, inputs, logits)


def _known_kind(module: nn.Module) -> str | None:
    """The kind of a model of this project that offers more than logits: latents, or lower bounds."""
    if isinstance(module, ABS):
        return "abs" if input_threshold(module) is None else "binary_abs"
    kinds = {NearestNeighbor: "nearest_neighbor", PrototypeABS: "prototype_abs"}
    return next((kind for known, kind in kinds.items() if isinstance(module, known)), None)


def _switch(module: nn.Module) -> None:
    """Put a module in evaluation mode; one of torch.export has its mode baked in, and refuses to switch."""
    try:
        check_switches(type(module).__name__, module)
    except InputError as error:
        if not isinstance(error.__cause__, NotImplementedError):
            raise
        for part in module.modules():
            part.training = False


@contextmanager
def evaluating(module: nn.Module | None) -> Iterator[None]:
    """Put a module in evaluation mode, with frozen parameters; in the end as it was, part by part."""
    if not isinstance(module, nn.Module):
        yield
        return
    modes = {part: part.training for part in module.modules()}
    learned = [parameter for parameter in module.parameters() if parameter.requires_grad]
    if any(modes.values()):
        _switch(module)
    for parameter in learned:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for part, mode in modes.items():
            part.training = mode
        for parameter in learned:
            parameter.requires_grad_(True)
