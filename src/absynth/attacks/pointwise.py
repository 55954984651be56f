"""The Pointwise attack of Schott et al. (2019), section 5, many images and pixels at a time."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from absynth.attacks.line_search import Family, ask_images, bisect_curve
from absynth.attacks.noise import rank, salt_pepper_noise
from absynth.attacks.pixels import any_channel, channels_of, every_channel
from absynth.attacks.randomness import SampleRandom
from absynth.attacks.target import Target
from absynth.errors import InputError

GAIN = 0.01  # the least share of its distance by which a turn of its queue must bring an image closer


@dataclass(frozen=True)
class Pointwise:
    """Salt-and-pepper noise, from which every pixel is reset that the adversarial does not need.

    In l0 all channels of a pixel are reset together; in l2 each is a pixel of its own.

    Where an adversarial is known already, its pixels are reset first.

    repetitions: starts per image
    draws: noise images that a start is evolved from, towards fewer pixels; fewer at the start leave fewer at
        the end
    block: candidates per image and model call; more take fewer calls and more evaluations
    resolution: pixels move towards clean until so small a step (in intensity) fails; None: they stay
    """

    repetitions: int
    draws: int
    block: int
    resolution: float | None

    def __call__(self, target: Target, random: SampleRandom) -> None:
        known = target.best_distance[target.rows].isfinite()
        self._descend(target, random, target.best[target.rows].flatten(1), known)
        for _ in range(self.repetitions):
            self._descend(target, random, *salt_pepper_noise(target, random, draws=self.draws, evolve=True))

    def _descend(self, target: Target, random: SampleRandom, start: Tensor, found: Tensor) -> None:
        """Reset pixels of adversarials `start` (m, d) where they are `found` (m,)."""
        with target.only(found):
            reset = reset_pixels(target, random, start[found], block=self.block)
            if self.resolution is not None:
                approach_clean(target, random, reset, block=self.block, resolution=self.resolution)


def pointwise(
    norm: str, *, repetitions: int = 1, draws: int = 121, block: int = 3, resolution: float = 1 / 256
) -> Pointwise:
    """The Pointwise attack; l0, and l2, where the pixels that are left approach their clean values.

    `resolution` is of no effect for l0.
    """
    if norm not in ("l0", "l2"):
        raise InputError(f"pointwise: norm {norm!r}; l0 and l2 are allowed")
    return Pointwise(repetitions, draws, block, resolution if norm == "l2" else None)


class _Descent(NamedTuple):
    """How far the resetting of m images has come."""

    current: Tensor  # (m, d) the adversarials
    place: (
        Tensor  # (m, P) each perturbed pixel's place in the queue, from 0; the other pixels come after them
    )
    kept: Tensor  # (m,) pixels that could not be reset since one last was: all of them at the end
    stride: Tensor  # (m,) the next candidates reset 1, 2, … times as many pixels; 0: the pixels one by one


def reset_pixels(target: Target, random: SampleRandom, start: Tensor, *, block: int) -> Tensor:
    """Reset pixels of adversarials `start` (m, d), in random order, until no single one can be reset.

    Each call tries `block` candidates per image. While resets succeed, these reset the first 1, 2, …, `block`
    pixels of the queue together, and the longest success is taken; or as many times a stride, which grows
    with success and shrinks where it fails, down to one pixel. While single pixels fail, the first `block` of
    the queue are tried each by itself. A pixel that cannot be reset goes to the end of the queue.
    """
    clean, channels = target.active[0].flatten(1), channels_of(target)
    place = _shuffle(random, target.rows, any_channel(start != clean, channels))
    state = _Descent(start.clone(), place, torch.zeros_like(place[:, 0]), torch.ones_like(place[:, 0]))
    while True:
        left = any_channel(state.current != clean, channels).sum(dim=1)
        pending = (state.kept < left).nonzero().squeeze(1)
        if not len(pending):
            return state.current
        with target.only(pending):
            step = _reset_step(target, clean[pending], _Descent(*(part[pending] for part in state)), block)
        for part, value in zip(state, step, strict=True):
            part[pending] = value


def _reset_step(target: Target, clean: Tensor, state: _Descent, block: int) -> _Descent:
    """One model call of `reset_pixels`."""
    current, place, kept, stride = state
    channels = channels_of(target)
    left = any_channel(current != clean, channels).sum(dim=1)
    single = stride == 0
    slot = torch.arange(1, block + 1, device=clean.device)[:, None]  # (block, 1)
    end = (slot * stride.clamp(min=1)).minimum(left)  # (block, m), candidates reset places begin … end - 1
    begin = torch.where(single, end - 1, 0)
    chosen = (place >= begin[..., None]) & (place < end[..., None])  # (block, m, P)
    success = ask_images(target, torch.where(every_channel(chosen, channels), clean, current))  # (block, m)
    tried = end[-1]  # (m,)

    # Of single pixels the first success is taken, of groups the longest. What is known to fail by itself
    # stands before that single pixel, or right behind a group that grew pixel by pixel.
    first = torch.where(success, begin, tried).amin(dim=0)
    length = torch.where(success, end, 0).amax(dim=0)
    reset_begin, reset_end = (
        torch.where(single, first, 0),
        torch.where(single, first + 1, length).minimum(tried),
    )
    failed_begin = torch.where(single, 0, length)
    failed_end = torch.where(single, first, length + (stride == 1)).minimum(tried)
    progress, failures = reset_end > reset_begin, failed_end - failed_begin
    reset = every_channel(_between(place, reset_begin, reset_end), channels)
    current = torch.where(reset, clean, current)
    perturbed = any_channel(current != clean, channels)
    place = _requeue(place, _between(place, failed_begin, failed_end), perturbed)

    # Single pixels that failed before another was reset need another trial.
    kept = torch.where(progress, torch.where(single, 0, failures), kept + failures)
    shorter = -(-stride // (block + 1))  # the next call then cuts the stride that failed into block + 1 parts
    longer_or_shorter = torch.where(length == tried, 2 * stride, shorter)
    alone = torch.where(single, ~progress, (stride == 1) & ~progress)
    return _Descent(current, place, kept, torch.where(alone, 0, longer_or_shorter.clamp(min=1)))


def _between(place: Tensor, begin: Tensor, end: Tensor) -> Tensor:
    """Pixels at places begin … end - 1 of their image's queue; begin, end (m,), result (m, P) bool."""
    return (place >= begin[:, None]) & (place < end[:, None])


