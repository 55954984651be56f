"""Prototype ABS: ABS's energies over finitely many images of each class, so that their minimum is exact.

The model is a set of prototypes u, images of a class each, with offsets o ≥ 0. Made from ABS (see
`absynth.models.abs.enumeration`), u = G_c(z) and o = ½‖z‖²: then the energy ‖u - x‖² + o is ABS's at that latent.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from absynth.errors import InputError
from absynth.io.opening import MADE
from absynth.models.building import ModelFiles
from absynth.models.checks import check_images
from absynth.models.weights import read_state, save_state

PIXELS = 784
_ELEMENTS = 2**23  # energies computed at a time, 32 MB
_QUERIES = 256  # images compared at a time, at most
_ROWS = 8192  # prototypes in float64 at a time, 50 MB
_CANDIDATES = 4  # prototypes of a class whose energy is computed without cancellation, at least


class PrototypeABS(nn.Module):
    """logit_c(x) = -min over prototypes u of class c of (‖u - x‖² + o_u), for images (n, 1, 28, 28) in [0, 1].

    The minimum is exact. Energies of all prototypes come from one matrix product a class, whose rounding is bounded;
    those that may be the lowest are computed again in float64, from differences. The predicted class is that of the
    lowest energy in float64 even where logits in the images' dtype would be equal. The gradient 2 (u - x) is exact.

    images (N, 784) within [0, 1], sorted by class; offsets (N,); counts (C,): prototypes of each class
    Raises InputError where those do not fit together, or a class has no prototype.
    """

    images: Tensor
    offsets: Tensor
    squares: Tensor

    def __init__(self, images: Tensor, offsets: Tensor, counts: Tensor):
        super().__init__()
        _check(images, offsets, counts)
        self.counts: list[int] = counts.tolist()
        self.register_buffer("images", images)
        self.register_buffer("offsets", offsets)
        squares = (
            torch.cat([part.double().square().sum(dim=1) for part in images.split(_ROWS)]) + offsets.double()
        )
        self.register_buffer("squares", squares.to(images.dtype), persistent=False)  # ‖u‖² + o

    def forward(self, x: Tensor) -> Tensor:
        check_images(x)
        block = max(1, min(_QUERIES, _ELEMENTS // max(self.counts)))
        energies = [self._least_energies(part) for part in x.flatten(1).split(block)]
        return _rounded(-torch.cat(energies), x.dtype)

    def _least_energies(self, x: Tensor) -> Tensor:
        """The least energy of each class, (n, C) float64: x (n, 784), differentiable."""
        nearest = self.nearest(x)
        differences = x.double()[:, None] - self.images[nearest].double()  # (n, C, 784)
        return differences.square().sum(dim=2) + self.offsets[nearest].double()

    @torch.no_grad()
    def nearest(self, x: Tensor) -> Tensor:
        """The position in `images` of the prototype of least energy of each class: x (n, 784) to (n, C) int64."""
        ends = torch.tensor(self.counts).cumsum(0).tolist()
        spans = (slice(end - count, end) for end, count in zip(ends, self.counts, strict=True))
        return torch.stack([self._nearest_of(x, span) for span in spans], dim=1)

    def _nearest_of(self, x: Tensor, span: slice) -> Tensor:
        """The same of one class, (n,)."""
        images, squares = self.images[span], self.squares[span]
        inputs = x.to(images.dtype)
        relative = squares - 2 * products(inputs, images)  # (n, count), energies less ‖x‖²
        largest = squares.max()
        error = rounding(images) * (largest + 2 * largest.sqrt() * inputs.norm(dim=1))  # (n,), see `products`
        lowest, places = relative.topk(min(_CANDIDATES, len(images)), largest=False)
        limit = lowest[:, 0] + 2 * error
        found = self._least(x, places.sort(dim=1).values + span.start)
        if len(images) > _CANDIDATES:
            for row in (lowest[:, -1] <= limit).nonzero().flatten().tolist():  # there may be further ones
                places = (relative[row] <= limit[row]).nonzero().flatten()
                found[row] = self._least(x[row : row + 1], places[None] + span.start)[0]
        return found

    def _least(self, x: Tensor, places: Tensor) -> Tensor:
        """Of prototypes `places` (n, k) the position of the one of least energy, in float64; the first of equals."""
        energies = [
            (x.double()[:, None] - self.images[some].double()).square().sum(dim=2)
            + self.offsets[some].double()
            for some in places.split(_CANDIDATES, dim=1)
        ]
        return places.gather(1, torch.cat(energies, dim=1).argmin(dim=1, keepdim=True)).squeeze(1)


def products(x: Tensor, images: Tensor) -> Tensor:
    """Scalar products (n, N) of x (n, d) and images (N, d) of one dtype, each within a known error.

    That is at most `rounding` times the product of the absolute values, whatever the order of summation (Higham 2002,
    section 3.1). Where torch was told to multiply less precisely, float64 is used.
    """
    if torch.get_float32_matmul_precision() == "highest":
        return x @ images.T
    return (x.double() @ images.T.double()).to(x.dtype)


def rounding(images: Tensor) -> float:
    """A bound on the relative error of sums of d products in the dtype of images (…, d), 250 operations to spare."""
    return (images.shape[-1] + 250) * torch.finfo(images.dtype).eps / 2


def _rounded(logits: Tensor, dtype: torch.dtype) -> Tensor:
    """Logits (n, C) float64 in another dtype; the largest, should it get an equal, becomes the next number."""
    rounded = logits.to(dtype)
    if not rounded.numel():
        return rounded
    winner = logits.detach().argmax(dim=1, keepdim=True)
    values = rounded.detach()
    others = values.scatter(1, winner, -torch.inf).amax(dim=1, keepdim=True)
    above = torch.nextafter(others, torch.full_like(others, torch.inf))
    raised = values.scatter(1, winner, values.gather(1, winner).maximum(above))
    return rounded + (raised - values)


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
