"""Queries to a model whose inference may start from what it found before."""

import torch
from torch import Tensor, nn

from absynth.inference.latents import Inferred

RADIUS = 1.5  # l2 distance, as the model sees images, within which a query starts from its row's last one


class Following(nn.Module):
    """ABS under attack: an image's queries lie close together, so most inferences can be warm.

    Each of n rows remembers its last query and what was inferred for it. A query within RADIUS of that starts
    from there, any other from nothing. Errors of a long chain of warm inferences are the verdict's to find.
    """

    def __init__(self, model: nn.Module, n: int):
        super().__init__()
        self.model, self.n = model, n
        self.last: Tensor | None = None  # queries as the model sees them, (n, 784); NaN before the first
        self.found: Inferred | None = None

    def forward(self, queries: Tensor, rows: Tensor) -> Tensor:
        """Logits (q, 10) of queries (q, 1, 28, 28) that belong to `rows` (q,)."""
        return self.model.at(queries, self.infer(queries, rows))

    def infer(self, queries: Tensor, rows: Tensor, *, without: Tensor | None = None) -> Inferred:
        """What is inferred for queries (q, 1, 28, 28) that belong to `rows` (q,).

        without: a class (q,) of each query whose rivals are searched for too, as if it were none
        """
        seen = self.model.seen(queries).detach()
        near = self._near(seen, rows)
        if near.all():
            inferred = self.model.infer_near(queries, self.found[rows])
        else:
            inferred = self.model.infer(queries[~near], None if without is None else without[~near])
            if near.any():
                warm = self.model.infer_near(queries[near], self.found[rows[near]])
                order = torch.cat([near.nonzero(), (~near).nonzero()]).squeeze(1).argsort()
                inferred = Inferred.cat([warm, inferred])[order]
        if without is not None:
            inferred = self.model.infer_near(queries, inferred, without)
        self._remember(seen, rows, inferred)
        return inferred

    def _near(self, seen: Tensor, rows: Tensor) -> Tensor:
        if self.last is None:
            return torch.zeros_like(rows, dtype=torch.bool)
        return (seen - self.last[rows]).norm(dim=1) < RADIUS

    def _remember(self, seen: Tensor, rows: Tensor, inferred: Inferred) -> None:
        if self.found is None:
            self.last = seen.new_full((self.n, seen.shape[1]), torch.nan)
            self.found = Inferred(
                inferred.latents.new_zeros(self.n, *inferred.latents.shape[1:]),
                inferred.images.new_zeros(self.n, *inferred.images.shape[1:]),
            )
        self.last[rows] = seen
        self.found.latents[rows] = inferred.latents
        self.found.images[rows] = inferred.images
