"""A user's own classifier, named in the config."""

import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from absynth.errors import InputError
from absynth.models.base import input_threshold, keep_for_gradients
from absynth.models.building import ModelFiles, resolve
from absynth.models.checks import check_images
from absynth.models.expectation import Expectation
from absynth.models.user_code import imported, settings_kept
from absynth.models.weights import load_weights

N_CLASSES = 10


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
    """Any module from images (n, 1, 28, 28) in [0, 1] to logits (n, 10), guarded on both sides.

    The module is handed a copy of the images, in the dtype of its own parameters, so that it may change what it is
    handed; its logits are returned as a float32 copy. If it binarises its input, it says so by an attribute
    `input_threshold`: pixels at or above it count as 1.

    name: what messages call it
    nonfinite: whether its logits may be other than finite, which then count as neither class
        (`absynth.models.base.predicted_classes`); what is not finite in its gradients is then 0

    Raises InputError, naming the model, if it fails or answers with anything but finite logits or gradients.
    """

    def __init__(self, name: str, model: nn.Module, *, nonfinite: bool = False):
        super().__init__()
        self.name, self.model, self.nonfinite = name, model, nonfinite
        self.input_threshold = input_threshold(model)
        keep_for_gradients()
        self.dtype = next((p.dtype for p in model.parameters() if p.is_floating_point()), torch.float32)

    def forward(self, x: Tensor) -> Tensor:
        check_images(x)
        if not len(x):
            return torch.zeros(0, N_CLASSES, device=x.device)
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
        logits = answer.to(torch.float32, copy=True)
        self._check_finite("logits", logits)
        return logits

    def copied(self, x: Tensor) -> Tensor:
        """What the module is handed for images x: a copy in its own dtype, through which gradients pass."""
        return x.to(self.dtype, copy=True)

    def _asked(self, handed: Tensor) -> Any:
        try:
            return self.model(handed)
        except (InputError, torch.OutOfMemoryError):
            raise
        except Exception as error:  # whatever a user's own code raises
            raise InputError(f"{self.name}: its forward pass fails ({shown_error(error)})") from error

    def _check(self, answer: Any, x: Tensor) -> None:
        """Raise InputError unless the answer to images x is a tensor of logits (n, 10)."""
        expected = f"expected logits {(len(x), N_CLASSES)}"
        if not isinstance(answer, Tensor):
            held = f" with {', '.join(map(repr, list(answer)[:5]))}" if isinstance(answer, Mapping) else ""
            raise InputError(
                f"{self.name} returns a {type(answer).__name__}{held}, {expected} as one tensor; "
                "let its forward return the logits alone"
            )
        if tuple(answer.shape) != (len(x), N_CLASSES):
            raise InputError(f"{self.name} returns {tuple(answer.shape)}, {expected}")
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
        self._check_finite("gradients", gradient)
        return gradient

    def _check_finite(self, what: str, values: Tensor) -> None:
        """Raise NonFiniteError if values (n, …) for n images are not finite, unless they may be."""
        if self.nonfinite or values.detach().isfinite().all():
            return
        rows = (~values.detach().isfinite()).flatten(1).any(dim=1).nonzero().squeeze(1).tolist()
        raise NonFiniteError(self.name, what, rows, f"{len(rows)} of {len(values)} images")


def shown_error(error: BaseException) -> str:
    """An exception in words: its type, the first line of its message, and where outside torch it was raised."""
    message = next(iter(str(error).splitlines()), "")
    library = str(Path(torch.__file__).parent)
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith(library)]
    place = f", {Path(frames[-1].filename).name} line {frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{': ' if message else ''}{message}{place}"


def _made(shown: str, named: str, arguments: Mapping[str, Any]) -> Any:
    """An instance of the class `named`. Raises InputError whatever its code raises, SystemExit included."""
    made = imported(named.replace(":", ".").rpartition(".")[0], lambda: resolve(named))
    try:
        return made(**arguments)
    except (KeyboardInterrupt, torch.OutOfMemoryError):
        raise
    except BaseException as error:
        name = named if isinstance(error, TypeError) else shown
        raise InputError(
            f"{name}: cannot be made with arguments {arguments} ({shown_error(error)})"
        ) from error


def build_custom(
    files: ModelFiles,
    *,
    weights: str,
    name: str | None = None,
    state_dict_key: str | None = None,
    arguments: Mapping[str, Any] | None = None,
    nonfinite: bool = False,
    random: bool = False,
    draws: int = 16,
    **rest: str,
) -> Custom:
    """Import the class, construct it with `arguments` and load its state dict from `weights` (`load_weights`).

    name: of the model in its config, for messages; nonfinite: as in `Custom`
    random: whether it draws random numbers; it is then evaluated by its `Expectation` over this number of draws
    What the class's code sets for the whole process, such as the working directory, is put back (`settings_kept`).
    Raises InputError if any of the three fails.
    """
    named, arguments = rest["class"], dict(arguments or {})
    shown = f"{name} ({named})" if name else named
    with settings_kept(shown):
        model = _made(shown, named, arguments)
    if not isinstance(model, nn.Module):
        raise InputError(f"{shown}: makes a {type(model).__name__}, expected a torch.nn.Module")
    load_weights(Path(weights), model, key=state_dict_key)
    return Custom(shown, Expectation(model, draws) if random else model, nonfinite=nonfinite)
