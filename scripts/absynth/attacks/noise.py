"""Noise attacks: the least noise of a few random kinds that fools the model."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from absynth.attacks.line_search import Family, smallest_success
from absynth.attacks.randomness import SampleRandom
from absynth.attacks.target import Target
from absynth.errors import InputError

_TOGETHER = 10  # repetitions drawn and tried side by side; bounds the memory
_LARGEST_DEVIATION = 4.0  # noise so strong that clipping leaves little but black and white


@dataclass(frozen=True)
class GaussianNoise:
    """Additive Gaussian noise, clipped to [0, 1], at the smallest scale that fools the model.

    repetitions: noise directions per image
    doublings: the coarse search doubles the standard deviation as often, up to 4
    bisections: halvings of the interval in which the coarse search succeeds
    """

    repetitions: int
    doublings: int
    bisections: int

    def __call__(self, target: Target, random: SampleRandom) -> None:
        x = target.active[0].flatten(1)  # (m, d)
        exponents = torch.arange(-self.doublings, 1, dtype=x.dtype, device=x.device)
        for families in _portions(self.repetitions):
            direction = (
                random.normal(target.rows, families, x.shape[1]).to(x.dtype).transpose(0, 1)
            )  # (k, m, d)
            smallest_success(
                target,
                _noisy(x, direction),
                families,
                _LARGEST_DEVIATION * 2**exponents,
                bisections=self.bisections,
            )


def _noisy(x: Tensor, direction: Tensor) -> Family:
    return lambda scale, chosen: (x[chosen] + scale[..., None] * direction[:, chosen]).clamp(0, 1)


def gaussian_noise(
    norm: str, *, repetitions: int = 10, doublings: int = 8, bisections: int = 8
) -> GaussianNoise:
    """The Gaussian Noise attack of Schott et al. (2019), section 5, as a minimum-norm attack; l2."""
    if norm != "l2":
        raise InputError(f"gaussian_noise: norm {norm!r}; l2 is allowed")
    return GaussianNoise(repetitions, doublings, bisections)


@dataclass(frozen=True)
class SaltPepper:
    """Salt-and-pepper noise on the smallest number of pixels that fools the model.

    repetitions: times that an order of pixels, and salt or pepper for each, are drawn per image
    """

    repetitions: int

    def __call__(self, target: Target, random: SampleRandom) -> None:
        for families in _portions(self.repetitions):
            salt_pepper_noise(target, random, families)


def salt_pepper(norm: str, *, repetitions: int = 10) -> SaltPepper:
    """The Salt&Pepper Noise attack of Schott et al. (2019), section 5, minimising the number of pixels; l0."""
    if norm != "l0":
        raise InputError(f"salt_pepper: norm {norm!r}; l0 is allowed")
    return SaltPepper(repetitions)


def salt_pepper_noise(target: Target, random: SampleRandom, families: int) -> tuple[Tensor, Tensor]:
    """Draw salt-and-pepper noise and find how few of its pixels, in a random order, fool the model.

    Half the pixels become black and half white; those that already are do not count and do not matter. The number
    is searched for by doubling, then by bisection to the pixel.

    Returns images (families, m, d), clean where all pixels together do not fool it, and found (families, m) bool
    """
    x = target.active[0].flatten(1)  # (m, d)
    drawn = random.uniform(target.rows, families, 2, x.shape[1]).to(x.dtype)  # (m, k, 2, d)
    order, value = drawn.permute(2, 1, 0, 3)  # each (k, m, d)
    value = value.round()
    place = rank(order.masked_fill(value == x, torch.inf))  # pixels that keep their value come last

    def flipped(count: Tensor, chosen: Tensor) -> Tensor:
        return torch.where(place[:, chosen] < count[..., None], value[:, chosen], x[chosen])

    doublings = x.shape[1].bit_length()  # the last value of the grid flips every pixel
    grid = 2 ** torch.arange(doublings + 1, dtype=x.dtype, device=x.device)
    count = smallest_success(target, flipped, families, grid, bisections=doublings, resolution=1)  # (k, m)
    found = count.isfinite()
    return flipped(count.where(found, torch.zeros_like(count)), torch.arange(len(x), device=x.device)), found


def rank(keys: Tensor) -> Tensor:
    """Each key's place (0 the smallest) along the last axis, int64; equal keys stay in their order."""
    return keys.argsort(dim=-1, stable=True).argsort(dim=-1)


def _portions(total: int) -> Iterator[int]:
    """Split `total` repetitions into portions that are tried side by side."""
    for begin in range(0, total, _TOGETHER):
        yield min(_TOGETHER, total - begin)
