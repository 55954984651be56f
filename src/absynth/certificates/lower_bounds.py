"""The certificate that a model offers, and its bounds over a set of images."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import singledispatch
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from absynth.certificates.class_pair import Bound, ClassPair, PaperBounds
from absynth.certificates.enumerated import EnumeratedBounds
from absynth.certificates.perturbations import Perturbations
from absynth.certificates.searched import SearchedBounds
from absynth.certificates.settings import SearchSettings
from absynth.errors import InputError
from absynth.io.log import LOGGER, progress_bar
from absynth.models.abs.model import ABS
from absynth.models.base import predict_labels, with_inference
from absynth.models.nearest_neighbor import NearestNeighbor


class Certificate(Protocol):
    """What bounds the perturbations that change a model's decision; its attack uses the last three.

    See `SearchedBounds` for what each promises.
    """

    def bound(self, x: Tensor, y: Tensor, norm: str) -> Bound: ...

    def paper(self, norm: str) -> Iterator[PaperBounds]: ...

    def margin(self, points: Tensor, y: Tensor, clean: Tensor) -> Tensor: ...

    def perturbations(self, x: Tensor, norm: str) -> Perturbations: ...

    def class_pairs(self, x: Tensor, y: Tensor, norm: str, count: int) -> list[ClassPair]: ...

    def refit(self, pair: ClassPair, y: Tensor, points: Tensor) -> ClassPair: ...


@singledispatch
def certificate(model: nn.Module, settings: SearchSettings) -> Certificate:
    """The certificate of a model. Raises InputError if it offers none."""
    raise InputError(f"{type(model).__name__} offers no certificate; ABS and NearestNeighbor do")


certificate.register(ABS, SearchedBounds)
certificate.register(NearestNeighbor, EnumeratedBounds)


def compute_lower_bounds(
    model: nn.Module, x: Tensor, y: Tensor, norm: str, settings: SearchSettings
) -> tuple[dict[str, Tensor], list[dict[str, Tensor]]]:
    """Lower bounds for images x (n, 1, 28, 28) with labels y (n,).

    Returns columns, each (n,): correct (as the reference reads it), joint, rival (the class that comes nearest,
    -1 where the image is misclassified) and disagreement; and for each seed of the prior samples paper and
    paper_without_kl, no seed at all where the paper has no bound. Bounds are 0 where an image is misclassified.
    """
    model = with_inference(model, "reference")
    method = certificate(model, settings)
    correct = torch.cat([predict_labels(model, part) for part in x.split(settings.batch_size)]) == y
    rows = correct.nonzero().squeeze(1)

    def batched(name: str, compute: Callable[[Tensor, Tensor], tuple[Tensor, ...]]) -> list[Tensor]:
        parts = [] if len(rows) else [(x.new_zeros(0),) * 3]
        for part in progress_bar(rows.split(settings.batch_size) if len(rows) else [], name):
            parts.append(compute(x[part], y[part]))
            LOGGER.info("%s %s: %d of %d images", norm, name, sum(len(p[0]) for p in parts), len(rows))
        return [_spread(torch.cat(column), rows, len(y)) for column in zip(*parts, strict=True)]

    def joint(x: Tensor, y: Tensor) -> tuple[Tensor, ...]:
        found = method.bound(x, y, norm)
        return found.size, found.rival, found.disagreement

    size, rival, disagreement = batched("joint bound", joint)
    seeds = [batched(f"paper's bound, seed {i}", bounds) for i, bounds in enumerate(method.paper(norm))]
    rival = torch.where(correct, rival.long(), -1)
    columns = {"correct": correct, "joint": size, "rival": rival, "disagreement": disagreement}
    return columns, [dict(zip(("paper", "paper_without_kl"), bounds, strict=False)) for bounds in seeds]


def bound_rows(
    found: Mapping[str, Tensor], draws: Sequence[Mapping[str, Tensor]], index: Tensor, label: Tensor
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """What `compute_lower_bounds` found of the images `index` (n,), as rows of `summary.COLUMNS` and of `summary.DRAWS`.

    The paper's bounds among the former are those of the first draw, which is the model's own.
    """
    columns = {"index": index, "label": label, **found, "correct": found["correct"].long()}
    rows = _rows({**columns, **(draws[0] if draws else {})})
    drawn = [{"draw": i, **row} for i, draw in enumerate(draws) for row in _rows({"index": index, **draw})]
    return rows, drawn


def _rows(columns: Mapping[str, Tensor]) -> list[dict[str, Any]]:
    lists = (values.tolist() for values in columns.values())
    return [dict(zip(columns, values, strict=True)) for values in zip(*lists, strict=True)]


def _spread(values: Tensor, rows: Tensor, n: int) -> Tensor:
    """Values of `rows` among n images, 0 elsewhere."""
    return values.new_zeros(n).index_put((rows,), values)
