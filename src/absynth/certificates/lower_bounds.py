"""The lower bounds that a model offers, and their computation for a set of images."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import singledispatch
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from absynth.basis import PROVED, SEARCHED
from absynth.certificates.class_pair import Bound, ClassPair, PaperBounds
from absynth.certificates.perturbations import Perturbations
from absynth.certificates.proved import ProvedBounds
from absynth.certificates.searched import SearchedBounds
from absynth.certificates.settings import SearchSettings
from absynth.errors import InputError
from absynth.io.log import LOGGER, progress_bar
from absynth.models.abs.model import ABS
from absynth.models.base import predict_labels, with_inference
from absynth.models.nearest_neighbor import NearestNeighbor
from absynth.models.prototypes import PrototypeABS


class LowerBounds(Protocol):
    """Bounds from below the perturbations that change a model's decision; the certificate attack uses the last three.

    Images x are (n, c, h, w) and correctly classified as y (n,); norm is "l0", "l2" or "linf".
    """

    def bound(self, x: Tensor, y: Tensor, norm: str) -> Bound:
        """The joint lower bound, with its rival class."""
        ...

    def paper_bounds(self, norm: str) -> Iterator[PaperBounds]:
        """For each draw of prior samples what computes the paper's bounds; nothing where the paper has none."""
        ...

    def margin(self, points: Tensor, y: Tensor, clean: Tensor) -> Tensor:
        """How much lower (n,) the energy of class y is at points (n, c, h, w), near x = clean, than any other's."""
        ...

    def perturbations(self, x: Tensor, norm: str) -> Perturbations:
        """The perturbations allowed, of which `minimal_perturbation` finds the smallest."""
        ...

    def minimisers(self, x: Tensor, y: Tensor, norm: str) -> Tensor | None:
        """Perturbations (n, d) that come about as near as the bound to changing the decision; None if not known.

        In l0, where that is not enough, pixels that change at all are meant to change all the way.
        """
        ...

    def class_pairs(self, x: Tensor, y: Tensor, norm: str, count: int) -> list[ClassPair]:
        """Up to `count` rival classes with their reconstructions, the most promising first."""
        ...

    def refit(self, pair: ClassPair, y: Tensor, points: Tensor) -> ClassPair:
        """The pair with the reconstructions of perturbed, preprocessed images (n, d)."""
        ...


@singledispatch
def lower_bounds(model: nn.Module, settings: SearchSettings) -> LowerBounds:
    """The lower bounds that a model offers. Raises InputError if it offers none."""
    raise InputError(
        f"{type(model).__name__} offers no lower bounds; ABS, NearestNeighbor and PrototypeABS do"
    )


lower_bounds.register(ABS, SearchedBounds)
lower_bounds.register(NearestNeighbor, ProvedBounds)
lower_bounds.register(PrototypeABS, ProvedBounds)


def bound_basis(model: nn.Module) -> str:
    """What the lower bounds of a model rest on: `PROVED` or `SEARCHED` of `absynth.basis`."""
    return PROVED if lower_bounds.dispatch(type(model)) is ProvedBounds else SEARCHED


def compute_lower_bounds(
    model: nn.Module, x: Tensor, y: Tensor, norm: str, settings: SearchSettings
) -> tuple[dict[str, Tensor], list[dict[str, Tensor]]]:
    """Lower bounds for images x (n, c, h, w) with labels y (n,).

    Returns columns, each (n,): correct (by the reference model), joint, rival (the class that needs the smallest
    perturbation, -1 where the image is misclassified) and disagreement; and for each seed of the prior samples the
    columns paper and paper_without_kl, for no seed at all where the paper has no bound. Bounds are 0 where an image
    is misclassified.
    """
    reference = with_inference(model, "reference")
    method = lower_bounds(reference, settings)
    correct = torch.cat([predict_labels(reference, part) for part in x.split(settings.batch_size)]) == y
    rows = correct.nonzero().squeeze(1)

    def batched(name: str, compute: Callable[[Tensor, Tensor], tuple[Tensor, ...]]) -> list[Tensor]:
        parts: list[tuple[Tensor, ...]] = [] if len(rows) else [(x.new_zeros(0),) * 3]
        for part in progress_bar(rows.split(settings.batch_size) if len(rows) else [], name):
            parts.append(compute(x[part], y[part]))
            LOGGER.info("%s %s: %d of %d images", norm, name, sum(len(p[0]) for p in parts), len(rows))
        return [_spread(torch.cat(column), rows, len(y)) for column in zip(*parts, strict=True)]

    def joint(x: Tensor, y: Tensor) -> tuple[Tensor, ...]:
        found = method.bound(x, y, norm)
        if found.solved is not None:
            LOGGER.info("%s rivals solved exactly: at most %d an image", norm, int(found.solved.max()))
        return found.size, found.rival, found.disagreement

    size, rival, disagreement = batched("joint bound", joint)
    seeds = [batched(f"paper's bound, seed {i}", paper) for i, paper in enumerate(method.paper_bounds(norm))]
    rival = torch.where(correct, rival.long(), -1)
    columns = {"correct": correct, "joint": size, "rival": rival, "disagreement": disagreement}
    return columns, [dict(zip(("paper", "paper_without_kl"), bounds, strict=False)) for bounds in seeds]


def bound_rows(
    found: Mapping[str, Tensor], draws: Sequence[Mapping[str, Tensor]], index: Tensor, label: Tensor
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """What `compute_lower_bounds` found for the images `index` (n,), as rows of two tables.

    Their columns are `COLUMNS` and `DRAWS` of `absynth.evaluation.lower_bounds`. The paper's bounds among the former
    are those of the first draw, which is the model's own.
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
