"""Adversarials that lie on the decision boundary to within rounding, and the nudge that takes them past it."""

import torch
from torch import Tensor, nn

from absynth.attacks.margins import margin
from absynth.models.base import misclassified, predicted_classes
from absynth.models.logits import extent

# A margin no larger than this share of the range of logits (`extent`) is a tie: in another batch, or in float64,
# rounding may decide it otherwise.
ROUNDING = 1e-6
STRETCHES = tuple(1 + 2.0**-power for power in (18, 16, 14, 12, 10))  # of a nudge, in the order tried


@torch.no_grad()
def predict_with_ties(model: nn.Module, images: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """The classes (n,) int64 of images (n, c, h, w), as `predict_labels`, and which are ties (n,) bool.

    A tie is misclassified, but the highest logit and that of the label y are equal to within `ROUNDING`.
    """
    if not len(images):
        return y.clone(), torch.zeros_like(y, dtype=torch.bool)
    logits = model(images.clone())
    prediction = predicted_classes(logits)
    tied = margin(logits, y) >= -ROUNDING * extent(logits).to(logits.dtype)
    return prediction, misclassified(prediction, y) & tied


def nudge(model: nn.Module, x: Tensor, y: Tensor, ties: Tensor) -> tuple[Tensor, Tensor]:
    """Take ties (n, c, h, w) on, away from the clean images x, until they are misclassified clearly.

    Returns the images and their classes (n,) int64, y for an image that no stretch of at most 1.001 takes past the
    boundary, which is returned as it is.
    """
    nudged, prediction = ties.clone(), y.clone()
    rows = torch.arange(len(y), device=y.device)
    for stretch in STRETCHES:
        if not len(rows):
            break
        images = (x[rows] + stretch * (ties[rows] - x[rows])).clamp(0, 1)
        classes, tied = predict_with_ties(model, images, y[rows])
        clear = misclassified(classes, y[rows]) & ~tied
        nudged[rows[clear]], prediction[rows[clear]] = images[clear], classes[clear]
        rows = rows[~clear]
    return nudged, prediction
