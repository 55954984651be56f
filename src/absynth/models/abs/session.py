"""The warm-start session of ABS: queries near one clean image are inferred from what was inferred before."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from absynth.data.format import PAPER
from absynth.models.abs.energy import Inferred, energies
from absynth.models.abs.first_order import FirstOrderPrediction
from absynth.models.base import NeighbourLogits, latest
from absynth.models.checks import check_images

if TYPE_CHECKING:
    from absynth.models.abs.model import ABS

WARM_RADIUS = 1.5  # l2 distance, as the model sees images, up to which a query starts from its row's last one
PREDICTION_RADIUS = 3.0  # l2 distance from the last query up to which a decision may be predicted
MAX_PREDICTIONS = (
    16  # decisions for the label in a row that may rest on latents not searched from a cold start
)
# A class whose energy exceeds the lowest one's by more is no rival; less than the last of `Fast.margins`.
RIVAL_MARGIN = 6.0

# What a rival's energy may fall by: so many times the predicted decrease, plus a constant.
_FACTOR, _ALLOWANCE = 2.0, 0.02


class WarmStartSession:
    """Inference for an attack: its queries lie close together, so most can start from known latents.

    Each row, a clean image (n, 1, 28, 28) with its label (n,), remembers one of its last queries and what was
    inferred for it. A query within WARM_RADIUS of that starts from there, others start cold; many decisions need no
    inference at all (`predict`).

    Inference, warm or cold, can miss a latent that was found before. If it misses the label's, the decisions that
    follow lead to the clean image itself; if it misses a rival's, no image near an adversarial is misclassified any
    more. So two sets of latents are kept for each row: those of the label at the clean image, and those of the
    adversarial class at the best adversarial. Where their energy is lower, the search starts from them. The remaining
    errors are found by the confirmation.
    """

    def __init__(self, model: "ABS", clean: Tensor, labels: Tensor):
        self.model, self.labels = model, labels
        self.found = model.infer(clean)
        rows = torch.arange(len(labels), device=labels.device)
        # Of the label at the clean image: latents (n, 8) and reconstruction (n, 784).
        self.of_label = Inferred(self.found.latents[rows, labels], self.found.images[rows, labels])
        # The last queries, preprocessed; NaN before the first.
        self.last = torch.full_like(self.of_label.images, torch.nan)
        self.predictions = torch.zeros_like(
            labels
        )  # decisions for the label in a row since the last cold start
        # The class of the best adversarial with its latents and reconstruction; the label's before the first.
        self.adversarial_class = labels.clone()
        self.of_adversarial = Inferred(self.of_label.latents.clone(), self.of_label.images.clone())
        self.adversarial_distance = torch.full_like(self.of_label.images[:, 0], torch.inf)
        self.clean = self.model.preprocess(clean).detach()
        self.predictor = FirstOrderPrediction(self.found)

    def logits(self, queries: Tensor, rows: Tensor) -> Tensor:
        """Logits (q, C) of queries (q, 1, 28, 28) that belong to `rows` (q,)."""
        return self.model.logits_at(queries, self.infer(queries, rows))

    @torch.no_grad()
    def predict(self, queries: Tensor, rows: Tensor) -> Tensor:
        """The classes (q,) of queries (q, 1, 28, 28) that belong to `rows` (q,).

        A query within PREDICTION_RADIUS of its row's last one is not inferred, and not remembered, where no rival is
        predicted to overtake the class that is best at the latents there. Otherwise only latents that bear on the
        decision are searched. After MAX_PREDICTIONS decisions for the label a row's next query starts cold, so that
        better latents of a rival are not missed for long.
        """
        check_images(queries, PAPER.shape)
        inputs = self.model.preprocess(queries)
        distance = self._distance(inputs, rows)
        predictable = (distance < PREDICTION_RADIUS) & (self.predictions[rows] < MAX_PREDICTIONS)
        classes, uncertain = self._predict(inputs, rows, distance, predictable.nonzero().squeeze(1))
        unsure, near = uncertain.any(dim=1), distance < WARM_RADIUS
        warm = (predictable & unsure & near).nonzero().squeeze(1)
        cold = (~predictable | (unsure & ~near)).nonzero().squeeze(1)
        if len(warm):
            classes[warm] = self._decide_warm(queries, inputs, rows, warm, uncertain, classes)
        if len(cold):
            classes[cold] = self._decide_cold(queries, inputs, rows, cold)
        correct = classes == self.labels[rows]
        self.predictions.index_add_(0, rows, correct.to(self.predictions.dtype))
        self.predictions[rows[~correct]] = 0
        self.predictions[rows[cold]] = 0
        return classes

    def neighbour_logits(self, queries: Tensor, rows: Tensor) -> NeighbourLogits:
        """What infers neighbours from the latents that the queries, the last ones of `rows` (m,), have now."""
        start = self.found[rows]

        def logits(neighbours: Tensor, position: Tensor) -> Tensor:
            return self.model.logits_at(neighbours, self.model.infer_near(neighbours, start[position]))

        return logits

    def drop_adversarials(self, rows: Tensor) -> None:
        """Let the next adversarial of `rows` (m,) replace the latents that are kept of the best one."""
        self.adversarial_distance[rows] = torch.inf

    def rival_reconstructions(self, queries: Tensor, rows: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """The predicted classes (q,) of queries, and their reconstructions by the likeliest class but `labels`."""
        inferred = self.infer(queries, rows, without=labels)
        logits = self.model.logits_at(queries, inferred)
        rival = logits.scatter(1, labels[:, None], -torch.inf).argmax(dim=1)
        images = inferred.images[torch.arange(len(labels), device=labels.device), rival]
        return logits.argmax(dim=1), images.view_as(queries)

    def infer(self, queries: Tensor, rows: Tensor, *, without: Tensor | None = None) -> Inferred:
        """What is inferred for queries (q, 1, 28, 28) that belong to `rows` (q,); each row's last is remembered.

        without: a class (q,) of each query whose rivals are searched for too, as if the class did not exist
        """
        inputs = self.model.preprocess(queries).detach()
        close = self._distance(inputs, rows) < WARM_RADIUS
        near, far = close.nonzero().squeeze(1), (~close).nonzero().squeeze(1)
        parts = []
        if len(near) or not len(far):
            start, watch = self._start(inputs[near], rows[near]), self.predictor.watch(rows, near)
            parts.append(self.model.infer_near(queries[near], start, watch=watch))
        if len(far):
            self.predictor.forget(rows[far])
            left_out = None if without is None else without[far]
            found = self.model.infer(queries[far], left_out, watch=self.predictor.watch(rows, far))
            parts.append(self._with_known(queries[far], inputs[far], rows[far], found))
            self.predictions[rows[far]] = 0
        inferred = Inferred.cat(parts)[torch.cat([near, far]).argsort()]
        if without is not None:
            inferred = self.model.infer_near(queries, inferred, without, watch=self.predictor.watch(rows))
        self._remember(inputs, rows, inferred)
        return inferred

    def _decide_warm(
        self, queries: Tensor, inputs: Tensor, rows: Tensor, warm: Tensor, uncertain: Tensor, classes: Tensor
    ) -> Tensor:
        """The classes of the queries at positions `warm`, inferred from their rows' last ones.

        uncertain (q, C): which classes may overtake the predicted `classes` (q,) of all queries
        """
        pairs = uncertain[warm].scatter(1, classes[warm, None], True)
        start, watch = self._start(inputs[warm], rows[warm]), self.predictor.watch(rows, warm)
        inferred = self.model.infer_near(queries[warm], start, pairs=pairs, watch=watch)
        self._remember(inputs[warm], rows[warm], inferred)
        decided, _ = self._best(inputs[warm], inferred)
        self._keep_adversarial(inputs[warm], rows[warm], inferred, decided)
        return decided

    def _decide_cold(self, queries: Tensor, inputs: Tensor, rows: Tensor, cold: Tensor) -> Tensor:
        """The classes of the queries at positions `cold`, inferred from a cold start."""
        self.predictor.forget(rows[cold])
        watch = self.predictor.watch(rows, cold)
        inferred = self.model.infer(queries[cold], until_decided=True, watch=watch)
        inferred = self._with_known(queries[cold], inputs[cold], rows[cold], inferred)
        decided, contested = self._best(inputs[cold], inferred)
        self._keep_adversarial(inputs[cold], rows[cold], inferred, decided)
        self.predictor.forget(rows[cold[~contested]])  # not searched to the end, so no start for others
        self._remember(inputs[cold[contested]], rows[cold[contested]], inferred[contested])
        return decided

    def _best(self, inputs: Tensor, inferred: Inferred) -> tuple[Tensor, Tensor]:
        """The class (q,) of lowest energy of inputs (q, 784), and whether (q,) it has rivals."""
        lowest = (self.model.gamma * inferred.energies(inputs)).topk(2, dim=1, largest=False)
        return lowest.indices[:, 0], lowest.values[:, 1] - lowest.values[:, 0] < RIVAL_MARGIN

    def _predict(
        self, inputs: Tensor, rows: Tensor, distance: Tensor, chosen: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The best class (q,) of inputs (q, 784) at the remembered latents, and which (q, C) may overtake it.

        Says nothing about inputs that are not at the `chosen` positions.
        """
        classes = torch.zeros_like(rows)
        uncertain = torch.zeros(len(rows), self.found.latents.shape[1], dtype=torch.bool, device=rows.device)
        if not len(chosen):
            return classes, uncertain
        inputs, rows = inputs[chosen], rows[chosen]
        start = self._start(inputs, rows)
        energy = self.model.gamma * start.energies(inputs)  # (q, C)
        lowest, best = energy.min(dim=1)
        gap = energy - lowest[:, None]
        margin = RIVAL_MARGIN * (distance[chosen, None] / WARM_RADIUS).clamp(min=1)
        query, rival = (gap < margin).scatter(1, best[:, None], False).nonzero(as_tuple=True)  # pairs (P,)
        residual, z = start.images[query, rival] - inputs[query], start.latents[query, rival]
        decrease = self.model.gamma[rival] * self.predictor.decrease(rows[query], rival, residual, z)
        uncertain[chosen[query], rival] = gap[query, rival] <= _FACTOR * decrease + _ALLOWANCE
        classes[chosen] = best
        return classes, uncertain

    def _distance(self, inputs: Tensor, rows: Tensor) -> Tensor:
        """From inputs (q, 784) to their rows' last ones: (q,), NaN where there is none."""
        return (inputs - self.last[rows]).norm(dim=1)

    def _start(self, inputs: Tensor, rows: Tensor) -> Inferred:
        """What a warm search for inputs (q, 784) starts from: the last latents, or kept ones of lower energy."""
        start = self.found[rows]
        self._improve(inputs, rows, start)
        return start

    def _with_known(self, queries: Tensor, inputs: Tensor, rows: Tensor, inferred: Inferred) -> Inferred:
        """What a cold start inferred, but searched from the kept latents where those have a lower energy."""
        better = self._improve(inputs, rows, inferred)
        moved = better.any(dim=1).nonzero().squeeze(1)
        if len(moved):
            found = self.model.infer_near(queries[moved], inferred[moved], pairs=better[moved])
            inferred.latents[moved], inferred.images[moved] = found.latents, found.images
        return inferred

    def _improve(self, inputs: Tensor, rows: Tensor, inferred: Inferred) -> Tensor:
        """Put the kept latents into `inferred` where their energy at inputs (q, 784) is lower; where (q, C)."""
        which = torch.arange(len(rows), device=rows.device)
        better = torch.zeros(inferred.latents.shape[:2], dtype=torch.bool, device=rows.device)
        kept = (
            (self.of_label[rows], self.labels[rows]),
            (self.of_adversarial[rows], self.adversarial_class[rows]),
        )
        for known, label in kept:
            own = energies(inferred.images[which, label], inputs, inferred.latents[which, label])
            moved = (energies(known.images, inputs, known.latents) < own).nonzero().squeeze(1)
            inferred.latents[moved, label[moved]] = known.latents[moved]
            inferred.images[moved, label[moved]] = known.images[moved]
            self.predictor.known[rows[moved], label[moved]] = False  # of other latents
            better[moved, label[moved]] = True
        return better

    def _keep_adversarial(self, inputs: Tensor, rows: Tensor, inferred: Inferred, classes: Tensor) -> None:
        """Keep the winning latents of the best adversarial of each row among these inputs (q, 784)."""
        distance = (inputs - self.clean[rows]).norm(dim=1)
        misclassified = classes != self.labels[rows]
        closer = (misclassified & (distance < self.adversarial_distance[rows])).nonzero().squeeze(1)
        closer = closer[distance[closer].argsort(descending=True, stable=True)]
        kept = closer[latest(rows[closer], len(self.labels))]
        row, won = rows[kept], classes[kept]
        self.adversarial_distance[row], self.adversarial_class[row] = distance[kept], won
        self.of_adversarial.latents[row] = inferred.latents[kept, won]
        self.of_adversarial.images[row] = inferred.images[kept, won]

    def _remember(self, inputs: Tensor, rows: Tensor, inferred: Inferred) -> None:
        """Keep the last of these inputs (q, 784) of each row."""
        kept = latest(rows, len(self.labels))
        inputs, rows, inferred = inputs[kept], rows[kept], inferred[kept]
        self.last[rows] = inputs
        self.found.latents[rows] = inferred.latents
        self.found.images[rows] = inferred.images
