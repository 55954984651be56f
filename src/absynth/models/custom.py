"""A user's own classifier, named in the config."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from absynth.errors import InputError
from absynth.models.base import input_threshold
from absynth.models.building import ModelFiles, resolve
from absynth.models.checks import check_images
from absynth.models.weights import load_weights


class Custom(nn.Module):
    """Any module from images (n, 1, 28, 28) in [0, 1] to logits (n, 10).

    If it binarises its input, it says so by an attribute `input_threshold`: pixels at or above it count as 1.
    """

    def __init__(self, name: str, model: nn.Module):
        super().__init__()
        self.name, self.model = name, model
        self.input_threshold = input_threshold(model)

    def forward(self, x: Tensor) -> Tensor:
        check_images(x)
        logits = self.model(x)
        if tuple(logits.shape) != (len(x), 10):
            raise InputError(f"{self.name} returns {tuple(logits.shape)}, expected logits {(len(x), 10)}")
        return logits


def build_custom(
    files: ModelFiles,
    *,
    weights: str,
    state_dict_key: str | None = None,
    arguments: Mapping[str, Any] | None = None,
    **rest: str,
) -> Custom:
    """Import the class, construct it with `arguments` and load its state dict from `weights` (`load_weights`).

    Raises InputError if any of the three fails.
    """
    name, arguments = rest["class"], dict(arguments or {})
    try:
        model = resolve(name)(**arguments)
    except TypeError as error:
        raise InputError(f"{name}: cannot be made with arguments {arguments} ({error})") from error
    load_weights(Path(weights), model, key=state_dict_key)
    return Custom(name, model)
