"""What an attack sees of a model: every query is counted, and the best adversarial of all is kept."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from absynth.attacks.best import BestAdversarial
from absynth.errors import InputError
from absynth.models.base import (
    LatentSession,
    Session,
    input_threshold,
    misclassified,
    predicted_classes,
    start_session,
)


class Findings:
    """What attacks on images x (n, c, h, w) have found and asked so far; several targets may share it.

    best: the best adversarials, for an attack to continue from
    recorded: those to be confirmed and recorded; the same object unless the model binarises its input: then the best
        after post-processing, which may come from a query that is far away itself
    queries, gradients (n,) int64: images asked for, and how many of them with a gradient
    nonfinite (n,) int64: how many of them the model answered with logits that are not finite: neither class
    ends (n,): distances of recorded adversarials at which an image is done with, None for never; set by `end_at`
    n_classes: of the model; 0 until it has given logits
    """

    def __init__(self, x: Tensor, norm: str, threshold: float | None):
        self.best = BestAdversarial(x, norm)
        self.recorded = self.best if threshold is None else BestAdversarial(x, norm, threshold)
        self.queries = torch.zeros(len(x), dtype=torch.int64, device=x.device)
        self.gradients = torch.zeros_like(self.queries)
        self.nonfinite = torch.zeros_like(self.queries)
        self.ends: Tensor | None = None
        self.n_classes = 0

    def end_at(self, ends: Tensor | None) -> None:
        """Be done with an image once the distance of its best adversarial is at most `ends` (n,); None for never."""
        self.ends = ends

    @property
    def ended(self) -> Tensor:
        """Which images (n,) bool are done with: nothing worth a query can be gained on them."""
        if self.ends is None:
            return torch.zeros_like(self.queries, dtype=torch.bool)
        return self.recorded.distance <= self.ends

    @property
    def trackers(self) -> set[BestAdversarial]:
        """All that keep adversarials; one, unless the model binarises its input."""
        return {self.best, self.recorded}


class Target(nn.Module):
    """A model under attack by images x (n, c, h, w) with labels y (n,), in one norm.

    Called like the model, on a multiple of the active images, image by image in the order of `rows`:
    (k · len(rows), c, h, w). Each answer is compared with its label, so that the best adversarial over *all*
    queries is kept, and not only the last that an attack returns; `recheck` may roll one back. The model is asked
    through a session, in which it may exploit what it computed for nearby images.

    An image that has `ended` (`Findings`) is not asked for any more, and costs no queries: its queries are answered
    as misclassified if they are no nearer than its best adversarial, else as correctly classified, by logits of 1
    for one class and 0 for all others, whose gradient is 0. Nothing of that is kept.

    rows (m,): which images are active, all at first; `only` narrows them for a while
    session, findings: those of another target of the same images, to share; new ones by default
    """

    def __init__(
        self,
        model: nn.Module,
        x: Tensor,
        y: Tensor,
        norm: str,
        *,
        session: Session | None = None,
        findings: Findings | None = None,
    ):
        super().__init__()
        self.model, self.x, self.y, self.norm = model, x, y, norm
        self.session = session or start_session(model, x, y)
        self.findings = findings or Findings(x, norm, input_threshold(model))
        self.rows = torch.arange(len(x), device=x.device)

    @property
    def active(self) -> tuple[Tensor, Tensor]:
        """The active images and their labels."""
        return self.x[self.rows], self.y[self.rows]

    @property
    def best(self) -> Tensor:
        """The best adversarials so far (n, c, h, w), the clean image where there is none."""
        return self.findings.best.best

    @property
    def best_distance(self) -> Tensor:
        """Their distances (n,) float64, inf where there is none."""
        return self.findings.best.distance

    @property
    def queries(self) -> Tensor:
        """Images asked for so far (n,) int64."""
        return self.findings.queries

    @property
    def gradients(self) -> Tensor:
        """How many of them were asked for with a gradient (n,) int64."""
        return self.findings.gradients

    @contextmanager
    def only(self, chosen: Tensor) -> Iterator[Self]:
        """Make only `chosen` of the active images active: a mask or positions (m,) within `rows`."""
        before = self.rows
        self.rows = before[chosen]
        try:
            yield self
        finally:
            self.rows = before

    def forward(self, queries: Tensor) -> Tensor:
        """Logits (k · m, K) of queries (k · m, c, h, w); k blocks of the m active images.

        Where the model's are not finite, they are 1 for the label and 0 for all others, without gradient.
        """
        ended = self._ended()
        if ended is None or (ended.all() and not self.findings.n_classes):
            return self._ask(queries)
        asked = (~ended).repeat(self._blocks(queries)).nonzero().squeeze(1)
        with self.only(~ended):
            logits = (
                self._ask(queries[asked]) if len(asked) else queries.new_zeros(0, self.findings.n_classes)
            )
        labels = self.y[self.rows.repeat(self._blocks(queries))]
        classes = torch.where(self._beyond(queries.detach()), (labels + 1) % self.findings.n_classes, labels)
        # Depends on the queries, so that whoever wants a gradient gets one, of 0.
        rest = 0 * queries.flatten(1).sum(dim=1, keepdim=True).to(logits.dtype)
        return (rest + one_hot(classes, self.findings.n_classes)).index_copy(0, asked, logits)

    def _ask(self, queries: Tensor) -> Tensor:
        """Logits (k · m, K) of queries (k · m, c, h, w), the model asked for all of them."""
        rows, blocks = self.rows, self._blocks(queries)
        logits = self.session.logits(queries, rows.repeat(blocks))
        self.findings.n_classes = logits.shape[1]
        if logits.requires_grad:
            logits.register_hook(lambda gradient: self._count_gradients(rows, blocks))
        prediction = predicted_classes(logits.detach())
        self._count(queries.detach(), prediction)
        neither = prediction < 0
        if neither.any():
            label = torch.zeros_like(logits).scatter(1, self.y[rows.repeat(blocks), None], 1)
            return torch.where(neither[:, None], label, logits)
        return logits

    @torch.no_grad()
    def rivals(self, queries: Tensor) -> tuple[Tensor, Tensor]:
        """Ask a model with latents for one query (m, c, h, w) of each active image.

        Returns whether it is misclassified (m,), and its reconstruction (m, c, h, w) by the likeliest class other
        than the label, whose latents are searched as if the label were no class of the model.
        Raises InputError for a model without latents.
        """
        if not isinstance(self.session, LatentSession):
            raise InputError(f"{type(self.model).__name__} infers no latents")
        y = self.y[self.rows]
        prediction, images = self.session.rival_reconstructions(queries, self.rows, y)
        self._count(queries, prediction)
        return misclassified(prediction, y), images

    def adversarial(self, queries: Tensor) -> Tensor:
        """Whether the model misclassifies queries (k · m, c, h, w): (k · m,) bool."""
        ended = self._ended()
        if ended is None:
            return self._ask_class(queries)
        asked = (~ended).repeat(self._blocks(queries)).nonzero().squeeze(1)
        fooled = self._beyond(queries)
        if len(asked):
            with self.only(~ended):
                fooled[asked] = self._ask_class(queries[asked])
        return fooled

    @torch.no_grad()
    def _ask_class(self, queries: Tensor) -> Tensor:
        """Whether the model misclassifies queries (k · m, c, h, w), asked for all of them: (k · m,) bool."""
        rows = self.rows.repeat(self._blocks(queries))
        prediction = self.session.predict(queries, rows)
        self._count(queries, prediction)
        return misclassified(prediction, self.y[rows])

    def recheck(self) -> Tensor:
        """Ask for the active images' best adversarials again; roll back those that are now correctly classified.

        A session may have missed the label's best latents at first, and know them by now.

        Returns which are rolled back (m,) bool; the best one in the history takes its place, if there is one.
        """
        rolled_back = ~self.adversarial(self.best[self.rows])
        rows = self.rows[rolled_back]
        if len(rows):
            best, recorded = self.findings.best, self.findings.recorded
            if recorded is not best:  # of another query it says nothing
                same = (recorded.best[rows] == best.best[rows]).flatten(1).all(dim=1)
                recorded.roll_back(rows[same])
            best.roll_back(rows)
            self.session.drop_adversarials(rows)
        return rolled_back

    def offer(self, queries: Tensor, prediction: Tensor) -> None:
        """Keep those queries (k · m, c, h, w) that are misclassified and improve on the best so far."""
        blocks, m = self._blocks(queries), len(self.rows)
        fooled = misclassified(prediction, self.y[self.rows].repeat(blocks))
        for tracker in self.findings.trackers:
            promising: Iterable[int] = range(blocks)
            if blocks > 1:  # most improve nothing, and are told apart at once
                near = fooled & tracker.near(self.rows.repeat(blocks), queries)
                promising = near.view(blocks, m).any(dim=1).nonzero().squeeze(1).tolist()
            for block in promising:
                chosen = slice(block * m, (block + 1) * m)
                tracker.offer(self.rows, queries[chosen], fooled[chosen])

    def _count(self, queries: Tensor, prediction: Tensor) -> None:
        blocks = self._blocks(queries)
        self.findings.queries[self.rows] += blocks
        neither = prediction < 0
        if neither.any():
            self.findings.nonfinite[self.rows] += neither.view(blocks, -1).sum(dim=0)
        self.offer(queries, prediction)

    def _ended(self) -> Tensor | None:
        """Which of the active images (m,) bool have ended; None where none has."""
        if self.findings.ends is None:
            return None
        ended = self.findings.ended[self.rows]
        return ended if ended.any() else None

    def _beyond(self, queries: Tensor) -> Tensor:
        """Whether queries (k · m, c, h, w) are no nearer than their image's best adversarial: (k · m,) bool."""
        found, rows = self.findings.recorded, self.rows.repeat(self._blocks(queries))
        return found.measure(rows, queries) >= found.distance[rows]

    def _blocks(self, queries: Tensor) -> int:
        blocks, rest = divmod(len(queries), max(1, len(self.rows)))
        if rest:
            raise ValueError(f"{len(queries)} queries are no multiple of the {len(self.rows)} active images")
        return blocks

    def _count_gradients(self, rows: Tensor, blocks: int) -> None:
        self.findings.gradients[rows] += blocks