def _shuffle(random: SampleRandom, rows: Tensor, perturbed: Tensor) -> Tensor:
    """Places (m, P) in a queue of the perturbed pixels in random order, the other pixels behind them."""
    order = random.uniform(rows, perturbed.shape[1])
    return rank(order.masked_fill(~perturbed, torch.inf))


def _requeue(place: Tensor, failed: Tensor, perturbed: Tensor) -> Tensor:
    """Send the failed pixels to the end of the queue, and those no longer perturbed behind it."""
    size = place.shape[1]
    return rank(place + size * failed + 2 * size * ~perturbed)


def approach_clean(
    target: Target, random: SampleRandom, start: Tensor, *, block: int, resolution: float
) -> Tensor:
    """Move single pixels of adversarials `start` (m, d) towards clean until none can by `resolution`.

    Each call tries a step of `block` pixels of a random queue, each by itself. The first that can move is
    brought, by bisection, as near to its clean value as the image stays adversarial. An image ends too if a turn
    of its queue brought it closer by less than a share GAIN: where a model's answers to one image vary, as with
    inference that goes on from what it found last, its pixels may creep by a step a turn.
    """
    clean = target.active[0].flatten(1)
    current = start.clone()
    place = _shuffle(random, target.rows, start != clean)
    kept = torch.zeros_like(place[:, 0])  # (m,) pixels that could not move since one last did
    turns = _Turns(current - clean)
    while True:
        left = (current != clean).sum(dim=1)
        pending = ((kept < left) & ~turns.in_vain(current - clean)).nonzero().squeeze(1)
        if not len(pending):
            return current
        tried = left[pending].clamp(max=block)
        with target.only(pending):
            first = _first_movable(
                target, clean[pending], current[pending], place[pending], tried, block, resolution
            )
            movable = (first < tried).nonzero().squeeze(1)
            moved = pending[movable]
            pixel = (place[moved] == first[movable, None]).int().argmax(dim=1)  # (c,)
            with target.only(movable):
                current[moved] = _approach(target, clean[moved], current[moved], pixel, resolution)
        kept[pending] = torch.where(first < tried, 0, kept[pending] + tried)
        last = (first + 1).minimum(tried)  # the pixel that moved stands at its boundary, and queues again too
        turns.visited[pending] += last
        turned = _between(place[pending], torch.zeros_like(last), last)
        place[pending] = _requeue(place[pending], turned, current[pending] != clean[pending])


class _Turns:
    """What the turns of m images' queues bring, by their perturbations (m, d).

    visited (m,): pixels of the turn that were tried; whoever tries them counts them here
    """

    def __init__(self, perturbation: Tensor):
        self.length = (perturbation != 0).sum(dim=1)  # of the turn, in pixels
        self.before = perturbation.norm(dim=1)  # the distance as it began
        self.visited = torch.zeros_like(self.length)
        self._ended = torch.zeros_like(self.length, dtype=torch.bool)

    def in_vain(self, perturbation: Tensor) -> Tensor:
        """Whether a turn has ended that brought the image closer by less than GAIN: (m,) bool."""
        over, distance = self.visited >= self.length, perturbation.norm(dim=1)
        self._ended |= over & (distance > (1 - GAIN) * self.before)
        self.length = torch.where(over, (perturbation != 0).sum(dim=1), self.length)
        self.before = torch.where(over, distance, self.before)
        self.visited[over] = 0
        return self._ended


def _first_movable(
    target: Target,
    clean: Tensor,
    current: Tensor,
    place: Tensor,
    tried: Tensor,
    block: int,
    resolution: float,
) -> Tensor:
    """The first of the `tried` (m,) places whose pixel can move by `resolution`; `tried` if none can."""
    slot = torch.arange(block, device=clean.device)[:, None].minimum(tried - 1)  # (block, m)
    gap = current - clean
    closer = torch.where(gap.abs() <= resolution, clean, current - resolution * gap.sign())  # (m, d)
    success = ask_images(target, torch.where(place == slot[..., None], closer, current))
    return torch.where(success, slot, tried).amin(dim=0)


def _approach(target: Target, clean: Tensor, current: Tensor, pixel: Tensor, resolution: float) -> Tensor:
    """Bring one pixel (c,) of each image, known to move by `resolution`, as near to clean as `bisect` can."""
    chosen = torch.arange(current.shape[1], device=pixel.device) == pixel[:, None]  # (c, d)
    gap = torch.where(chosen, current - clean, 0)
    family = Family(_bring_to, current, (chosen[None], clean[None], gap.sign()[None]))
    high = (gap.abs().amax(dim=1) - resolution).clamp(min=0)  # (c,)
    size = bisect_curve(target, family, torch.zeros_like(high), high, bisections=32, resolution=resolution)
    return family.at(size[None])[0]


def _bring_to(size: Tensor, current: Tensor, chosen: Tensor, clean: Tensor, sign: Tensor) -> Tensor:
    return torch.where(chosen, clean + size * sign, current)
