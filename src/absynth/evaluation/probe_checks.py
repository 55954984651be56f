"""The checks of a probe that refuse a model: InputError, in words that say what was seen and what to write."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from absynth.errors import InputError
from absynth.models.base import input_threshold
from absynth.models.custom import Custom, NonFiniteError
from absynth.models.expectation import Expectation
from absynth.models.logits import unmasked

# Answers that differ by no more, as a share of the range of the logits, differ by rounding. Repeats of a call do on a
# GPU alone; verification takes no more than 1e-5 for a tie.
SAME = {"cpu": 1e-6, "cuda": 1e-5}
SAME_IN_BATCH = {"cpu": 1e-3, "cuda": 1e-2}  # rounding differs more between batches of other sizes
_CURE = (
    "take the noise out, call dropout with training=self.training and keep nothing from one call to the next, "
    "or write random: true in its config entry if noise from torch is part of the model"
)
_CURE_DECLARED = (
    "random: true fixes the random numbers that it takes from torch: take all from there, without a generator "
    "of its own, and keep nothing from one call to the next"
)
_ALONE = 3  # images that are asked one at a time


@dataclass(frozen=True)
class Subject:
    """The model that is probed, as the config knows it.

    name: what messages call it; gradients, nonfinite, binarises: what its entry says
    """

    name: str
    model: nn.Module
    gradients: bool = True
    nonfinite: bool = False
    binarises: bool = False

    @property
    def custom(self) -> Custom | None:
        """The model as a user's own, if it is one."""
        return self.model if isinstance(self.model, Custom) else None

    @property
    def random(self) -> Expectation | None:
        """What fixes the random numbers of a user's model that is declared to draw some."""
        inner = self.custom.model if self.custom else None
        return inner if isinstance(inner, Expectation) else None

    def fault(self, message: str) -> InputError:
        return InputError(f"probe: {self.name}: {message}")


@dataclass(frozen=True)
class Inputs:
    """Images (n, c, h, w) that a model is asked about, with a name for each; the first are clean ones."""

    images: Tensor
    names: tuple[str, ...]


def named(subject: Subject, inputs: Inputs, error: NonFiniteError) -> InputError:
    """The same fault, with the inputs at which it was seen."""
    first = [inputs.names[row] for row in error.rows if row < len(inputs.names)]
    more = f" and {len(first) - 1} more of {len(inputs.names)}" if len(first) > 1 else ""
    images = f"{first[0] if first else 'an image'}{more}"
    return NonFiniteError(f"probe: {subject.name}", error.what, error.rows, images)


def ask(subject: Subject, inputs: Inputs, images: Tensor) -> Tensor:
    """Logits of images that are the first of the inputs, or all of them. Raises InputError that names the model."""
    try:
        return subject.model(images.clone())
    except NonFiniteError as error:
        raise named(subject, inputs, error) from None
    except InputError as error:
        raise subject.fault(str(error).removeprefix(subject.name).lstrip(": ")) from error


def answers(subject: Subject, inputs: Inputs) -> Tensor:
    """Logits of all inputs. Raises InputError if the model switches itself to training, or changes, meanwhile."""
    training = [name for name, part in subject.model.named_modules() if getattr(part, "training", False)]
    if training:
        raise subject.fault(
            f"stays in training mode ({_own_name(training[0])}) after eval() was called on it; "
            "let its train() and eval() call those of torch.nn.Module"
        )
    before = {name: value.clone() for name, value in _state(subject.model).items()}
    with torch.no_grad():
        logits = _first_answers(subject, inputs)
    training = [name for name, part in subject.model.named_modules() if getattr(part, "training", False)]
    if training:
        raise subject.fault(
            f"switches itself to training mode when it is asked ({_own_name(training[0])}); "
            "leave train() out of its forward: it is asked in evaluation mode"
        )
    after = _state(subject.model)
    for name, value in before.items():
        if name not in after or not _same(value, after[name]):
            raise subject.fault(
                f"changes itself when it is asked (its {_own_name(name)}); "
                "keep parameters and buffers as they are in evaluation mode"
            )
    return logits


def _first_answers(subject: Subject, inputs: Inputs) -> Tensor:
    """Logits of all inputs. Raises InputError that names the input at which the model fails, where one does it."""
    try:
        return ask(subject, inputs, inputs.images)
    except NonFiniteError:
        raise
    except InputError as error:
        for position, name in enumerate(inputs.names):
            try:
                ask(subject, inputs, inputs.images[position : position + 1])
            except InputError as of_one:
                if position == 0:  # any image will do
                    break
                raise InputError(f"{of_one}, for {name}") from error
        raise


def _state(model: nn.Module) -> dict[str, Tensor]:
    """A model's parameters and buffers, as dense tensors that can be compared."""
    found = {}
    for name, value in model.state_dict().items():
        if not isinstance(value, Tensor):  # extra state
            continue
        value = value.dequantize() if value.is_quantized else value
        value = value.to_dense() if value.layout != torch.strided else value
        short = value.is_floating_point() and value.element_size() == 1
        found[name] = value.float() if short else value
    return found


