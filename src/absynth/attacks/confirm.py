"""The confirmation that all attacks share: what is recorded has fooled the reference model."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from absynth.attacks.postprocessing import nearest_alike
from absynth.norms import distance

_STRETCHES = (1.002, 1.01, 1.03, 1.1, 1.3, 2.0)  # how far beyond a candidate the push looks
_RESOLUTION = (
    0.002  # the push ends when the reference's boundary is known this well, relative to the distance
)


@dataclass(frozen=True)
class Confirmation:
    """Of n attacked images: adversarial (n, 1, 28, 28), the clean image where it failed; distance (n,)
    float64, inf where it failed; prediction (n,) int64 of the reference on `adversarial`."""

    adversarial: Tensor
    distance: Tensor
    prediction: Tensor


def confirm(
    reference: nn.Module, x: Tensor, y: Tensor, candidates: Tensor, norm: str, history: Tensor | None = None
) -> Confirmation:
    """Judge candidates (n, 1, 28, 28) for images x with labels y, which the reference classifies correctly.

    A candidate that fools only the inference it was found with lies close to the boundary. It is pushed on
    along the line from the clean image until the reference agrees, then back by bisection. Where no push helps,
    the nearest of `history` (k, n, 1, 28, 28) that the reference accepts takes its place. If the reference
    binarises its input (it has an `input_threshold`), what is recorded is post-processed (`nearest_alike`): the
    push must go on from the images as they were asked for, since it flips no pixel between clean and threshold.
    """
    threshold = getattr(reference, "input_threshold", None)
    prediction = predict_labels(reference, candidates)
    adversarial = candidates.clone()
    tried = (candidates != x).flatten(1).any(dim=1)
    pending = (tried & (prediction == y)).nonzero().squeeze(1)
    if len(pending):
        pushed, pushed_prediction = _push(reference, x[pending], y[pending], candidates[pending])
        adversarial[pending], prediction[pending] = pushed, pushed_prediction
    pending = pending[prediction[pending] == y[pending]]
    if history is not None and len(pending):
        shorter = nearest_alike(x, history, threshold)
        found = _first_accepted(reference, x[pending], y[pending], shorter[:, pending], norm)
        adversarial[pending], prediction[pending] = found
    failed = ~tried | (prediction == y)
    adversarial[failed] = x[failed]
    prediction[failed] = y[failed]
    adversarial = nearest_alike(x, adversarial, threshold)
    found = torch.where(failed, torch.inf, distance(x, adversarial, norm))
    return Confirmation(adversarial, found, prediction)


def _push(reference: nn.Module, x: Tensor, y: Tensor, candidates: Tensor) -> tuple[Tensor, Tensor]:
    """The nearest image beyond each candidate that the reference misclassifies, and its prediction of it."""

    def along(rows: Tensor, stretch: Tensor) -> Tensor:
        return (x[rows] + stretch[:, None, None, None] * (candidates[rows] - x[rows])).clamp(0, 1)

    low = torch.ones(len(x), device=x.device)
    high = torch.full_like(low, torch.inf)
    best, best_prediction = candidates.clone(), y.clone()

    def attempt(rows: Tensor, stretch: Tensor) -> None:
        trial = along(rows, stretch)
        prediction = predict_labels(reference, trial)
        success = prediction != y[rows]
        won, lost = rows[success], rows[~success]
        best[won], best_prediction[won], high[won] = trial[success], prediction[success], stretch[success]
        low[lost] = stretch[~success]

    for stretch in _STRETCHES:
        rows = high.isinf().nonzero().squeeze(1)
        if len(rows):
            attempt(rows, torch.full((len(rows),), stretch, device=x.device))
    while len(rows := (high.isfinite() & (high - low > _RESOLUTION)).nonzero().squeeze(1)):
        attempt(rows, (low[rows] + high[rows]) / 2)
    return best, best_prediction


def _first_accepted(
    reference: nn.Module, x: Tensor, y: Tensor, history: Tensor, norm: str
) -> tuple[Tensor, Tensor]:
    """Of each image's history (k, n, …) the nearest adversarial that the reference misclassifies, and as what."""
    distances = torch.stack([distance(x, images, norm) for images in history])  # (k, n)
    distances[distances == 0] = torch.inf  # no adversarial, but the clean image in its place
    best, best_prediction = x.clone(), y.clone()
    order = distances.argsort(dim=0)
    for place in order:  # (n,), the next nearest of each image
        rows = ((best_prediction == y) & distances.gather(0, place[None])[0].isfinite()).nonzero().squeeze(1)
        if not len(rows):
            break
        images = history[place[rows], rows]
        prediction = predict_labels(reference, images)
        best[rows], best_prediction[rows] = images, prediction
    return best, best_prediction


def predict_labels(model: nn.Module, x: Tensor) -> Tensor:
    """The classes (n,) that a model gives images (n, 1, 28, 28)."""
    if not len(x):
        return torch.empty(0, dtype=torch.int64, device=x.device)
    with torch.no_grad():
        return model(x).argmax(dim=1)
