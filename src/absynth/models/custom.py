"""A user's own classifier, named in the config."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from absynth.data.format import DataFormat
from absynth.errors import InputError
from absynth.models.base import keep_for_gradients
from absynth.models.building import ModelFiles
from absynth.models.checks import check_images
from absynth.models.expectation import Expectation
from absynth.models.making import made_module, made_network, shown_error, stated_threshold
from absynth.models.preprocessing import normalisation, preprocessed


class NonFiniteError(InputError):
    """A model answered images at positions `rows` of its batch with numbers that are not finite.

    what: "logits" or "gradients"; images: which ones, in words
    """

    def __init__(self, name: str, what: str, rows: Sequence[int], images: str):
        count = {"logits": "such answers count as neither class", "gradients": "such gradients count as 0"}[
            what
        ]
        super().__init__(
            f"{name}: its {what} are not finite for {images}; make them finite, "
            f"or write nonfinite: true in its config entry, and {count}"
        )
        self.what, self.rows = what, rows


class Custom(nn.Module):
    """Any module from images (n, C, H, W) in [0, 1] to logits (n, K), guarded on both sides.

    The module is handed a copy of the images, so that it may change what it is handed: in float32 if it takes that,
    else in a dtype of its parameters. Its logits are returned as a float32 copy; those in float64 less the largest of
    each image, since they may differ by less than float32 can tell. If it binarises its input, it says so by an
    attribute `input_threshold`, above 0 and at most 1: pixels at or above it count as 1.

    name: what messages call it
    nonfinite: whether its logits may be other than finite, which then count as neither class
        (`absynth.models.base.predicted_classes`); what is not finite in its gradients is then 0
    format: what its images must be, C, H, W and K; None if that is not known: then any will do, of 2 classes or more

    Raises InputError, naming the model, if it fails or answers with anything but finite logits or gradients.
    """

    copies_images = True

    def __init__(
        self, name: str, model: nn.Module, *, nonfinite: bool = False, format: DataFormat | None = None
    ):
        super().__init__()
        self.format = format
        self.name, self.model, self.nonfinite = name, model, nonfinite
        keep_for_gradients()
        own = [parameter.dtype for parameter in model.parameters() if parameter.is_floating_point()]
        self._dtypes = list(dict.fromkeys([torch.float32, *own]))  # until it is known which the module takes
        self.input_threshold = _smallest_pixel_of_one(
            name, stated_threshold(name, model), torch.float64 in own
        )

    def forward(self, x: Tensor) -> Tensor:
        check_images(x, self.format.shape if self.format else None)
        if not len(x):
            return torch.zeros(0, self.format.n_classes if self.format else 0, device=x.device)
        if torch.is_inference_mode_enabled():  # in which a module could take no gradient of its own
            with torch.inference_mode(False), torch.no_grad():
                return self._logits(x)
        return self._logits(x)

    def _logits(self, x: Tensor) -> Tensor:
        handed = self.copied(x)
        if handed.requires_grad:
            handed.register_hook(self._guarded_gradient)
        answer = self._asked(handed)
        self._check(answer, x)
        answer = answer.as_subclass(Tensor)
        self._check_finite("logits", answer)
        if answer.dtype == torch.float64:
            answer = answer - answer.detach().amax(dim=1, keepdim=True)
            answer = answer.clamp(min=torch.finfo(torch.float32).min)  # such as a mask of finfo(float64).min
        return answer.to(torch.float32, copy=True)

    def copied(self, x: Tensor) -> Tensor:
        """What the module is handed for images x: a copy in a dtype that it takes, through which gradients pass.

        It is contiguous, so that a module may take `view` of it.
        """
        return _copy(x, self.dtype_for(x))

    def dtype_for(self, x: Tensor) -> torch.dtype:
        """The first of float32 and the dtypes of its parameters in which the module answers images x."""
        for dtype in self._dtypes if len(self._dtypes) > 1 else ():
            try:
                with torch.no_grad():
                    self.model(_copy(x.detach(), dtype))
            except Exception:
                continue
            self._dtypes = [dtype]
            break
        return self._dtypes[0]

    def _asked(self, handed: Tensor) -> Any:
        try:
            return self.model(handed)
        except (InputError, torch.OutOfMemoryError):
            raise
        except (Exception, SystemExit) as error:  # whatever a user's own code raises
            raise InputError(f"{self.name}: its forward pass fails ({shown_error(error)})") from error

    def _check(self, answer: Any, x: Tensor) -> None:
        """Raise InputError unless the answer to images x is a tensor of logits (n, K)."""
        known = self.format and self.format.n_classes
        expected = f"expected logits ({len(x)}, {known or 'classes'})"
        if not isinstance(answer, Tensor):
            held = f" with {', '.join(map(repr, list(answer)[:5]))}" if isinstance(answer, Mapping) else ""
            raise InputError(
                f"{self.name} returns a {type(answer).__name__}{held}, {expected} as one tensor; "
                "let its forward return the logits alone"
            )
        shape = tuple(answer.shape)
        if len(shape) != 2 or shape[0] != len(x) or shape[1] < 2 or shape[1] != (known or shape[1]):
            raise InputError(
                f"{self.name} returns {shape}, {expected}{_of_classes(shape, len(x), self.format)}"
            )
        if not answer.is_floating_point():
            raise InputError(
                f"{self.name} returns {answer.dtype}, {expected} in a floating dtype, not classes or counts"
            )
        if answer.device != x.device:
            raise InputError(
                f"{self.name} returns logits on {answer.device} for images on {x.device}; "
                "keep tensors as parameters or buffers, so that they move with the model"
            )

    def _guarded_gradient(self, gradient: Tensor) -> Tensor:
        if self.nonfinite:
            return gradient.nan_to_num(0, 0, 0)
        if not gradient.detach().sum().isfinite():  # else all are
            self._check_finite("gradients", gradient)
        return gradient

    def _check_finite(self, what: str, values: Tensor) -> None:
        """Raise NonFiniteError if values (n, …) for n images are not finite, unless they may be."""
        if self.nonfinite or values.detach().isfinite().all():
            return
        rows = (~values.detach().isfinite()).flatten(1).any(dim=1).nonzero().squeeze(1).tolist()
        raise NonFiniteError(self.name, what, rows, f"{len(rows)} of {len(values)} images")


def _of_classes(shape: tuple[int, ...], n: int, known: DataFormat | None) -> str:
    """Why logits of n images, of this shape, should have another, and what helps: one alone, or more than classes."""
    if shape == (n, 1):
        return "; of two classes return both, for one logit z torch.cat([torch.zeros_like(z), z], dim=1)"
    if known is None:
        return ""
    cure = ""
    if len(shape) == 2 and shape[0] == n and shape[1] > known.n_classes:
        cure = (
            f"; if its images lack the last classes, write n_classes: {shape[1]} into the data set's description "
            f"(absynth evaluate --n-classes {shape[1]})"
        )
    return f", since the data set has {known.n_classes} classes{cure}"


def _copy(x: Tensor, dtype: torch.dtype) -> Tensor:
    return x.to(dtype, copy=True, memory_format=torch.contiguous_format)


def _smallest_pixel_of_one(name: str, threshold: Any, in_float64: bool) -> float | None:
    """The smallest float32 that counts as 1 for a module with this `input_threshold`, None if it has none.

    in_float64: whether the module compares in float64, where a threshold such as 0.7 is above the float32 next to it
    Raises InputError, naming the model, for a threshold that is no number above 0 and up to 1.
    """
    if threshold is None:
        return None
    try:
        value = float(threshold)
    except (TypeError, ValueError, RuntimeError):
        value = math.nan
    if not 0 < value <= 1 or isinstance(threshold, str):
        raise InputError(
            f"{name}: its input_threshold is {threshold!r}; allowed is None or a number above 0 and at most 1, as "
            "pixels are from 0 to 1"
        )
    nearest = torch.tensor(value, dtype=torch.float32)
    if in_float64 and nearest.item() < value:
        nearest = torch.nextafter(nearest, torch.tensor(1.0))
    return nearest.item()


def build_custom(
    files: ModelFiles,
    *,
    name: str | None = None,
    nonfinite: bool = False,
    random: bool = False,
    draws: int = 16,
    preprocessing: str | Mapping[str, Any] | None = None,
    **source: Any,
) -> Custom:
    """Make the network, put its preprocessing before it, and guard it.

    name: of the model in its config, for messages; nonfinite: as in `Custom`
    random: whether it draws random numbers; it is then evaluated by its `Expectation` over this number of draws
    preprocessing: {mean, std} of a `normalisation`, or "module:Class" of a module that images go through first
    source: of the network, as `made_network` takes it
    What the user's code sets for the whole process, such as the working directory, is put back (`settings_kept`).
    Raises InputError if any of it fails.
    """
    shown, model = made_network(name, files.format, **source)
    if preprocessing is not None:
        model = preprocessed(shown, _front(shown, preprocessing, files.format), model)
    evaluated = Expectation(model, draws) if random else model
    return Custom(shown, evaluated, nonfinite=nonfinite, format=files.format)


def _front(shown: str, preprocessing: str | Mapping[str, Any], known: DataFormat | None) -> nn.Module:
    """The module that images go through first."""
    if isinstance(preprocessing, str):
        return made_module(f"{shown}: preprocessing", preprocessing)
    return normalisation(shown, preprocessing["mean"], preprocessing["std"], known)
