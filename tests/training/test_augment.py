"""Random changes of training images."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from absynth.training.augment import enlarged, shifted, shifted_or_enlarged


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def moved(image: torch.Tensor, down: int, right: int) -> torch.Tensor:
    """`image` (h, w) moved pixel by pixel, zeros elsewhere."""
    result = torch.zeros_like(image)
    height, width = image.shape
    for row in range(height):
        for column in range(width):
            if 0 <= row - down < height and 0 <= column - right < width:
                result[row, column] = image[row - down, column - right]
    return result


def test_no_shift_draws_nothing():
    images = torch.rand(3, 1, 5, 5)
    drawn = generator()
    assert shifted(images, 0, drawn) is images
    assert torch.equal(drawn.get_state(), generator().get_state())


@given(st.integers(1, 3), st.integers(1, 6), st.integers(3, 6), st.integers(3, 6), st.integers(0, 99))
def test_every_image_is_moved_by_a_step_within_the_limit(most, n, height, width, seed):
    images = 0.1 + torch.rand(n, 1, height, width, generator=generator(seed))
    result = shifted(images, most, generator(seed))
    assert result.shape == images.shape
    steps = [(down, right) for down in range(-most, most + 1) for right in range(-most, most + 1)]
    for before, after in zip(images[:, 0], result[:, 0], strict=True):
        assert any(torch.equal(moved(before, *step), after) for step in steps)


def test_steps_are_the_difference_of_two_draws():
    """A pixel in the middle of 5 × 5, moved by up to one: a sixteenth, an eighth or a quarter of the time."""
    images = torch.zeros(40_000, 1, 5, 5)
    images[:, 0, 2, 2] = 1
    shares = shifted(images, 1, generator()).mean(dim=(0, 1))
    one_axis = torch.tensor([0.0, 0.25, 0.5, 0.25, 0.0])
    torch.testing.assert_close(shares, one_axis[:, None] * one_axis, atol=0.01, rtol=0)


@pytest.mark.parametrize("most", [0, 2])
def test_images_given_stay_as_they_were(most):
    images = torch.rand(4, 1, 6, 6)
    before = images.clone()
    shifted(images, most, generator())
    assert torch.equal(images, before)


@given(st.floats(1.0, 2.0), st.integers(0, 99))
def test_enlarging_shows_a_window_within_the_image(most, seed):
    """Of an image that rises evenly to the right, or downwards, and that interpolation therefore keeps even."""
    ramp = torch.arange(9.0).expand(9, 9)
    across, down = enlarged(torch.stack([ramp, ramp.T])[:, None], most, generator(seed))[:, 0]
    for image in (across, down.T):
        assert (image - image[0]).abs().max() < 1e-4
        steps = image[0, 2:-2].diff()  # the outermost may show the border
        assert steps.max() - steps.min() < 1e-4
        assert 1 / most - 1e-4 <= steps.mean() <= 1 + 1e-4
        assert -1e-4 <= image.min() <= image.max() <= 8 + 1e-4


def test_enlarging_draws_factor_and_place():
    ramp = torch.arange(9.0).expand(2000, 1, 9, 9)
    rows = enlarged(ramp, 1.5, generator())[:, 0, 0]
    widths, middles = rows[:, 4:6].diff(dim=1).squeeze(1), rows[:, 4]
    assert widths.min() == pytest.approx(1 / 1.5, abs=0.01)
    assert widths.max() == pytest.approx(1, abs=0.01)
    assert widths.mean() == pytest.approx((1 + 1 / 1.5) / 2, abs=0.01)
    assert middles.mean() == pytest.approx(4, abs=0.05)
    farthest = (middles - 4).abs() / (1 - widths) / 4.5  # of the window's centre, of how far it may lie
    assert farthest[widths < 0.95].max() == pytest.approx(1, abs=0.02)


def test_half_of_the_images_are_enlarged():
    images = torch.rand(1000, 1, 4, 4, generator=generator())
    kept = (shifted_or_enlarged(images, 0, 2.0, generator()) == images).flatten(1).all(dim=1)
    assert 0.45 < kept.float().mean() < 0.55
    assert shifted_or_enlarged(images, 0, 1.0, generator()) is images
