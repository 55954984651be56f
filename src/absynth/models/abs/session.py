"""Queries to a model whose inference may start from what it found before."""

import torch
from torch import Tensor, nn

from absynth.models.abs.energy import Inferred, energies
from absynth.models.abs.first_order import FirstOrderPrediction, latest
from absynth.models.checks import check_images

RADIUS = 1.5  # l2 distance, as the model sees images, within which a query starts from its row's last one
REACH = 3.0  # l2 distance from that within which its decision may be foreseen
CHAIN = 16  # decisions for the label on end that may rest on latents not searched from nothing
MARGIN = (
    6.0  # a class whose energy exceeds the best one's by more is no rival; less than the last of Fast.margins
)

# What a rival's energy may fall by: so many times what is foreseen, and so much besides.
_SHARE, _BESIDES = 2.0, 0.02


class WarmStartSession(nn.Module):
    """ABS under attack: an image's queries lie close together, so most inferences can be warm.

    Each row, a clean image (n, 1, 28, 28) with its label (n,), remembers one of its last queries and what was
    inferred for it. A query within RADIUS of that starts from there, others from nothing; many decisions need no
    inference (`decide`). Inference, warm or from nothing, can miss an explanation that was found before: the label's,
    and decisions then lead on to the clean image itself; or a rival's, and then nothing near a misclassified image is
    misclassified any more. So what explains the clean image for the label is kept, and what won at the nearest image
    decided otherwise; where they explain a query better, the search starts from them. Other errors are the confirmation's
    to find.
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
        # What won at the nearest image decided otherwise: its class and explanation; the label's before the first.
        self.rival, self.away = labels.clone(), Inferred(self.home.latents.clone(), self.home.images.clone())
        self.nearest = torch.full_like(self.home.images[:, 0], torch.inf)
        self.clean = self.model.seen(clean).detach()
        self.predictor = FirstOrderPrediction(self.found)

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
        classes, doubtful = self._predict_decisions(seen, rows, distance, reached.nonzero().squeeze(1))
        unsure, near = doubtful.any(dim=1), distance < RADIUS
        warm = (reached & unsure & near).nonzero().squeeze(1)
        cold = (~reached | (unsure & ~near)).nonzero().squeeze(1)
        if len(warm):
            pairs = doubtful[warm].scatter(1, classes[warm, None], True)
            start, watch = self._start(seen[warm], rows[warm]), self.predictor.watch(rows, warm)
            inferred = self.model.infer_near(queries[warm], start, pairs=pairs, watch=watch)
            self._remember(seen[warm], rows[warm], inferred)
            classes[warm], _ = self._best(seen[warm], inferred)
            self._depart(seen[warm], rows[warm], inferred, classes[warm])
        if len(cold):
            self.predictor.forget(rows[cold])
            watch = self.predictor.watch(rows, cold)
            inferred = self.model.infer(queries[cold], decide=True, watch=watch)
            inferred = self._known(queries[cold], seen[cold], rows[cold], inferred)
            classes[cold], rivalled = self._best(seen[cold], inferred)
            self._depart(seen[cold], rows[cold], inferred, classes[cold])
            self.predictor.forget(rows[cold[~rivalled]])  # not searched to the end, so no start for others
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

    def _predict_decisions(
        self, seen: Tensor, rows: Tensor, distance: Tensor, chosen: Tensor
    ) -> tuple[Tensor, Tensor]:
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
        foreseen = self.model.gamma[rival] * self.predictor.decrease(rows[query], rival, residual, z)
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
            start, watch = self._start(seen[near], rows[near]), self.predictor.watch(rows, near)
            parts.append(self.model.infer_near(queries[near], start, watch=watch))
        if len(far):
            self.predictor.forget(rows[far])
            left_out = None if without is None else without[far]
            found = self.model.infer(queries[far], left_out, watch=self.predictor.watch(rows, far))
            parts.append(self._known(queries[far], seen[far], rows[far], found))
            self.decided[rows[far]] = 0
        inferred = Inferred.cat(parts)[torch.cat([near, far]).argsort()]
        if without is not None:
            inferred = self.model.infer_near(queries, inferred, without, watch=self.predictor.watch(rows))
        self._remember(seen, rows, inferred)
        return inferred

    def _distance(self, seen: Tensor, rows: Tensor) -> Tensor:
        """From images (q, 784) to their rows' remembered ones: (q,), NaN where there is none."""
        return (seen - self.last[rows]).norm(dim=1)

    def _start(self, seen: Tensor, rows: Tensor) -> Inferred:
        """What a warm search for images (q, 784) starts from: what was remembered, or known elsewhere and better."""
        start = self.found[rows]
        self._improve(seen, rows, start)
        return start

    def _known(self, queries: Tensor, seen: Tensor, rows: Tensor, inferred: Inferred) -> Inferred:
        """What was inferred from nothing, but where what is known explains a query better, searched from that."""
        better = self._improve(seen, rows, inferred)
        moved = better.any(dim=1).nonzero().squeeze(1)
        if len(moved):
            found = self.model.infer_near(queries[moved], inferred[moved], pairs=better[moved])
            inferred.latents[moved], inferred.images[moved] = found.latents, found.images
        return inferred

    def _improve(self, seen: Tensor, rows: Tensor, inferred: Inferred) -> Tensor:
        """Put the label's and the rival's kept explanations where they are better for images (q, 784): (q, C)."""
        which = torch.arange(len(rows), device=rows.device)
        better = torch.zeros(inferred.latents.shape[:2], dtype=torch.bool, device=rows.device)
        for known, label in ((self.home[rows], self.labels[rows]), (self.away[rows], self.rival[rows])):
            own = energies(inferred.images[which, label], seen, inferred.latents[which, label])
            moved = (energies(known.images, seen, known.latents) < own).nonzero().squeeze(1)
            inferred.latents[moved, label[moved]] = known.latents[moved]
            inferred.images[moved, label[moved]] = known.images[moved]
            self.predictor.known[rows[moved], label[moved]] = False  # of other latents
            better[moved, label[moved]] = True
        return better

    def _depart(self, seen: Tensor, rows: Tensor, inferred: Inferred, classes: Tensor) -> None:
        """Keep what won at the nearest image of each row, of these (q, 784), that is not of its label."""
        distance = (seen - self.clean[rows]).norm(dim=1)
        nearer = ((classes != self.labels[rows]) & (distance < self.nearest[rows])).nonzero().squeeze(1)
        nearer = nearer[distance[nearer].argsort(descending=True, stable=True)]
        kept = nearer[latest(rows[nearer], len(self.labels))]
        row, won = rows[kept], classes[kept]
        self.nearest[row], self.rival[row] = distance[kept], won
        self.away.latents[row] = inferred.latents[kept, won]
        self.away.images[row] = inferred.images[kept, won]

    def _remember(self, seen: Tensor, rows: Tensor, inferred: Inferred) -> None:
        """Keep each row's last image of these (q, 784)."""
        kept = latest(rows, len(self.labels))
        seen, rows, inferred = seen[kept], rows[kept], inferred[kept]
        self.last[rows] = seen
        self.found.latents[rows] = inferred.latents
        self.found.images[rows] = inferred.images
