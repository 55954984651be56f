"""Prototype ABS: ABS's energies over finitely many images of each class, so that their minimum is exact.

The model is a set of prototypes u, images of a class each, with offsets o ≥ 0. Made from ABS (see
`absynth.models.abs.enumeration`), u = G_c(z) and o = ½‖z‖²: then the energy ‖u - x‖² + o is ABS's at that latent.
"""

import math
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from absynth.data.format import PAPER, check_taken
from absynth.errors import InputError
from absynth.io.opening import MADE
from absynth.models.building import ModelFiles
from absynth.models.least_energy import LeastEnergy
from absynth.models.weights import read_state, save_state

PIXELS = math.prod(PAPER.shape)


class PrototypeABS(LeastEnergy):
    """logit_c(x) = -min over prototypes u of class c of (‖u - x‖² + o_u), for images (n, 1, 28, 28) in [0, 1].

    images (N, 784) within [0, 1], sorted by class; offsets (N,); counts (C,): prototypes of each class
    Raises InputError where those do not fit together, or a class has no prototype.
    """

    def __init__(self, images: Tensor, offsets: Tensor, counts: Tensor):
        _check(images, offsets, counts)
        super().__init__(images, offsets, counts.tolist(), PAPER.shape, persistent=True)


def _check(images: Tensor, offsets: Tensor, counts: Tensor) -> None:
    """Raise InputError unless the parts of a `PrototypeABS` fit together."""
    if images.ndim != 2 or images.shape[1] != PIXELS or not images.is_floating_point():
        raise InputError(f"prototypes have shape {tuple(images.shape)}, expected floating (N, {PIXELS})")
    if offsets.shape != images.shape[:1] or not offsets.is_floating_point():
        raise InputError(f"offsets have shape {tuple(offsets.shape)}, expected floating ({len(images)},)")
    if counts.ndim != 1 or counts.is_floating_point() or counts.sum().item() != len(images):
        raise InputError(f"counts {_shown(counts)} of prototypes a class do not add up to {len(images)}")
    if (counts < 1).any():
        raise InputError(f"class {int((counts < 1).nonzero()[0])} has no prototype; every class needs one")
    for name, values, highest in (("prototypes", images, 1.0), ("offsets", offsets, torch.inf)):
        if values.isnan().any():
            raise InputError(f"{name} hold NaN")
        low, high = (value.item() for value in values.aminmax())
        if low < 0 or high > highest or high == torch.inf:
            allowed = "[0, 1]" if highest == 1 else "at least 0, finite"
            raise InputError(f"{name} range from {low!r} to {high!r}, allowed is {allowed}")


def _shown(counts: Tensor) -> str:
    return " ".join(str(counts.tolist())[:80].split())


def save_prototypes(path: str | Path, model: PrototypeABS) -> None:
    """Write the prototypes as a plain state dict: images (N, 784), offsets (N,), counts (C,)."""
    state: Mapping[str, Tensor] = {
        "images": model.images.cpu(),
        "offsets": model.offsets.cpu(),
        "counts": torch.tensor(model.counts),
    }
    save_state(path, state)


def build_prototype_abs(files: ModelFiles) -> PrototypeABS:
    """The model of a file of `save_prototypes`. Raises InputError if it holds anything else."""
    check_taken("prototype_abs", PAPER, files.format)
    path = files.weights[0]
    state = read_state(path, damaged=MADE)
    expected = ["counts", "images", "offsets"]
    if sorted(state) != expected:
        raise InputError(
            f"{path}: expected the tensors {', '.join(expected)}, found {', '.join(sorted(state))}"
        )
    try:
        return PrototypeABS(**state)
    except InputError as error:
        raise InputError(f"{path}: {error}; {MADE}") from None
