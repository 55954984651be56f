"""The confirmation that all attacks share: what is recorded is misclassified by the reference model."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from absynth.attacks.line_search import bisect, search_grid
from absynth.attacks.postprocessing import closest_equivalent
from absynth.attacks.ties import STRETCHES, nudge, predict_with_ties
from absynth.models.base import input_threshold, misclassified, predict_labels
from absynth.norms import distance

_STRETCHES = (1.002, 1.01, 1.03, 1.1, 1.3, 2.0)  # how far beyond a candidate the push looks
# By how much an adversarial may be lengthened of which the model's opinion varies by rounding, from batch to batch:
# the first push, the last nudge, and the rounding of images.
LENGTHENING = _STRETCHES[0] * max(STRETCHES) * (1 + 1e-5)
_RESOLUTION = (
    0.002  # the push ends when the reference's boundary is known this well, relative to the distance
)
_BISECTIONS = 64  # more than that resolution ever takes


@dataclass(frozen=True)
class Confirmation:
    """Of n attacked images: adversarial (n, c, h, w), the clean image where it failed; distance (n,)
    float64, inf where it failed; prediction (n,) int64 of the reference on `adversarial`."""

    adversarial: Tensor
    distance: Tensor
    prediction: Tensor


def confirm(
    reference: nn.Module, x: Tensor, y: Tensor, candidates: Tensor, norm: str, history: Tensor | None = None
) -> Confirmation:
    """Confirm candidates (n, c, h, w) for images x with labels y, which the reference classifies correctly.

    A candidate that fools only the inference it was found with lies close to the boundary. It is pushed on
    along the line from the clean image until the reference agrees, then back by bisection. Where no push helps,
    the closest of `history` (k, n, c, h, w) that the reference misclassifies takes its place. Candidates that
    fool the reference by no more than rounding, and what takes their place, are nudged past its boundary (`nudge`).

    If the reference binarises its input, what is recorded is post-processed (`closest_equivalent`): the push must go
    on from the images as they were asked for, since it flips no pixel between clean and threshold, and so no nudge
    helps.
    """
    threshold = input_threshold(reference)
    prediction, tied = predict_with_ties(reference, candidates, y)
    adversarial = candidates.clone()
    tried = (candidates != x).flatten(1).any(dim=1)
    pending = (tried & ~misclassified(prediction, y)).nonzero().squeeze(1)
    replaced = pending
    if len(pending):
        pushed, pushed_prediction = _push(reference, x[pending], y[pending], candidates[pending])
        adversarial[pending], prediction[pending] = pushed, pushed_prediction
    pending = pending[~misclassified(prediction[pending], y[pending])]
    if history is not None and len(pending):
        shorter = closest_equivalent(x, history, threshold)
        confirmed = _first_confirmed(reference, x[pending], y[pending], shorter[:, pending], norm)
        adversarial[pending], prediction[pending] = confirmed
    replaced = replaced[misclassified(prediction[replaced], y[replaced])]
    if len(replaced) and threshold is None:
        again, tied[replaced] = predict_with_ties(reference, adversarial[replaced], y[replaced])
        tied[replaced] |= ~misclassified(again, y[replaced])  # in this batch
    ties = (tied & tried).nonzero().squeeze(1)
    if len(ties) and threshold is None:
        nudged, clear = nudge(reference, x[ties], y[ties], adversarial[ties])
        adversarial[ties] = nudged
        prediction[ties] = torch.where(misclassified(clear, y[ties]), clear, prediction[ties])
    failed = ~tried | ~misclassified(prediction, y)
    adversarial[failed] = x[failed]
    prediction[failed] = y[failed]
    adversarial = closest_equivalent(x, adversarial, threshold)
    found = torch.where(failed, torch.inf, distance(x, adversarial, norm))
    return Confirmation(adversarial, found, prediction)


def _push(reference: nn.Module, x: Tensor, y: Tensor, candidates: Tensor) -> tuple[Tensor, Tensor]:
    """The closest image beyond each candidate that the reference misclassifies, and its prediction of it."""
    best, best_prediction = candidates.clone(), y.clone()

    def ask(stretch: Tensor, rows: Tensor) -> Tensor:
        trial = (x[rows] + stretch[:, None, None, None] * (candidates[rows] - x[rows])).clamp(0, 1)
        prediction = predict_labels(reference, trial)
        success = misclassified(prediction, y[rows])
        won = rows[success]
        best[won], best_prediction[won] = trial[success], prediction[success]
        return success

    grid = torch.tensor(_STRETCHES, device=x.device)
    low, high = search_grid(ask, grid, torch.ones(len(x), device=x.device))
    bisect(ask, low, high, bisections=_BISECTIONS, resolution=_RESOLUTION)
    return best, best_prediction


def _first_confirmed(
    reference: nn.Module, x: Tensor, y: Tensor, history: Tensor, norm: str
) -> tuple[Tensor, Tensor]:
    """Of each image's history (k, n, …) the closest image that the reference misclassifies, and as what."""
    distances = torch.stack([distance(x, images, norm) for images in history])  # (k, n)
    distances[distances == 0] = torch.inf  # no adversarial, but the clean image in its place
    best, best_prediction = x.clone(), y.clone()
    order = distances.argsort(dim=0)
    for place in order:  # (n,), the next closest of each image
        rows = ((best_prediction == y) & distances.gather(0, place[None])[0].isfinite()).nonzero().squeeze(1)
        if not len(rows):
            break
        images = history[place[rows], rows]
        prediction = predict_labels(reference, images)
        won = misclassified(prediction, y[rows])
        best[rows[won]], best_prediction[rows[won]] = images[won], prediction[won]
    return best, best_prediction
