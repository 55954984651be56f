"""Noise attacks: the least noise, of several random draws, that is misclassified."""

from dataclasses import dataclass

import torch
from torch import Tensor

from absynth.attacks.line_search import Family, smallest_of_draws
from absynth.attacks.pixels import any_channel, channels_of, every_channel
from absynth.attacks.randomness import SampleRandom
from absynth.attacks.target import Target
from absynth.errors import InputError


@dataclass(frozen=True)
class GaussianNoise:
    """Additive Gaussian noise, clipped to [0, 1], at the smallest scale that is misclassified.

    repetitions: noise directions per image; all but the first are tried only below the best scale so far
    largest: the standard deviation of the strongest noise; clipping leaves little but black and white of 4.0,
        and Foolbox had 1/√3 when the paper was written
    doublings: the coarse search doubles the standard deviation as often, up to the largest
    bisections: halvings of the interval in which the coarse search succeeds
    """

    repetitions: int
    largest: float
    doublings: int
    bisections: int

    def __call__(self, target: Target, random: SampleRandom) -> None:
        x = target.active[0].flatten(1)  # (m, d)

        def draw(curves: int, _: Tensor) -> Family:
            direction = (
                random.normal(target.rows, curves, x.shape[1]).to(x.dtype).transpose(0, 1)
            )  # (k, m, d)
            return Family(_add_noise, x, (direction,))

        exponents = torch.arange(-self.doublings, 1, dtype=x.dtype, device=x.device)
        grid = self.largest * 2**exponents
        smallest_of_draws(target, draw, self.repetitions, grid, bisections=self.bisections)


def _add_noise(scale: Tensor, x: Tensor, direction: Tensor) -> Tensor:
    return (x + scale * direction).clamp(0, 1)


def gaussian_noise(
    norm: str, *, repetitions: int = 51, largest: float = 4.0, doublings: int = 8, bisections: int = 8
) -> GaussianNoise:
    """The Gaussian Noise attack of Schott et al. (2019), section 5, as a minimum-norm attack; l2."""
    if norm != "l2":
        raise InputError(f"gaussian_noise: norm {norm!r}; l2 is allowed")
    return GaussianNoise(repetitions, largest, doublings, bisections)


@dataclass(frozen=True)
class SaltPepper:
    """Salt-and-pepper noise on the smallest number of pixels that is misclassified.

    repetitions: times that an order of pixels, and salt or pepper for each, are drawn per image
    """

    repetitions: int

    def __call__(self, target: Target, random: SampleRandom) -> None:
        salt_pepper_noise(target, random, draws=self.repetitions)


def salt_pepper(norm: str, *, repetitions: int = 101) -> SaltPepper:
    """The Salt&Pepper Noise attack of Schott et al. (2019), section 5; l0."""
    if norm != "l0":
        raise InputError(f"salt_pepper: norm {norm!r}; l0 is allowed")
    return SaltPepper(repetitions)


def salt_pepper_noise(
    target: Target, random: SampleRandom, *, draws: int, evolve: bool = False
) -> tuple[Tensor, Tensor]:
    """Find how few pixels of salt-and-pepper noise, in a random order, fool the model; keep the best draw.

    A random half of the pixels become black, the others white (in l0 each channel of a pixel by itself, all at once);
    those that are so already do not count. The number for the first draw is found by doubling, then by bisection to
    the pixel; the other draws are tried at smaller numbers than the best so far.

    evolve: take about four fifths of a draw's pixels from the best so far, and leave out changes of less than
        half the range. Far fewer pixels suffice, but the draws are no longer independent.
    Returns images (m, d), clean where no draw is misclassified, and found (m,) bool, where one is
    """
    x = target.active[0].flatten(1)  # (m, d)
    channels = channels_of(target)
    pixels = x.shape[1] // channels

    def draw(curves: int, best: Tensor) -> Family:
        drawn = random.uniform(target.rows, curves, 1 + channels, pixels).to(x.dtype)  # (m, k, 1 + C, P)
        order = drawn[:, :, 0].transpose(0, 1)  # (k, m, P)
        value = drawn[:, :, 1:].flatten(2).transpose(0, 1).round()  # (k, m, d)
        moved = (value - x).abs() >= 0.5 if evolve else value != x
        moved = any_channel(moved, channels)  # (k, m, P)
        if evolve:
            order, value, moved = _inherit(order, value, moved, x, best)
        # Pixels that keep their value come last, so that places count changed pixels.
        place = every_channel(rank(order.masked_fill(~moved, torch.inf)), channels)
        return Family(_flip, x, (place, value.where(every_channel(moved, channels), x)))

    doublings = pixels.bit_length()  # the last value of the grid flips every pixel
    grid = 2 ** torch.arange(doublings + 1, dtype=x.dtype, device=x.device)
    count, images = smallest_of_draws(target, draw, draws, grid, bisections=doublings, resolution=1)
    return images, count.isfinite()


def _inherit(
    order: Tensor, value: Tensor, moved: Tensor, x: Tensor, best: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Let the pixels where `best` (m, d) differs from x come early in the order, with their values in `best`.

    With c of them among n changed ones, keys below c / 4n, not 1, make four in five of the first c theirs.
    """
    channels = x.shape[1] // moved.shape[2]
    kept = any_channel(best != x, channels)  # (m, P)
    share = kept.sum(dim=1, keepdim=True) / moved.sum(dim=2, keepdim=True).clamp(min=1)  # (k, m, 1)
    value = torch.where(every_channel(kept, channels), best, value)
    return torch.where(kept, order * share / 4, order), value, moved | kept


def _flip(count: Tensor, x: Tensor, place: Tensor, value: Tensor) -> Tensor:
    return torch.where(place < count, value, x)


def start_from_noise(target: Target, random: SampleRandom, starts: int) -> None:
    """Ask for `starts` salt-and-pepper noises of the active images without adversarial, until each image has one.

    They turn a share of the pixels white and as many black, a share that grows to all of them.
    """
    for start in range(1, starts + 1):
        with target.only(target.best_distance[target.rows].isinf()):
            if len(target.rows):
                drawn = random.uniform(target.rows, *target.x.shape[1:]).to(target.x.dtype)
                share = start / starts / 2
                noisy = torch.where(drawn < share, 1.0, target.active[0])
                target.adversarial(torch.where(drawn > 1 - share, 0.0, noisy))


def rank(keys: Tensor) -> Tensor:
    """Each key's place (0 the smallest) along the last axis, int64; equal keys stay in their order."""
    order = keys.argsort(dim=-1, stable=True)
    places = torch.arange(keys.shape[-1], device=keys.device).expand_as(order)
    return torch.empty_like(order).scatter_(-1, order, places)
