"""What an attack sees of a model: every query is counted, and the nearest adversarial of all is kept."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from absynth.attacks.best import BestAdversarial
from absynth.models.abs.session import WarmStartSession


class Target(nn.Module):
    """A model under attack by images x with labels y, in one norm.

    Called like the model, on a multiple of the active images, image by image in the order of `rows`:
    (k · len(rows), 1, 28, 28). Each answer is held against its clean image, so that the nearest adversarial
    over *all* queries is kept, unless it is withdrawn (`recheck`), and not only the last that an attack returns. A
    model that can infer from what it found nearby (it has a method `infer_near`) does so.

    rows (m,): which images are active, all at first; `only` narrows them for a while
    nearest: the nearest adversarials so far, for an attack to go on from (best, best_distance: its parts)
    record: those to be judged; the same, unless the model binarises its input (it has an `input_threshold`):
        then the nearest after post-processing, which a query may be though it lies far away itself
    queries, gradients (n,) int64: images asked for, and how many of them with a gradient
    """

    def __init__(self, model: nn.Module, x: Tensor, y: Tensor, norm: str):
        super().__init__()
        self.model, self.x, self.y, self.norm = model, x, y, norm
        self.session = WarmStartSession(model, x, y) if hasattr(model, "infer_near") else None
        self.rows = torch.arange(len(x), device=x.device)
        threshold = getattr(model, "input_threshold", None)
        self.nearest = BestAdversarial(x, norm)
        self.record = self.nearest if threshold is None else BestAdversarial(x, norm, threshold)
        self.queries = torch.zeros(len(x), dtype=torch.int64, device=x.device)
        self.gradients = torch.zeros_like(self.queries)

    @property
    def active(self) -> tuple[Tensor, Tensor]:
        """The active images and their labels."""
        return self.x[self.rows], self.y[self.rows]

    @property
    def best(self) -> Tensor:
        """The nearest adversarials so far (n, 1, 28, 28), the clean image where there is none."""
        return self.nearest.best

    @property
    def best_distance(self) -> Tensor:
        """Their distances (n,) float64, inf where there is none."""
        return self.nearest.distance

    @contextmanager
    def only(self, chosen: Tensor) -> Iterator["Target"]:
        """Make only `chosen` of the active images active: a mask or positions (m,) within `rows`."""
        before = self.rows
        self.rows = before[chosen]
        try:
            yield self
        finally:
            self.rows = before

    def forward(self, queries: Tensor) -> Tensor:
        """Logits (k · m, 10) of queries (k · m, 1, 28, 28); k blocks of the m active images."""
        blocks = self._blocks(queries)
        if self.session:
            logits = self.session(queries, self.rows.repeat(blocks))
        else:
            logits = self.model(queries)
        if logits.requires_grad:
            rows = self.rows
            logits.register_hook(lambda gradient: self._count_gradients(rows, blocks))
        self._count(queries.detach(), logits.detach().argmax(dim=1))
        return logits

    @torch.no_grad()
    def rivals(self, queries: Tensor) -> tuple[Tensor, Tensor]:
        """Ask a model with latents for one query (m, 1, 28, 28) of each active image.

        Returns whether it is misclassified (m,), and the reconstruction (m, 1, 28, 28) of it by the likeliest class
        other than the label, whose latents are searched as if the label's class were none.
        """
        y = self.y[self.rows]
        inferred = self.session.infer(queries, self.rows, without=y)
        logits = self.model.at(queries, inferred)
        prediction = logits.argmax(dim=1)
        self._count(queries, prediction)
        rival = logits.scatter(1, y[:, None], -torch.inf).argmax(dim=1)
        images = inferred.images[torch.arange(len(y), device=y.device), rival]
        return prediction != y, images.view_as(queries)

    def adversarial(self, queries: Tensor) -> Tensor:
        """Whether the model misclassifies queries (k · m, 1, 28, 28): (k · m,) bool."""
        rows = self.rows.repeat(self._blocks(queries))
        with torch.no_grad():
            if self.session:
                prediction = self.session.decide(queries, rows)
                self._count(queries, prediction)
            else:
                prediction = self(queries).argmax(dim=1)
        return prediction != self.y[rows]

    def recheck(self) -> Tensor:
        """Ask for the active images' best adversarials again, and withdraw those that are no longer misclassified.

        What infers under attack may have missed the label's best explanation, and know it by now (`WarmStartSession`).

        Returns which are withdrawn (m,) bool; the nearest that was best before takes such a one's place, if any.
        """
        refuted = ~self.adversarial(self.best[self.rows])
        rows = self.rows[refuted]
        if len(rows):
            for tracker in self._trackers:
                tracker.roll_back(rows)
            if self.session:
                self.session.nearest[rows] = torch.inf
        return refuted

    def offer(self, queries: Tensor, prediction: Tensor) -> None:
        """Keep those queries (k · m, 1, 28, 28) that are misclassified and nearer than the best so far."""
        y = self.y[self.rows]
        for block, predicted in zip(queries.split(len(y)), prediction.split(len(y)), strict=True):
            for tracker in self._trackers:
                tracker.offer(self.rows, block, predicted != y)

    @property
    def _trackers(self) -> set[BestAdversarial]:
        """Those that keep adversarials; one, unless the model binarises its input."""
        return {self.nearest, self.record}

    def _count(self, queries: Tensor, prediction: Tensor) -> None:
        self.queries[self.rows] += self._blocks(queries)
        self.offer(queries, prediction)

    def _blocks(self, queries: Tensor) -> int:
        blocks, rest = divmod(len(queries), max(1, len(self.rows)))
        if rest:
            raise ValueError(f"{len(queries)} queries are no multiple of the {len(self.rows)} active images")
        return blocks

    def _count_gradients(self, rows: Tensor, blocks: int) -> None:
        self.gradients[rows] += blocks
