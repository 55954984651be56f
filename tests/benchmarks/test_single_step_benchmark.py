"""The program that measures how FGM and FGSM depend on the loss: its directions, on linear models."""

import pytest
import torch
from linear_models import Linear
from single_step import downhill
from torch import nn

from absynth.attacks.gradient import steepest_direction
from absynth.attacks.target import Target
from absynth.evaluation.calibration import log_confidence

UNIT = {"l2": lambda d: d.norm(dim=1), "linf": lambda d: d.abs().amax(dim=1)}


def far_target(n_classes: int, norm: str) -> Target:
    """Four images of as many of the classes, far from the others."""
    model = Linear(n_classes)
    y = torch.arange(4) % n_classes
    x = (0.5 + 0.3 * model.weight[y].detach().sign()).view(4, 1, 28, 28)
    return Target(model, x, y, norm)


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_with_two_classes_every_loss_leads_to_the_other(norm):
    target = far_target(2, norm)
    direction = downhill(target, lambda logits: logits.double().log_softmax(dim=1))
    torch.testing.assert_close(direction, steepest_direction(target), atol=1e-6, rtol=1e-4)
    torch.testing.assert_close(UNIT[norm](direction.flatten(1)), torch.ones(4))


def test_below_a_large_offset_the_confidence_falls_with_the_label_s_logit_alone():
    """η outweighs the rivals' evidence: what is left is −w_y."""
    target = far_target(10, "l2")
    direction = downhill(target, lambda logits: log_confidence(logits.double(), 4.0, 1e6))
    expected = -nn.functional.normalize(target.model.weight[target.y].detach()).view_as(target.x)
    torch.testing.assert_close(direction, expected, atol=1e-4, rtol=1e-3)
