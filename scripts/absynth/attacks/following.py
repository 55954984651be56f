"""Queries to a model whose inference may start from what it found before."""

import torch
from torch import Tensor, nn

from absynth.inference.foresight import Foresight, latest
from absynth.inference.latents import Inferred, energies
from absynth.models.checks import check_images

RADIUS = 1.5  # l2 distance, as the model sees images, within which a query starts from its row's last one
REACH = 3.0  # l2 distance from that within which its decision may be foreseen
CHAIN = 16  # decisions for the label on end that may rest on latents not searched from nothing
MARGIN = (
    6.0  # a class whose energy exceeds the best one's by more is no rival; less than the last of Fast.margins
)

# What a rival's energy may fall by: so many times what is foreseen, and so much besides.
_SHARE, _BESIDES = 2.0, 0.02


class Following(nn.Module):
    """ABS under attack: an image's queries lie close together, so most inferences can be warm.

    Each row, a clean image (n, 1, 28, 28) with its label (n,), remembers one of its last queries and what was
    inferred for it. A query within RADIUS of that starts from there, others from nothing; many decisions need no
    inference (`decide`). A chain of warm inferences can lose the label's best explanation, and then lead on to the
    clean image itself: where the clean image's explains a query better, the search starts from that. Other errors
    are the verdict's to find.
    """

    def __init__(self, model: nn.Module, clean: Tensor, labels: Tensor):
        super().__init__()
        self.model, self.labels = model, labels
        self.found = model.infer(clean)
        rows = torch.arange(len(labels), device=labels.device)
        # The label's explanation of the clean image: latents (n, 8) and image (n, 784).
        self.home = Inferred(self.found.latents[rows, labels], self.found.images[rows, labels])
        # The remembered queries, as the model sees them, NaN before the first, and decisions for the label on end.
        self.last = torch.full_like(self.home.images, torch.nan)
        self.decided = torch.zeros_like(labels)
        self.foresight = Foresight(self.found)

    def forward(self, queries: Tensor, rows: Tensor) -> Tensor:
        """Logits (q, 10) of queries (q, 1, 28, 28) that belong to `rows` (q,)."""
        return self.model.at(queries, self.infer(queries, rows))

    @torch.no_grad()
    def decide(self, queries: Tensor, rows: Tensor) -> Tensor:
        """The classes (q,) of queries (q, 1, 28, 28) that belong to `rows` (q,).

        A query within REACH of its row's remembered one is not inferred, and not remembered, where no rival can be
        expected to overtake the class that is best at the latents there. Elsewhere only latents that bear on the
        decision are searched. After CHAIN decisions for the label a row's next call is answered from nothing, lest
        a rival's better explanation is missed for long.
        """
        check_images(queries)
        seen = self.model.seen(queries)
        distance = self._distance(seen, rows)
        reached = (distance < REACH) & (self.decided[rows] < CHAIN)
        classes, doubtful = self._foresee(seen, rows, distance, reached.nonzero().squeeze(1))
        unsure, near = doubtful.any(dim=1), distance < RADIUS
        warm = (reached & unsure & near).nonzero().squeeze(1)
        cold = (~reached | (unsure & ~near)).nonzero().squeeze(1)
        if len(warm):
            pairs = doubtful[warm].scatter(1, classes[warm, None], True)
            start, watch = self._start(seen[warm], rows[warm]), self.foresight.watch(rows, warm)
            inferred = self.model.infer_near(queries[warm], start, pairs=pairs, watch=watch)
            self._remember(seen[warm], rows[warm], inferred)
            classes[warm], _ = self._best(seen[warm], inferred)
        if len(cold):
            self.foresight.forget(rows[cold])
            watch = self.foresight.watch(rows, cold)
            inferred = self.model.infer(queries[cold], decide=True, watch=watch)
            classes[cold], rivalled = self._best(seen[cold], inferred)
            self.foresight.forget(rows[cold[~rivalled]])  # not searched to the end, so no start for others
            self._remember(seen[cold[rivalled]], rows[cold[rivalled]], inferred[rivalled])
        correct = classes == self.labels[rows]
        self.decided.index_add_(0, rows, correct.to(self.decided.dtype))
        self.decided[rows[~correct]] = 0
        self.decided[rows[cold]] = 0
        return classes

    def _best(self, seen: Tensor, inferred: Inferred) -> tuple[Tensor, Tensor]:
        """The class (q,) of least energy of images (q, 784), and whether (q,) it has rivals."""
        least = (self.model.gamma * inferred.energies(seen)).topk(2, dim=1, largest=False)
        return least.indices[:, 0], least.values[:, 1] - least.values[:, 0] < MARGIN

    def _foresee(self, seen: Tensor, rows: Tensor, distance: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor]:
        """The best class (q,) of images (q, 784) at the latents remembered, and which (q, C) may overtake it.

        Tells nothing of images that are not at the chosen positions.
        """
        classes = torch.zeros_like(rows)
        doubtful = torch.zeros(len(rows), self.found.latents.shape[1], dtype=torch.bool, device=rows.device)
        if not len(chosen):
            return classes, doubtful
        seen, rows = seen[chosen], rows[chosen]
        start = self._start(seen, rows)
        energy = self.model.gamma * start.energies(seen)  # (q, C)
        least, best = energy.min(dim=1)
        gap = energy - least[:, None]
        margin = MARGIN * (distance[chosen, None] / RADIUS).clamp(min=1)
        query, rival = (gap < margin).scatter(1, best[:, None], False).nonzero(as_tuple=True)  # pairs (P,)
        residual, z = start.images[query, rival] - seen[query], start.latents[query, rival]
        foreseen = self.model.gamma[rival] * self.foresight.decrease(rows[query], rival, residual, z)
        doubtful[chosen[query], rival] = gap[query, rival] <= _SHARE * foreseen + _BESIDES
        classes[chosen] = best
        return classes, doubtful

    def infer(self, queries: Tensor, rows: Tensor, *, without: Tensor | None = None) -> Inferred:
        """What is inferred for queries (q, 1, 28, 28) that belong to `rows` (q,); each row's last is remembered.

        without: a class (q,) of each query whose rivals are searched for too, as if it were none
        """
        seen = self.model.seen(queries).detach()
        close = self._distance(seen, rows) < RADIUS
        near, far = close.nonzero().squeeze(1), (~close).nonzero().squeeze(1)
        parts = []
        if len(near) or not len(far):
            start, watch = self._start(seen[near], rows[near]), self.foresight.watch(rows, near)
            parts.append(self.model.infer_near(queries[near], start, watch=watch))
        if len(far):
            self.foresight.forget(rows[far])
            left_out = None if without is None else without[far]
            parts.append(self.model.infer(queries[far], left_out, watch=self.foresight.watch(rows, far)))
            self.decided[rows[far]] = 0
        inferred = Inferred.cat(parts)[torch.cat([near, far]).argsort()]
        if without is not None:
            inferred = self.model.infer_near(queries, inferred, without, watch=self.foresight.watch(rows))
        self._remember(seen, rows, inferred)
        return inferred

    def _distance(self, seen: Tensor, rows: Tensor) -> Tensor:
        """From images (q, 784) to their rows' remembered ones: (q,), NaN where there is none."""
        return (seen - self.last[rows]).norm(dim=1)

    def _start(self, seen: Tensor, rows: Tensor) -> Inferred:
        """What a warm search for images (q, 784) starts from: the latents remembered, or the label's from home."""
        start, home, label = self.found[rows], self.home[rows], self.labels[rows]
        which = torch.arange(len(rows), device=rows.device)
        own = energies(start.images[which, label], seen, start.latents[which, label])
        moved = energies(home.images, seen, home.latents) < own
        which, label = which[moved], label[moved]
        start.latents[which, label], start.images[which, label] = home.latents[moved], home.images[moved]
        self.foresight.known[rows[moved], label] = False  # of other latents
        return start

    def _remember(self, seen: Tensor, rows: Tensor, inferred: Inferred) -> None:
        """Keep each row's last image of these (q, 784)."""
        kept = latest(rows, len(self.labels))
        seen, rows, inferred = seen[kept], rows[kept], inferred[kept]
        self.last[rows] = seen
        self.found.latents[rows] = inferred.latents
        self.found.images[rows] = inferred.images
