"""Queries to a model whose inference may start from what it found before."""

import torch
from torch import Tensor, nn

from absynth.inference.latents import Inferred

RADIUS = 1.5  # l2 distance, as the model sees images, within which a query starts from its row's last cold inference


class Following(nn.Module):
    """ABS under attack: an image's queries lie close together, so most inferences can be warm.

    Each of n rows remembers its last query that was inferred from nothing. A query nearer to it than RADIUS
    starts from what was found there, any other is inferred from nothing and remembered in its place.
    """

    def __init__(self, model: nn.Module, n: int):
        super().__init__()
        self.model, self.n = model, n
        self.anchor: Tensor | None = None  # as the model sees it, (n, 784)
        self.found: Inferred | None = None

    def forward(self, queries: Tensor, rows: Tensor) -> Tensor:
        """Logits (q, 10) of queries (q, 1, 28, 28) that belong to `rows` (q,)."""
        near = self._near(queries, rows)
        if near.all():
            return self.model.near(queries, self.found[rows])
        if not near.any():
            return self._infer(queries, rows)
        far = ~near
        logits = queries.new_empty(len(queries), self.found.latents.shape[1])
        logits[near] = self.model.near(queries[near], self.found[rows[near]])
        logits[far] = self._infer(queries[far], rows[far])
        return logits

    def _near(self, queries: Tensor, rows: Tensor) -> Tensor:
        if self.anchor is None:
            return torch.zeros_like(rows, dtype=torch.bool)
        moved = self.model.seen(queries).detach() - self.anchor[rows]
        return moved.norm(dim=1) < RADIUS  # false for NaN, rows not asked for yet

    def _infer(self, queries: Tensor, rows: Tensor) -> Tensor:
        inferred = self.model.infer(queries)
        flat = self.model.seen(queries).detach()
        if self.anchor is None:
            self.anchor = flat.new_full((self.n, flat.shape[1]), torch.nan)
            self.found = Inferred(
                inferred.latents.new_zeros(self.n, *inferred.latents.shape[1:]),
                inferred.images.new_zeros(self.n, *inferred.images.shape[1:]),
            )
        self.anchor[rows] = flat
        self.found.latents[rows] = inferred.latents
        self.found.images[rows] = inferred.images
        return self.model.at(queries, inferred)
