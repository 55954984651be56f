"""Checks of what a model is given."""

import pytest
import torch

from absynth.data.format import PAPER
from absynth.errors import InputError
from absynth.models.checks import check_images, check_latents

SHAPE = PAPER.shape


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16])
def test_images_in_the_box_pass(dtype):
    check_images(torch.tensor([0.0, 1.0], dtype=dtype)[:, None, None, None].expand(2, 1, 28, 28), SHAPE)
    check_images(torch.zeros(1, 1, 28, 28, dtype=dtype, requires_grad=True), SHAPE)
    check_images(torch.empty(0, 1, 28, 28, dtype=dtype), SHAPE)


def pixel(value: float) -> torch.Tensor:
    images = torch.full((2, 1, 28, 28), 0.5)
    images[1, 0, 27, 27] = value
    return images


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.zeros(2, 28, 28), r"shape \(2, 28, 28\), expected \(n, 1, 28, 28\)"),
        (torch.zeros(2, 784), r"shape \(2, 784\)"),
        (torch.zeros(2, 3, 28, 28), r"shape \(2, 3, 28, 28\)"),
        (torch.zeros(1, 28, 28), r"shape \(1, 28, 28\)"),
        (torch.tensor(0.5), r"shape \(\)"),
        (torch.zeros(2, 1, 28, 28, dtype=torch.uint8), "dtype torch.uint8, expected a floating one"),
        (pixel(torch.nan), "images hold NaN"),
        (pixel(torch.inf), r"pixels from 0\.5 to inf, allowed is \[0, 1\]"),
        (pixel(-1e-6), r"pixels from -1e-06 to 0\.5, allowed is \[0, 1\]"),
        (pixel(255), "pixels from 0.5 to 255"),
        (pixel(1 + 2**-23), r"pixels from 0\.5 to 1\.0000001192092896, allowed is"),
        (pixel(-(2.0**-149)), r"pixels from -1\.4013e-45 to 0\.5, allowed is"),
        (pixel(1).double() * (1 + 2**-52), r"pixels from 0\.5\d* to 1\.0000000000000002, allowed is"),
    ],
)
def test_other_images_are_refused(images, message):
    with pytest.raises(InputError, match=message):
        check_images(images, SHAPE)


def test_any_shape_is_taken_where_none_is_known():
    check_images(torch.rand(2, 3, 5, 7), None)
    with pytest.raises(InputError, match=r"shape \(2, 35\), expected \(n, channels, rows, columns\)"):
        check_images(torch.rand(2, 35), None)
    with pytest.raises(InputError, match=r"expected \(n, 3, 7, 5\)"):
        check_images(torch.rand(2, 3, 5, 7), (3, 7, 5))


def test_latents():
    check_latents(torch.zeros(2, 10, 8), 2, 10, 8)


@pytest.mark.parametrize(
    ("latents", "message"),
    [
        (torch.zeros(3, 10, 8), r"shape \(3, 10, 8\), expected \(2, 10, 8\)"),
        (torch.zeros(2, 8), r"shape \(2, 8\)"),
        (torch.zeros(2, 10, 8, dtype=torch.int64), "floating and finite"),
        (torch.full((2, 10, 8), torch.nan), "floating and finite"),
    ],
)
def test_other_latents_are_refused(latents, message):
    with pytest.raises(InputError, match=message):
        check_latents(latents, 2, 10, 8)
