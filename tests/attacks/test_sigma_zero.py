"""σ-zero on models whose smallest set of pixels is known."""

import math

import pytest
import torch
from linear_models import N, draws, target_of, two_class
from sparse_models import Weighed, black, fewest, steep

from absynth.attacks.margins import margin
from absynth.attacks.sigma_zero import SigmaZero, sigma_zero
from absynth.attacks.target import Target
from absynth.errors import InputError
from absynth.models.binarize import THRESHOLD


def attacked(model, x, y, **options):
    target = Target(model, x, y, "l0")
    sigma_zero("l0", **options)(target, draws())
    return target


@pytest.mark.parametrize("scale", [1.0, 1e-4, 1e4])
def test_fewest_pixels_whatever_the_scale_of_the_logits(scale):
    target = attacked(Weighed(steep(), 2.6, scale), *black(), steps=200)
    assert target.best_distance.tolist() == [3]
    assert target.best.flatten().nonzero().flatten().tolist() == [0, 1, 2]


def test_near_the_fewest_pixels_of_a_linear_model():
    target = target_of(two_class(), "l0")
    sigma_zero("l0", steps=300)(target, draws())
    expected = fewest(target.model, target.x, target.y)
    assert (target.best_distance >= expected).all()
    assert (target.best_distance <= expected + 1).all()


def test_a_pixel_of_several_channels_counts_once():
    """Each channel of the first pixel weighs less than what other pixels have in one, but its three weigh more."""
    weight = torch.zeros(3, 30)
    weight[:, 7], weight[0, 9:12] = 1, 1.1
    model = Weighed(weight.flatten(), 2.6)
    target = Target(model, *black(shape=(3, 6, 5)), "l0")
    asked = []
    target.register_forward_pre_hook(lambda module, inputs: asked.append(inputs[0].detach().clone()))
    sigma_zero("l0", steps=300)(target, draws())
    images = torch.cat(asked)
    fooled = images.flatten(1) @ weight.flatten() > 2.6
    assert (images[fooled] != 0).any(dim=1).flatten(1).sum(dim=1).min() == 1


def test_a_model_that_binarises_is_led_by_its_straight_through_gradient():
    model = Weighed(steep(), 2.6)
    model.input_threshold = THRESHOLD
    x, y = black()
    target = attacked(model, x + 0.3, y, steps=200)
    assert target.findings.recorded.distance.tolist() == [3]


def test_one_gradient_a_step():
    target = target_of(two_class(), "l0")
    sigma_zero("l0", steps=7)(target, draws())
    assert target.gradients.tolist() == [7] * N
    assert target.queries.tolist() == [9] * N  # the scale of the logits, the end


def test_the_count_is_differentiated_as_in_the_paper():
    attack = sigma_zero("l0", sigma=0.01)
    assert isinstance(attack, SigmaZero)
    delta = torch.rand(2, 12, generator=torch.Generator().manual_seed(0)).double().requires_grad_()
    square = delta.view(2, 3, 4).square().sum(dim=1)
    (square / (square + 0.01)).mean(dim=1).sum().backward()
    torch.testing.assert_close(attack._count_gradient(delta.detach(), channels=3), delta.grad)


def test_the_first_step_is_adams():
    """At the clean image all of the gradient is the margin's, and each pixel with one moves by the step size."""
    target = target_of(two_class(), "l0")
    asked = []
    target.register_forward_pre_hook(lambda module, inputs: asked.append(inputs[0].detach().clone()))
    sigma_zero("l0", steps=2, step_size=0.05, threshold=0.0)(target, draws())
    x, y = target.active
    slope = torch.autograd.grad(margin(target.model(x.requires_grad_()), y).sum(), x)[0].flatten(1)
    moved = (asked[2] - asked[1]).flatten(1)
    led = slope.abs() > 1e-3
    assert torch.equal(moved[led].sign(), -slope[led].sign())
    assert math.isclose(moved[led].abs().median().item(), 0.05, rel_tol=1e-4)


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_other_norms_are_refused(norm):
    with pytest.raises(InputError, match=f"norm '{norm}'; this attack minimises l0"):
        sigma_zero(norm)
