"""What a model may offer beyond logits, as protocols, and how the rest of the library asks for it.

Any `torch.nn.Module` from images (n, c, h, w) in [0, 1] to logits (n, C) can be attacked. What else a model offers
is found by the protocols below, which a model implements by having their members; none needs to be inherited from.
"""

from collections.abc import Callable
from typing import Protocol, Self, cast, runtime_checkable

import torch
import torch._functorch.config
from torch import Tensor, nn

INFERENCES = ("reference", "fast")  # of a model that is `Switchable`
# Neighbours (q, c, h, w) and the position of the query that each belongs to (q,), to logits (q, C).
NeighbourLogits = Callable[[Tensor, Tensor], Tensor]


@runtime_checkable
class Thresholded(Protocol):
    """A model that may binarise its input: pixels at or above `input_threshold` count as 1, all others as 0.

    input_threshold: None where it does not
    """

    input_threshold: float | None


@runtime_checkable
class Switchable(Protocol):
    """A model with several inferences of the same weights: "reference" defines it, "fast" approximates that."""

    def with_inference(self, inference: str) -> Self:
        """The model as seen through one of its inferences: a view that shares all weights, nothing else."""
        ...


@runtime_checkable
class Deciding(Protocol):
    """A model that can tell the class of an image without all that the image's logits need."""

    def decide(self, x: Tensor, factors: Tensor) -> Tensor:
        """The classes (n,) int64 of the largest logit of images (n, c, h, w), once logits are multiplied by factors.

        factors: (C,), or a single one for all classes; all above 0
        """
        ...


@runtime_checkable
class Copying(Protocol):
    """A model that asks what it consists of for copies of images alone, so that those handed to it stay as they are.

    copies_images: whether it does
    """

    copies_images: bool


class Session(Protocol):
    """Answers many queries near n clean images, possibly faster than the model asked anew each time.

    Queries (q, c, h, w) come with `rows` (q,), the position of the clean image that each is a perturbation of. A
    session may remember earlier queries, so that its answers may depend on them; it never changes the model.
    """

    def logits(self, queries: Tensor, rows: Tensor) -> Tensor:
        """Logits (q, C), differentiable with respect to the queries."""
        ...

    def predict(self, queries: Tensor, rows: Tensor) -> Tensor:
        """The predicted classes (q,) int64, without gradient."""
        ...

    def neighbour_logits(self, queries: Tensor, rows: Tensor) -> NeighbourLogits:
        """What answers for close neighbours of queries (m, c, h, w), the last of `rows`; positions are within these.

        It keeps what the session knows now, and changes nothing that the session remembers.
        """
        ...

    def drop_adversarials(self, rows: Tensor) -> None:
        """Take back that adversarials of `rows` (m,) were found: asked again, they were correctly classified."""
        ...


@runtime_checkable
class LatentSession(Session, Protocol):
    """A session with a model that classifies by latents."""

    def rival_reconstructions(self, queries: Tensor, rows: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """The predicted classes (q,) and the reconstructions (q, c, h, w) by the likeliest class but the label.

        labels (q,): the classes whose rivals are searched for as if the label were no class of the model
        """
        ...


@runtime_checkable
class OffersSession(Protocol):
    """A model that can exploit what it computed for nearby images."""

    def start_session(self, images: Tensor, labels: Tensor) -> Session:
        """A session around clean images (n, c, h, w) with labels (n,)."""
        ...


def keep_for_gradients() -> None:
    """Let what torch.compile made keep, from now on, what several gradients of one forward pass need."""
    torch._functorch.config.donated_buffer = False


class StatelessSession:
    """The session of a model that offers none: every query is a call of the model, on a copy of the queries."""

    def __init__(self, model: nn.Module):
        self.model = model
        self._copies = isinstance(model, Copying) and model.copies_images
        keep_for_gradients()

    def logits(self, queries: Tensor, rows: Tensor) -> Tensor:
        return self.model(queries if self._copies else queries.clone())

    def predict(self, queries: Tensor, rows: Tensor) -> Tensor:
        return predict_labels(self.model, queries)

    def neighbour_logits(self, queries: Tensor, rows: Tensor) -> NeighbourLogits:
        return lambda neighbours, _: self.model(neighbours.clone())

    def drop_adversarials(self, rows: Tensor) -> None:
        pass


def start_session(model: nn.Module, images: Tensor, labels: Tensor) -> Session:
    """The model's own session around clean images (n, c, h, w) with labels (n,), or a stateless one."""
    if isinstance(model, OffersSession):
        return model.start_session(images, labels)
    return StatelessSession(model)


def latest(rows: Tensor, n: int) -> Tensor:
    """Which of `rows` (q,), each below n, do not come again after their place: (q,) bool."""
    place = torch.arange(len(rows), device=rows.device)
    last = rows.new_zeros(n).scatter_reduce(0, rows, place, "amax")
    return last[rows] == place


def with_inference(model: nn.Module, inference: str) -> nn.Module:
    """The model as seen through one of its inferences; a model with a single one is returned as it is."""
    return cast(nn.Module, model.with_inference(inference)) if isinstance(model, Switchable) else model


def input_threshold(model: nn.Module) -> float | None:
    """The value from which on the model takes a pixel for 1, None if it does not binarise its input."""
    return model.input_threshold if isinstance(model, Thresholded) else None


def predict_labels(model: nn.Module, x: Tensor) -> Tensor:
    """The classes (n,) int64 that a model gives images (n, c, h, w), as `predicted_classes`.

    The model is handed a copy, which it may change.
    """
    if not len(x):
        return torch.empty(0, dtype=torch.int64, device=x.device)
    with torch.no_grad():
        return predicted_classes(model(x.clone()))


def predicted_classes(logits: Tensor) -> Tensor:
    """The class (n,) int64 of the highest of logits (n, C); -1, neither class, where any of them is not finite."""
    classes = logits.argmax(dim=1)
    if logits.sum().isfinite():  # then all are
        return classes
    return torch.where(logits.isfinite().all(dim=1), classes, -1)


def misclassified(classes: Tensor, labels: Tensor) -> Tensor:
    """Where (n,) bool predicted classes (n,) are others than the labels (n,); neither class is no other class."""
    return (classes != labels) & (classes >= 0)
