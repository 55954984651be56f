"""Distal adversarials: images far from any data that a model classifies with high confidence (section 7)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from absynth.evaluation.calibration import log_confidence
from absynth.io.log import progress_bar
from absynth.models.base import predicted_classes, with_inference


@dataclass(frozen=True)
class Goal:
    """p(label|image) ≥ `confidence`, with the model's α and η (equation 4)."""

    alpha: float
    eta: float
    confidence: float

    def confidence_in(self, logits: Tensor, labels: Tensor) -> Tensor:
        """p(label|image) (n,) float64 for logits (n, C) and labels (n,); 0 where logits are not finite."""
        found = log_confidence(logits.double(), self.alpha, self.eta).gather(1, labels[:, None])[:, 0].exp()
        return torch.where(predicted_classes(logits) >= 0, found, 0)

    def objective(self, logits: Tensor, labels: Tensor) -> Tensor:
        """What ascents maximise: αℓ_y − log Σ_c (e^{αℓ_c} + η), which is log p(y|x) without the η in the numerator.

        Where e^{αℓ_y} is far below η, p(y|x) is flat but this is not: its gradient is α∇ℓ_y. Where p(y|x) ≥ 0.9,
        it lies at most log (81/80) below log p(y|x), since e^{αℓ_y} is at least 80 η there.

        Takes   logits (n, C), labels (n,)
        Returns (n,)
        """
        scaled = self.alpha * logits
        floor = math.log(logits.shape[1] * self.eta) if self.eta > 0 else -math.inf
        evidence = torch.cat([scaled, torch.full_like(scaled[:, :1], floor)], dim=1)
        return scaled.gather(1, labels[:, None])[:, 0] - evidence.logsumexp(dim=1)


@dataclass(frozen=True)
class Ascents:
    """The results of n ascents.

    image (n, c, h, w): where each ended; reached (n,) bool: whether it reached its goal
    steps (n,) int64: steps taken; final_confidence (n,) float64: p(label|image) by the reference model
    confidence (n, steps + 1) float64: p(label|image) before each step, NaN once an ascent has ended
    """

    image: Tensor
    reached: Tensor
    steps: Tensor
    final_confidence: Tensor
    confidence: Tensor


def noise_images(seeds: Sequence[int], shape: Sequence[int]) -> Tensor:
    """Images of a shape (C, H, W), pixels uniform in [0, 1), one per seed; the same for every model and device."""
    return torch.stack([torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds])


def ascend(
    model: nn.Module,
    start: Tensor,
    labels: Tensor,
    goal: Goal,
    *,
    steps: int,
    step_size: float,
    momentum: float,
) -> Ascents:
    """Gradient ascent of the confidence in labels (n,), from start (n, c, h, w) and within the box [0, 1].

    Gradients are those of fast inference, if the model has it. An ascent ends where both this and the reference
    inference reach the goal, or after `steps` steps.

    step_size: Euclidean length of a step without momentum, pixels in [0, 1]; gradients are scaled to length 1
    """
    fast, reference = with_inference(model, "fast"), with_inference(model, "reference")
    image, velocity = start.clone(), torch.zeros_like(start)
    trace = torch.full((len(start), steps + 1), torch.nan, dtype=torch.float64, device=start.device)
    rows = torch.arange(len(start), device=start.device)  # ascents that have not ended, (m,)
    for step in progress_bar(range(steps + 1), "steps"):
        x = image[rows].requires_grad_(True)
        logits = fast(x.clone())
        trace[rows, step] = goal.confidence_in(logits.detach(), labels[rows])
        ended = trace[rows, step] >= goal.confidence
        confirmed = _confidence(reference, image[rows[ended]], labels[rows[ended]], goal) >= goal.confidence
        ended[ended.clone()] = confirmed
        if step == steps or ended.all():
            break
        (gradient,) = torch.autograd.grad(goal.objective(logits, labels[rows]).sum(), x)
        rows, direction = rows[~ended], _unit(gradient[~ended])
        velocity[rows] = momentum * velocity[rows] + direction
        image[rows] = (image[rows] + step_size * velocity[rows]).clamp(0, 1)
    final = _confidence(reference, image, labels, goal)
    return Ascents(image, final >= goal.confidence, trace.isfinite().sum(dim=1) - 1, final, trace)


def _confidence(model: nn.Module, images: Tensor, labels: Tensor, goal: Goal) -> Tensor:
    """p(label|image) (n,) float64 of images (n, c, h, w), without gradient."""
    if not len(images):
        return torch.empty(0, dtype=torch.float64, device=images.device)
    with torch.no_grad():
        return goal.confidence_in(model(images.clone()), labels)


def _unit(gradient: Tensor) -> Tensor:
    """Each of gradient (n, c, h, w) scaled to Euclidean length 1; 0 stays 0."""
    length = gradient.flatten(1).norm(dim=1).clamp(min=torch.finfo(gradient.dtype).tiny)
    return gradient / length[:, None, None, None]


def nearest_distance(images: Tensor, others: Tensor) -> Tensor:
    """Euclidean distance (n,) float64 of images (n, c, h, w) to the nearest of others (m, c, h, w)."""
    exact = "donot_use_mm_for_euclid_dist"  # from differences, since ‖a‖² − 2ab + ‖b‖² cancels
    parts = images.flatten(1).split(50)  # limits the memory of the matrix of distances
    found = [torch.cdist(part, others.flatten(1), compute_mode=exact).amin(dim=1) for part in parts]
    return torch.cat(found).double()
