"""Intensities of a data set's images: what is refused, and what is said of odd ones."""

import numpy as np
import pytest

from absynth.data.intensities import check_varied, odd_intensities
from absynth.errors import InputError


def noise(n: int, highest: int = 255, dtype=np.uint8) -> np.ndarray:
    images = np.random.default_rng(0).integers(0, highest + 1, (n, 28, 28)).astype(dtype)
    images[0, 0, 0] = highest
    return images


@pytest.mark.parametrize(
    ("value", "what"),
    [(0, "black"), (255, "white"), (7, "of the one intensity 7"), (1, "of the one intensity 1")],
)
@pytest.mark.parametrize("n", [1, 5])
def test_images_of_one_intensity_are_refused_with_it(value, what, n):
    advice = "multiply pixels of .* by 255 and round them before they become uint8, or " if value <= 1 else ""
    with pytest.raises(
        InputError, match=rf"^mine train: all {n} images are {what}; {advice}check how the file"
    ):
        check_varied(np.full((n, 28, 28), value, np.uint8), "mine train")


def test_floats_are_white_at_one():
    with pytest.raises(InputError, match="all 2 images are white"):
        check_varied(np.ones((2, 3, 8, 8), np.float32), "mine test")
    with pytest.raises(InputError, match=r"of the one intensity 0\.5"):
        check_varied(np.full((2, 3, 8, 8), 0.5, np.float32), "mine test")


def test_the_same_image_again_and_again_is_refused_but_a_single_one_is_not():
    one = noise(1)
    check_varied(one, "mine test")
    with pytest.raises(InputError, match=r"^mine test: all 4 images are the same image"):
        check_varied(np.repeat(one, 4, axis=0), "mine test")
    check_varied(np.concatenate([one, one, noise(2)]), "mine test")


@pytest.mark.parametrize("highest", [2, 16, 100, 127, 128, 255])
def test_images_are_odd_if_none_of_their_pixels_reaches_half_of_white(highest):
    for images in (noise(3, highest), noise(3, highest).astype(np.float32) / 255):
        found = [line for line in odd_intensities(images) if "brightest" in line]
        assert len(found) == (highest < 127.5)
        assert all(
            f"is {highest / 255:.3g}, where white is 1 (as uint8 {highest} of 255)" in line for line in found
        )


def test_images_that_show_nothing_are_counted_and_some_named():
    images = noise(20)
    assert odd_intensities(images) == []
    images[[3, 7, 8, 19]] = np.array([0, 255, 4, 4])[:, None, None]
    (line,) = odd_intensities(images)
    assert line.startswith("4 of 20 images show nothing, all their pixels are equal (at 3, 7, 8, …)")


def test_images_of_a_single_pixel_are_all_constant_and_not_odd():
    assert odd_intensities(noise(300)[:, :1, :1]) == []


def test_no_images_are_not_odd():
    assert odd_intensities(noise(3)[:0]) == []
