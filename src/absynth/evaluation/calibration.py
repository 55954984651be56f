"""Confidences p(y|x) and the constants α, η (all models) and γ (Binary ABS) behind them."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from absynth.errors import InputError
from absynth.io.log import progress_bar
from absynth.models.base import Deciding, predicted_classes

TARGET_CONFIDENCE = 0.9
_LARGEST = 600  # |αℓ|, so that η, which is of the order of e^{αℓ}, does not overflow
_GRID = torch.linspace(0.90, 1.10, 81, dtype=torch.float64)  # candidates for each γ_c


def log_confidence(logits: Tensor, alpha: float, eta: float) -> Tensor:
    """log p(y|x) of p(y|x) = (e^{αℓ_y} + η) / Σ_c (e^{αℓ_c} + η) (equation 4), in log space.

    Takes   logits (n, C)
    Returns (n, C); uniform where every e^{αℓ} is far below η
    """
    log_eta = torch.tensor(math.log(eta) if eta > 0 else -math.inf, dtype=logits.dtype, device=logits.device)
    evidence = torch.logaddexp(alpha * logits, log_eta)
    return evidence - evidence.logsumexp(dim=1, keepdim=True)


def median_confidence(logits: Tensor, alpha: float, eta: float) -> float:
    """The median over images of the predicted class's confidence."""
    return log_confidence(logits, alpha, eta).amax(dim=1).exp().quantile(0.5).item()


def fit_alpha(logits: Tensor, labels: Tensor) -> float:
    """The scale α that minimises the cross entropy of logits (n, C) against labels (n,), with η = 0.

    It is at most 600 / max |ℓ|: if all labels are predicted correctly, the cross entropy has no minimum.
    """
    from scipy.optimize import minimize_scalar

    logits = logits.double()

    def cross_entropy(log_alpha: float) -> float:
        return torch.nn.functional.cross_entropy(math.exp(log_alpha) * logits, labels).item()

    largest = math.log(_LARGEST / max(logits.abs().max().item(), 1e-6))
    grid = torch.linspace(largest - 25, largest, 200, dtype=torch.float64).tolist()
    best = min(range(len(grid)), key=lambda i: cross_entropy(grid[i]))
    low, high = grid[max(0, best - 1)], grid[min(len(grid) - 1, best + 1)]
    return math.exp(minimize_scalar(cross_entropy, bounds=(low, high), method="bounded").x)


def fit_eta(logits: Tensor, alpha: float, target: float = TARGET_CONFIDENCE) -> float:
    """The offset η that gives a median confidence of `target`, or 0 if the median is lower even without an offset."""
    logits = logits.double()
    if median_confidence(logits, alpha, 0.0) <= target:
        return 0.0
    scale = (alpha * logits).amax(dim=1)
    low, high = scale.min().item() - 40, min(scale.max().item() + 40, 700.0)  # log η
    for _ in range(100):
        middle = (low + high) / 2
        if median_confidence(logits, alpha, math.exp(middle)) > target:
            low = middle
        else:
            high = middle
    return math.exp((low + high) / 2)


def fit_gamma(logits: Tensor, labels: Tensor, passes: int = 3) -> list[float]:
    """Factors γ_c that maximise accuracy: a line search over each class in turn (appendix A.5).

    Takes   logits (n, C), negative, before any factor; labels (n,)
    Returns γ (C,); of equally accurate values, the nearest to the previous one, starting from 1
    """
    logits = logits.double()
    gamma = torch.ones(logits.shape[1], dtype=torch.float64)
    for _ in range(passes):
        before = gamma.clone()
        for c in range(len(gamma)):
            trials = gamma.repeat(len(_GRID), 1)
            trials[:, c] = _GRID
            hits = torch.stack([((logits * trial).argmax(dim=1) == labels).sum() for trial in trials])
            best = (hits == hits.max()).nonzero().squeeze(1)
            current = ((logits * gamma).argmax(dim=1) == labels).sum()
            if hits.max() > current:
                gamma[c] = _GRID[best[(_GRID[best] - gamma[c]).abs().argmin()]]
        if torch.equal(before, gamma):
            break
    return [round(value, 6) for value in gamma.tolist()]


def calibrate(logits: Tensor, labels: Tensor) -> dict[str, float]:
    """α and η for logits (n, C) of a calibration split, with the median confidence and the accuracy on it.

    Images whose logits are not all finite are left out of all but the accuracy, in which they are misclassified.

    Returns `nonfinite`, the number of those images, too, where there are any
    Raises InputError if no image is left.
    """
    finite = predicted_classes(logits) >= 0
    left_out = int((~finite).sum())
    if left_out == len(labels):
        raise InputError(f"none of {left_out} calibration images has finite logits: α and η are undefined")
    known = logits[finite]
    alpha = fit_alpha(known, labels[finite])
    eta = fit_eta(known, alpha)
    return {
        "alpha": alpha,
        "eta": eta,
        "median_confidence": median_confidence(known.double(), alpha, eta),
        "accuracy": accuracy(logits, labels),
        "n": len(labels),
    } | ({"nonfinite": left_out} if left_out else {})


def accuracy(logits: Tensor, labels: Tensor) -> float:
    """The share of correctly classified images, by logits (n, C); neither class is wrong."""
    return (predicted_classes(logits) == labels).double().mean().item()


def classes(
    model: torch.nn.Module, images: Tensor, factors: Tensor, batch_size: int, device: torch.device
) -> Tensor:
    """The predicted classes (n,), on the CPU, of images (n, c, h, w), by logits times `factors`, (C,) or one.

    They are those of the logits, for which a model that is `Deciding` need not be asked.
    """
    if not isinstance(model, Deciding):
        return predicted_classes(predict(model, images, batch_size, device) * factors)
    parts = progress_bar(images.split(batch_size), "batches of images")
    return torch.cat([model.decide(part.to(device, copy=True), factors.to(device)).cpu() for part in parts])


def predict(model: torch.nn.Module, images: Tensor, batch_size: int, device: torch.device) -> Tensor:
    """Logits (n, C), on the CPU, for images (n, c, h, w), computed batch by batch."""
    parts: Sequence[Tensor] = images.split(batch_size)
    with torch.no_grad():
        asked = progress_bar(parts, "batches of images")
        return torch.cat([model(part.to(device, copy=True)).cpu() for part in asked])
