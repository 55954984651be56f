"""Binarisation and its straight-through gradient."""

import pytest
import torch

from absynth.models.binarize import Binarized, binarize

JUST_BELOW = torch.nextafter(torch.tensor(0.5), torch.tensor(0.0)).item()


@pytest.mark.parametrize("gradients", [False, True])
@pytest.mark.parametrize(
    ("pixel", "expected"), [(0.0, 0), (0.25, 0), (JUST_BELOW, 0), (0.5, 1), (0.75, 1), (1.0, 1)]
)
def test_half_is_white_and_just_below_is_black(pixel, expected, gradients):
    assert binarize(torch.tensor([pixel], requires_grad=gradients)).tolist() == [expected]


def test_values_are_exact_with_gradients_too():
    x = torch.rand(10_000, generator=torch.Generator().manual_seed(0))
    assert torch.equal(binarize(x), binarize(x.clone().requires_grad_()).detach())
    assert set(binarize(x).tolist()) == {0, 1}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gradient_passes_straight_through(dtype):
    x = torch.tensor([0.0, 0.49, 0.5, 1.0], dtype=dtype, requires_grad=True)
    weight = torch.tensor([1.0, -2.0, 3.0, 0.5], dtype=dtype)
    seen = binarize(x)
    (weight * seen.square()).sum().backward()
    assert seen.dtype == dtype
    assert torch.equal(x.grad, 2 * weight * seen)  # the derivative at the binary image, pixel by pixel


def test_model_behind_sees_black_and_white():
    class Echo(torch.nn.Module):
        def forward(self, x):
            return x

    x = torch.rand(3, 1, 28, 28)
    assert torch.equal(Binarized(Echo())(x), (x >= 0.5).float())
