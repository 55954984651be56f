"""What code that knows nothing of targets sees of one: any images in any order, in the box, on one scale."""

import pytest
import torch
from linear_models import N, target_of, ten_class, two_class

from absynth.attacks.foolbox.view import CLEAN_MARGIN
from absynth.attacks.foreign.view import ForeignView
from absynth.attacks.margins import margin
from absynth.errors import InputError


def view_of(model, norm="l2", *, scaled=False, strict=False):
    target = target_of(model, norm)
    return target, ForeignView(target, "mine", scaled=scaled, strict=strict)


def test_images_in_any_order_and_number_get_their_own_logits():
    target, view = view_of(ten_class())
    rows = torch.tensor([3, 1, 1, 4, 3, 3, 0])
    images = (target.x[rows] + 0.01 * torch.randn(7, 1, 28, 28)).clamp(0, 1)
    torch.testing.assert_close(view(images), target.model(images))
    assert target.queries.tolist() == [1, 2, 0, 3, 1]


def test_shifted_logits_begin_at_0_and_differ_as_before():
    target, _ = view_of(ten_class())
    view = ForeignView(target, "mine", scaled=False, strict=False, shifted=True)
    x = target.x.clone().requires_grad_()
    logits, plain = view(x), target.model(target.x)
    torch.testing.assert_close(logits, plain - plain.amin(dim=1, keepdim=True))
    (gradient,) = torch.autograd.grad(logits[:, 2].sum(), x)
    torch.testing.assert_close(gradient, target.model.weight[2].view_as(x[:1]).expand_as(x))


def across(target, row):
    """The image of one row, moved a little beyond the boundary to the likeliest rival."""
    model, x = target.model, target.x[row : row + 1]
    (label, rival), logits = model(x)[0].topk(2).indices.tolist(), model(x)[0]
    gap, normal = logits[label] - logits[rival], (model.weight[label] - model.weight[rival]).view_as(x)
    return (x - 1.01 * gap / normal.square().sum() * normal).detach()


def test_an_image_counts_for_the_one_that_it_is_nearest_to():
    target, view = view_of(ten_class())
    view(torch.stack([target.x[2], target.x[0]]))  # not misclassified
    assert target.best_distance.isinf().all()
    view(torch.cat([across(target, 3)] * 2))
    assert target.best_distance.isfinite().tolist() == [False, False, False, True, False]
    with target.only(torch.tensor([0])):
        view(torch.cat([target.x[1:2], across(target, 0)]))
    assert target.best_distance.isfinite().tolist() == [True, False, False, True, False]


def test_as_many_images_as_are_active_are_taken_in_their_order():
    target, view = view_of(two_class())
    view(target.x.roll(1, 0))
    assert target.queries.tolist() == [1] * N
    assert target.best_distance.isfinite().tolist() == [False, True, True, True, True], (
        "those of the other class"
    )


def test_no_image_gives_no_logits():
    target, view = view_of(ten_class())
    assert view(target.x[:0]).shape == (0, 10)
    assert not target.queries.any()


def test_gradients_pass_the_clipping_and_count():
    target, view = view_of(ten_class())
    images = (target.x[[0, 2, 2]] + torch.tensor([3.0, 0, 0]).view(3, 1, 1, 1)).requires_grad_()
    (gradient,) = torch.autograd.grad(view(images)[:, 1].sum(), images)
    torch.testing.assert_close(gradient.flatten(1), target.model.weight[1].expand(3, -1))
    assert target.gradients.tolist() == [1, 0, 2, 0, 0]
    assert target.best.min() >= 0
    assert target.best.max() <= 1


def test_nan_is_the_clean_value_or_refused():
    asked = torch.full((N, 1, 28, 28), torch.nan)
    target, view = view_of(ten_class())
    torch.testing.assert_close(view(asked), target.model(target.x))
    with pytest.raises(InputError, match=r"^mine: asks the model for images with NaN"):
        view_of(ten_class(), strict=True)[1](asked)


def test_in_l0_a_pixel_that_hardly_moved_is_unchanged():
    target, view = view_of(two_class(), "l0")
    moved = target.x + 1e-5
    moved[:, 0, 0, 0] = 0
    view(moved)
    view(1 - target.x)
    with torch.no_grad():
        torch.testing.assert_close(view(target.x + 1e-5), target.model(target.x))


@pytest.mark.parametrize("shape", [(N, 28, 28), (N, 1, 28, 27), (N, 784)])
def test_images_of_another_shape_are_refused(shape):
    with pytest.raises(
        InputError, match=r"^mine: asks the model for a tensor .*; allowed are images \(n, 1, 28, 28\)$"
    ):
        view_of(ten_class())[1](torch.zeros(shape))


def test_logits_have_one_scale_whatever_is_asked_first():
    _, view = view_of(ten_class(), scaled=True)
    target, other = view_of(ten_class(), scaled=True)
    clean = margin(view(target.x), target.y)
    torch.testing.assert_close(clean, torch.full((N,), CLEAN_MARGIN))
    other(target.x[:2])
    assert target.queries.tolist() == [2, 2, 1, 1, 1], "one more query on each clean image"
    torch.testing.assert_close(other(target.x[:2]), view(target.x[:2]))
    torch.testing.assert_close(view_of(ten_class())[1](target.x), target.model(target.x))


def test_the_models_weights_are_out_of_reach():
    target, view = view_of(ten_class().eval())
    assert [parameter.numel() for parameter in view.parameters()] == [0]
    assert not list(view.children())
    view.train()
    assert not target.model.training
