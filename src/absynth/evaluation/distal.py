"""Distal adversarials: images far from any data that a model still reads with high confidence (section 7)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from absynth.evaluation.calibration import log_confidence
from absynth.io.log import progress_bar
from absynth.models.loading import with_inference


@dataclass(frozen=True)
class Goal:
    """p(label|image) ≥ `confidence`, by the model's α and η (equation 4)."""

    alpha: float
    eta: float
    confidence: float

    def confidence_in(self, logits: Tensor, labels: Tensor) -> Tensor:
        """p(label|image) (n,) float64 for logits (n, C) and labels (n,)."""
        return log_confidence(logits.double(), self.alpha, self.eta).gather(1, labels[:, None])[:, 0].exp()

    def height(self, logits: Tensor, labels: Tensor) -> Tensor:
        """What is climbed: αℓ_y − log Σ_c (e^{αℓ_c} + η), the log of p(y|x) without the η above the fraction.

        Where e^{αℓ_y} is far below η, p(y|x) is flat and this is not: its gradient is α∇ℓ_y. Where p(y|x) ≥ 0.9,
        it lies at most log (81/80) below log p(y|x): there e^{αℓ_y} is at least 80 η.

        Takes   logits (n, C), labels (n,)
        Returns (n,)
        """
        scaled = self.alpha * logits
        floor = math.log(logits.shape[1] * self.eta) if self.eta > 0 else -math.inf
        evidence = torch.cat([scaled, torch.full_like(scaled[:, :1], floor)], dim=1)
        return scaled.gather(1, labels[:, None])[:, 0] - evidence.logsumexp(dim=1)


@dataclass(frozen=True)
class Ascents:
    """What n ascents came to.

    image (n, 1, 28, 28): where each ended; reached (n,) bool: whether at its goal
    steps (n,) int64: steps taken; final_confidence (n,) float64: p(label|image) by the reference
    confidence (n, steps + 1) float64: p(label|image) before each step, NaN once an ascent has ended
    """

    image: Tensor
    reached: Tensor
    steps: Tensor
    final_confidence: Tensor
    confidence: Tensor


def noise_images(seeds: Sequence[int]) -> Tensor:
    """Images (n, 1, 28, 28) of pixels uniform in [0, 1), one a seed; the same for every model and device."""
    return torch.stack(
        [torch.rand(1, 28, 28, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
    )


def climb(
    model: nn.Module,
    start: Tensor,
    labels: Tensor,
    goal: Goal,
    *,
    steps: int,
    step_size: float,
    momentum: float,
) -> Ascents:
    """Gradient ascent in the box [0, 1] from start (n, 1, 28, 28) towards the confidence in labels (n,).

    An ascent ends where both the model and, if it has another, its reference inference are at the goal, or
    after `steps` steps.

    step_size: Euclidean length of a step without momentum, pixels in [0, 1]; gradients are scaled to length 1
    """
    model = with_inference(model, "fast")
    image, velocity = start.clone(), torch.zeros_like(start)
    trace = torch.full((len(start), steps + 1), torch.nan, dtype=torch.float64, device=start.device)
    rows = torch.arange(len(start), device=start.device)  # ascents that have not ended, (m,)
    for step in progress_bar(range(steps + 1), "steps"):
        x = image[rows].requires_grad_(True)
        logits = model(x)
        trace[rows, step] = goal.confidence_in(logits.detach(), labels[rows])
        ended = trace[rows, step] >= goal.confidence
        ended[ended.clone()] = (
            _judged(model, image[rows[ended]], labels[rows[ended]], goal) >= goal.confidence
        )
        if step == steps or ended.all():
            break
        (gradient,) = torch.autograd.grad(goal.height(logits, labels[rows]).sum(), x)
        rows, direction = rows[~ended], _unit(gradient[~ended])
        velocity[rows] = momentum * velocity[rows] + direction
        image[rows] = (image[rows] + step_size * velocity[rows]).clamp(0, 1)
    final = _judged(model, image, labels, goal)
    return Ascents(image, final >= goal.confidence, trace.isfinite().sum(dim=1) - 1, final, trace)


def _judged(model: nn.Module, images: Tensor, labels: Tensor, goal: Goal) -> Tensor:
    """p(label|image) (n,) by the reference inference; the model is left on the fast one."""
    if not len(images):
        return torch.empty(0, dtype=torch.float64, device=images.device)
    with torch.no_grad():
        logits = with_inference(model, "reference")(images)
    with_inference(model, "fast")
    return goal.confidence_in(logits, labels)


def _unit(gradient: Tensor) -> Tensor:
    """Each of gradient (n, 1, 28, 28) scaled to Euclidean length 1; 0 stays 0."""
    length = gradient.flatten(1).norm(dim=1).clamp(min=torch.finfo(gradient.dtype).tiny)
    return gradient / length[:, None, None, None]


def nearest_distance(images: Tensor, others: Tensor) -> Tensor:
    """Euclidean distance (n,) float64 of images (n, 1, 28, 28) to the nearest of others (m, 1, 28, 28)."""
    exact = "donot_use_mm_for_euclid_dist"  # differences, not ‖a‖² − 2ab + ‖b‖², which cancels
    parts = images.flatten(1).split(50)  # bounds the matrix of distances
    found = [torch.cdist(part, others.flatten(1), compute_mode=exact).amin(dim=1) for part in parts]
    return torch.cat(found).double()