def _same(before: Tensor, after: Tensor) -> bool:
    """Whether two tensors are equal, NaN to NaN."""
    if before.shape != after.shape or before.dtype != after.dtype:
        return False
    return torch.equal(before, after) or torch.equal(before.nan_to_num(), after.nan_to_num())


def _own_name(name: str) -> str:
    """What a user calls a part of a model: `Custom` and `Expectation` hold the user's module."""
    return name.removeprefix("model").lstrip(".").removeprefix("module").lstrip(".") or "the model"


def differ(one: Tensor, other: Tensor) -> float:
    """The largest difference of logits (n, C), as a share of their range; inf where only one is not finite.

    The range is that of all images together, without classes that are masked (`absynth.models.logits.unmasked`).
    """
    finite = one.isfinite()
    if not torch.equal(finite, other.isfinite()):
        return torch.inf
    if not finite.any():
        return 0.0
    kept = one[finite & unmasked(one.masked_fill(~finite, 0))].double()
    apart = (kept.max() - kept.min()).clamp_min(1e-30)
    return ((one[finite].double() - other[finite].double()).abs().max() / apart).item()


def check_repeats(subject: Subject, inputs: Inputs, logits: Tensor) -> None:
    """Refuse a model that gives the same images other answers when asked again."""
    times = 2 if subject.custom else 1
    with torch.no_grad():
        again = [ask(subject, inputs, inputs.images) for _ in range(times)]
    largest = max(differ(logits, other) for other in again)
    if largest > SAME[logits.device.type]:
        raise subject.fault(
            f"gives the same images other answers when it is asked again (logits differ by {largest:.2g} of their "
            f"range); {_CURE_DECLARED if subject.random else _CURE}"
        )


def check_threshold(subject: Subject, inputs: Inputs, logits: Tensor) -> None:
    """Refuse a model whose `input_threshold` is not where it binarises its input, or is said to be and is not."""
    threshold = input_threshold(subject.model)
    if threshold is None and subject.binarises:
        raise subject.fault(
            "binarises: true stands in its config entry, but it has no attribute input_threshold, from which on "
            "pixels count as 1; give it one, or take the line out"
        )
    if threshold is None:
        return
    upper = torch.tensor(threshold, dtype=inputs.images.dtype, device=inputs.images.device)
    lower = torch.nextafter(upper, torch.zeros_like(upper))
    ends = {
        "binarised there": (torch.ones_like(upper), torch.zeros_like(upper)),
        "moved to just beside it": (upper, lower),
    }
    for what, (one, zero) in ends.items():
        with torch.no_grad():
            moved = ask(subject, inputs, torch.where(inputs.images >= upper, one, zero))
        largest = differ(logits, moved)
        if largest > SAME_IN_BATCH[logits.device.type]:
            raise subject.fault(
                f"its input_threshold is {threshold:g}, but images whose pixels are {what} are answered otherwise "
                f"(logits differ by {largest:.2g} of their range); pixels at or above it must count as 1 "
                "(x >= threshold), in float32 or float64, and all others as 0; a model that does not binarise has no "
                "input_threshold"
            )


def check_batches(subject: Subject, inputs: Inputs, logits: Tensor) -> None:
    """Refuse a model whose answer for an image depends on the other images of its batch."""
    n = len(inputs.images)
    with torch.no_grad():
        chosen = sorted({0, n // 3, n - 2})[:_ALONE]
        alone = torch.cat([ask(subject, inputs, inputs.images[i : i + 1]) for i in chosen])
        half = ask(subject, inputs, inputs.images[: n // 2])
    largest = max(differ(logits[chosen], alone), differ(logits[: n // 2], half))
    if largest > SAME_IN_BATCH[logits.device.type]:
        raise subject.fault(
            "answers otherwise for an image alone than for the same image in a batch "
            f"(logits differ by {largest:.2g} of their range); make each image's answer its own: batch norm must "
            "use its running statistics (track_running_stats=True), and nothing may be averaged over the batch"
        )


def check_modes(subject: Subject, inputs: Inputs, logits: Tensor) -> None:
    """Refuse a model that fails, or answers otherwise, where no gradient can be taken, or one may be."""
    few = inputs.images[: len(inputs.images) // 2]
    modes: dict[str, Callable[[], AbstractContextManager[Any]]] = {
        "torch.inference_mode()": torch.inference_mode,
        "torch.enable_grad()": torch.enable_grad,
    }
    for name, mode in modes.items():
        try:
            with mode():
                found = ask(subject, inputs, few).detach().clone()
        except InputError as error:
            reason = str(error).removeprefix(f"probe: {subject.name}: ")
            raise subject.fault(f"fails under {name}: {reason}") from error
        largest = differ(logits[: len(few)], found)
        if largest > SAME_IN_BATCH[logits.device.type]:
            raise subject.fault(
                f"answers otherwise under {name} than under torch.no_grad() (logits differ by {largest:.2g} of their "
                "range); let its answers not depend on whether gradients are asked for"
            )
