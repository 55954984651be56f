"""Attacks by estimated gradients ("w/ GE" in Table 1): they see a model's logits and never ask for its gradient.

Each is an attack of `absynth.attacks.gradient` on a view of the target whose gradient is a coordinate-wise
central difference (Schott et al. 2019, section 5, score-based attacks). What that assumes of a model whose
inference can start from a neighbour's is in docs/derivations/estimated-gradients.md.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from absynth.attacks.api import Attack
from absynth.attacks.gradient import bim, deepfool, fgm, fgsm, mim
from absynth.attacks.randomness import SampleRandom
from absynth.attacks.target import Target
from absynth.models.base import NeighbourLogits, input_threshold, misclassified, predicted_classes
from absynth.norms import distance

_CHUNK = 1024  # neighbours asked for at a time; in ABS each takes some 0.1 MB


def pixel_ends(x: Tensor, step: float) -> Tensor:
    """The changed pixel of each neighbour of x (m, c, h, w) in [0, 1], a step down and a step up: (m, 2, d).

    At the edge of the box neighbours are clipped to it.
    """
    flat = x.flatten(1)
    return torch.stack([(flat - step).clamp_min(0), (flat + step).clamp_max(1)], dim=1)


def rises(near: NeighbourLogits, x: Tensor, ends: Tensor, threshold: float | None = None) -> Tensor:
    """By how much all logits rise from the lower to the upper neighbour in each pixel: (m, C, d).

    0 where a logit of either is not finite.
    Neighbours that clipping leaves at x itself are asked for once, not once for each pixel; so are those that a model
    cannot tell from x because it binarises its input.

    ends (m, 2, d): the neighbours of x (m, c, h, w), as `pixel_ends` describes them
    threshold: the model's `input_threshold`
    """
    flat = x.flatten(1)  # (m, d)
    moved = (
        ends != flat[:, None] if threshold is None else (ends >= threshold) != (flat >= threshold)[:, None]
    )
    still = (~moved).flatten(1).any(dim=1).nonzero().squeeze(1)  # images that serve as neighbours themselves
    owner, side, pixel = moved.nonzero(as_tuple=True)
    asked_of, changed = torch.cat([owner, still]), torch.cat([pixel, torch.zeros_like(still)])
    value = torch.cat([ends[owner, side, pixel], flat[still, 0]])

    def ask(rows: slice) -> Tensor:
        neighbours = flat[asked_of[rows]]
        neighbours.scatter_(1, changed[rows, None], value[rows, None])
        return near(neighbours.view(-1, *x.shape[1:]), asked_of[rows])

    asked = torch.cat([ask(slice(first, first + _CHUNK)) for first in range(0, len(asked_of), _CHUNK)])
    logits = asked.new_zeros(*moved.shape, asked.shape[1])  # (m, 2, d, C)
    logits[still] = asked[len(owner) :, None, None]
    logits[owner, side, pixel] = asked[: len(owner)]
    return (logits[:, 1] - logits[:, 0]).transpose(1, 2).nan_to_num(0, 0, 0)


def central_differences(rise: Tensor, ends: Tensor) -> Tensor:
    """Estimates of the derivatives of all logits (m, C, d), from their `rises` and `pixel_ends`.

        (f(x + h e_i) − f(x − h e_i)) / 2h,  h = step

    divided by how far apart the two neighbours are once they are clipped.
    """
    return rise / (ends[:, 1] - ends[:, 0])[:, None]


class EstimatingTarget(Target):
    """A view of a target, with the same session, findings and counts, whose gradients are central differences.

    The model is never asked for a gradient. An estimate counts as one query for each of its neighbours
    (1,568) and as no gradient. Estimates are made when a gradient is taken, for one query per active image, and
    what they asked is kept: all logits at a point share it, and so do points between which a model that
    binarises its input sees no difference, nor between their neighbours. A session that starts warm infers the
    neighbours from what it knows of their middle.

    Each image's closest misclassified neighbour waits for `offer_neighbours`. At once it would pass for the attack's
    own result, whose last step is a bisection: a neighbour may be closer, but lies in a worse direction.

    step: h of the central difference, in intensity
    """

    def __init__(self, target: Target, step: float):
        super().__init__(
            target.model, target.x, target.y, target.norm, session=target.session, findings=target.findings
        )
        self.rows = target.rows
        self.step = step
        self.threshold = input_threshold(target.model)
        self.kept = _Kept(self._identity(self.x, pixel_ends(self.x, step)))
        self.neighbour, self.neighbour_prediction = (
            self.x.clone(),
            self.y.clone(),
        )  # where one is misclassified
        self.neighbour_distance = torch.full_like(self.best_distance, torch.inf)

    def forward(self, queries: Tensor) -> Tensor:
        """As in `Target`; where a gradient is wanted, there is one query per active image."""
        with torch.no_grad():
            logits = super().forward(queries.detach())
        if not (queries.requires_grad and torch.is_grad_enabled()):
            return logits
        if len(queries) != len(self.rows):
            raise ValueError(f"gradients of {len(queries)} queries for {len(self.rows)} active images")
        near = self.session.neighbour_logits(queries.detach(), self.rows)
        derivatives = partial(self._derivatives, queries.detach(), self.rows, near)
        return _Estimated.apply(queries, logits, derivatives)

    @torch.no_grad()
    def _derivatives(self, queries: Tensor, rows: Tensor, near: NeighbourLogits) -> Tensor:
        """Derivatives (m, C, d) of the logits at queries (m, c, h, w) that belong to `rows` (m,).

        They are 0 for images that have ended, of which nothing is asked.
        """
        ends = pixel_ends(queries, self.step)
        identity = self._identity(queries, ends)
        ended = self.findings.ended[rows]
        fresh = self.kept.missing(identity, rows)  # positions within rows
        if self.findings.ends is not None:
            fresh = fresh[~ended[fresh]]
            if ended.all():
                return queries.new_zeros(len(queries), self.findings.n_classes, queries[0].numel())
        if len(fresh):
            self.queries[rows[fresh]] += 2 * queries[0].numel()

            def ask(neighbours: Tensor, middle: Tensor) -> Tensor:
                logits = near(neighbours, fresh[middle])
                prediction, asked = predicted_classes(logits), rows[fresh[middle]]
                self.findings.nonfinite.index_add_(0, asked, (prediction < 0).long())
                self._set_aside(neighbours, prediction, asked)
                return logits

            self.kept.put(
                identity[fresh], rows[fresh], rises(ask, queries[fresh], ends[fresh], self.threshold)
            )
        derivatives = central_differences(self.kept.get(identity, rows), ends)
        return derivatives if self.findings.ends is None else derivatives.masked_fill(ended[:, None, None], 0)

    def _identity(self, queries: Tensor, ends: Tensor) -> Tensor:
        """What determines the logits of the neighbours of queries (m, c, h, w), as rows (m, …)."""
        if self.threshold is None:
            return queries.flatten(1)
        return torch.cat([queries.flatten(1)[:, None], ends], dim=1).flatten(1) >= self.threshold

    def _set_aside(self, images: Tensor, prediction: Tensor, rows: Tensor) -> None:
        """Keep the closest misclassified one of images (q, c, h, w) for each of `rows` (q,)."""
        fooled = misclassified(prediction, self.y[rows])
        for row in rows[fooled].unique():
            mine = (fooled & (rows == row)).nonzero().squeeze(1)
            smallest, closest = distance(self.x[row, None], images[mine], self.norm).min(dim=0)
            if smallest < self.neighbour_distance[row]:
                self.neighbour_distance[row] = smallest
                self.neighbour[row] = images[mine[closest]]
                self.neighbour_prediction[row] = prediction[mine[closest]]

    def offer_neighbours(self) -> None:
        """Compare the closest misclassified neighbours of the active images with the best adversarials so far."""
        self.offer(self.neighbour[self.rows], self.neighbour_prediction[self.rows])


class _Kept:
    """Each image's `rises` at two points, to which attacks return: the clean one and the last other.

    clean (n, k): what identifies the clean images and their neighbours (`EstimatingTarget._identity`)
    """

    def __init__(self, clean: Tensor):
        self.clean = clean
        self.points = torch.stack([clean, clean])
        self.known = torch.zeros(self.points.shape[:2], dtype=torch.bool, device=clean.device)
        self.rise = torch.empty(0)  # (2, n, C, d) once the first is known

    def missing(self, points: Tensor, rows: Tensor) -> Tensor:
        """Positions of those points (m, k) for which `rows` (m,) have none."""
        place = self._place(points, rows)
        same = (self.points[place, rows] == points).all(dim=1)
        return (~(same & self.known[place, rows])).nonzero().squeeze(1)

    def put(self, points: Tensor, rows: Tensor, rise: Tensor) -> None:
        if not len(self.rise):
            self.rise = rise.new_zeros(*self.known.shape, *rise.shape[1:])
        place = self._place(points, rows)
        self.points[place, rows] = points
        self.known[place, rows] = True
        self.rise[place, rows] = rise

    def get(self, points: Tensor, rows: Tensor) -> Tensor:
        return self.rise[self._place(points, rows), rows]

    def _place(self, points: Tensor, rows: Tensor) -> Tensor:
        return (points != self.clean[rows]).any(dim=1).long()  # 0 is the clean image's, (m,)


class _Estimated(torch.autograd.Function):
    """Pass logits (m, C) on, with derivatives (m, C, d) that are estimated when a gradient is taken."""

    @staticmethod
    def forward(context: Any, queries: Tensor, logits: Tensor, derivatives: Callable[[], Tensor]) -> Tensor:
        context.shape, context.derivatives = queries.shape, derivatives
        return logits.clone()

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        at_queries = torch.einsum("mc,mcd->md", gradient, context.derivatives())
        return at_queries.view(context.shape), None, None


@dataclass(frozen=True)
class Estimated:
    """An attack by estimated gradients, run once for each size of the difference; the best result counts."""

    attack: Attack
    differences: tuple[float, ...]

    def __call__(self, target: Target, random: SampleRandom) -> None:
        views = [EstimatingTarget(target, step) for step in self.differences]
        for view in views:
            self.attack(view, random)
        for view in views:
            view.offer_neighbours()


def estimated(build: Callable[..., Attack]) -> Callable[..., Estimated]:
    """The builder of an attack whose gradients are estimated, from that of an attack by gradients.

    differences: steps h of the central difference (intensity in [0, 1]), each a run of its own. A model that
        binarises its input is flat to steps that do not cross its threshold, 0.5 from black and from white.
    Other options are those of the attack.
    """

    def build_estimated(norm: str, *, differences: Sequence[float] = (0.1, 0.6), **options: Any) -> Estimated:
        return Estimated(build(norm, **options), tuple(differences))

    return build_estimated


fgm_ge = estimated(fgm)
fgsm_ge = estimated(fgsm)
deepfool_ge = estimated(deepfool)
bim_ge = estimated(bim)
mim_ge = estimated(mim)
