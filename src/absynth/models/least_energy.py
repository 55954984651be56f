"""Classifiers by the least energy over finitely many images of each class, found exactly.

The energy of an image u with offset o at a query x is ‖u - x‖² + o. Nearest neighbour and prototype ABS are such.
"""

import torch
from torch import Tensor, nn

from absynth.models.checks import check_images
from absynth.models.metric import Metric
from absynth.models.quantized import Quantized
from absynth.models.shortlist import nearest
from absynth.models.shortlist_session import ShortlistSession

_ELEMENTS = 2**23  # energies computed at a time, 32 MB
_ROWS = 1000  # images squared at a time
_QUERIES = 256  # queries compared at a time, at most


class LeastEnergy(nn.Module):
    """logit_c(x) = -min over images u of class c of (‖u - x‖² + o_u), for queries x (n, *shape) in [0, 1].

    The minimum is exact: all energies come from one matrix product a class, whose rounding is bounded, and those that
    may be the least are computed again from differences, in float64. The least of these is taken, the first of
    equals, so that on the CPU no answer depends on the queries that are asked for together. The predicted class is
    that of the least even where logits, which have the queries' dtype, would be equal. The gradient 2 (u - x) is
    exact.

    images (N, d), sorted by class; offsets o ≥ 0 (N,); counts: images of each class, at least one
    persistent: whether images and offsets belong to the model's state
    """

    images: Tensor
    offsets: Tensor
    squares: Tensor

    def __init__(
        self,
        images: Tensor,
        offsets: Tensor,
        counts: list[int],
        shape: tuple[int, int, int],
        *,
        persistent: bool,
    ):
        super().__init__()
        self.shape, self.channels = shape, shape[0]
        self.counts = counts
        self._metric: Metric | None = None
        self._quantized: Quantized | None = None
        self.register_buffer("images", images, persistent=persistent)
        self.register_buffer("offsets", offsets, persistent=persistent)
        self.register_buffer("squares", self._squared(), persistent=False)  # ‖u‖² + o
        self.register_load_state_dict_post_hook(_derive)

    def _squared(self) -> Tensor:
        # In parts, since a float64 copy of all images takes a second to allocate.
        squares = torch.cat([part.double().square().sum(dim=1) for part in self.images.split(_ROWS)])
        squares += self.offsets.double()
        return squares.to(self.images.dtype)

    def derive(self) -> None:
        """Compute anew what depends on images and offsets, once others are loaded."""
        self.squares, self._metric, self._quantized = self._squared(), None, None

    def forward(self, x: Tensor) -> Tensor:
        check_images(x, self.shape)
        flat = x.flatten(1)
        return self.logits_at(flat, self.nearest(flat.detach()))

    def logits_at(self, x: Tensor, nearest: Tensor) -> Tensor:
        """Logits (n, C) of queries (n, d) whose images of least energy are at positions `nearest` (n, C)."""
        parts = zip(x.split(_QUERIES), nearest.split(_QUERIES), strict=True)
        return _rounded(-torch.cat([self.energies(part[:, None], places) for part, places in parts]), x.dtype)

    def energies(self, x: Tensor, places: Tensor) -> Tensor:
        """The energies (…) float64 of images at positions `places` (…) at queries x (…, d), from differences."""
        squares = (x.double() - self.images[places].double()).square().sum(dim=-1)
        return squares + self.offsets[places].double()

    @torch.no_grad()
    def nearest(self, x: Tensor) -> Tensor:
        """The position in `images` of the one of least energy of each class: x (n, d) to (n, C) int64."""
        block = max(1, min(_QUERIES, _ELEMENTS // max(self.counts)))
        return torch.cat([nearest(self, part) for part in x.split(block)])

    @property
    def metric(self) -> Metric:
        """A metric of the images, made when first asked for, and anew where they have moved or changed dtype."""
        known, images = self._metric, self.images
        if known is None or (known.mean.device, known.mean.dtype) != (images.device, images.dtype):
            known = self._metric = Metric.of(images)
        return known

    @property
    def quantized(self) -> Quantized:
        """The images in eight bits, made when first asked for, and anew where they have moved."""
        known = self._quantized
        if known is None or known.codes.device != self.images.device:
            known = self._quantized = Quantized.of(self)
        return known

    def start_session(self, images: Tensor, labels: Tensor) -> ShortlistSession:
        """A session that answers queries near images (n, *shape) from few images of each class, and as exactly."""
        return ShortlistSession(self, len(images))


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


def _derive(model: LeastEnergy, _: object) -> None:
    """After a state is loaded; no closure, so that a copy of a model derives its own."""
    model.derive()
