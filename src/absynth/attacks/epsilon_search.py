"""Searches for each image's smallest perturbation: over ε, along a curve, and back to the clean image."""

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor

from absynth.attacks.target import Target
from absynth.errors import InputError
from absynth.norms import NORMS

Choice = TypeVar("Choice")
Attempt = Callable[[Target, Tensor], None]  # attacks the active images within epsilons (m,) float64
ImageAt = Callable[[Target, Tensor], Tensor]  # points (m,) on the active images' curves to (m, 1, 28, 28)


def search_epsilon(
    target: Target, attempt: Attempt, *, doublings: int, bisections: int, shared_grid: bool = False
) -> None:
    """Double each image's ε until the attack succeeds, then bisect between failure and success.

    ε runs from largest / 2^doublings to the norm's largest distance; an image leaves at its first success. Then come `bisections`
    halvings between its largest failing ε (0 at first) and its smallest succeeding one, which is the best
    distance found if that is smaller (one known beforehand included). An attempt succeeds where it finds an
    image nearer than the best so far; only images in search are active in it. What is found is in `target`;
    an image that never succeeds stays at inf.

    shared_grid: keep ε on the dyadic grid largest / 2^k, so that many images share few values
    """
    rows = target.rows
    failing = torch.zeros(len(rows), dtype=torch.float64, device=rows.device)  # largest failing epsilon, (m,)
    succeeding = torch.full_like(failing, torch.inf)  # smallest succeeding epsilon, (m,)

    def try_epsilon(epsilon: Tensor, wanted: Tensor) -> None:
        known = wanted & (target.best_distance[rows] <= epsilon)
        success = known | _improved(target, attempt, epsilon, wanted & ~known)
        succeeding[success] = epsilon[success]
        failing[wanted & ~success] = epsilon[wanted & ~success]

    for doubling in range(doublings + 1):
        epsilon = NORMS[target.norm].largest * 2.0 ** (doubling - doublings)
        try_epsilon(torch.full_like(failing, epsilon), succeeding.isinf())
    for _ in range(bisections):
        if not shared_grid:
            succeeding = torch.minimum(succeeding, target.best_distance[rows])
        try_epsilon((failing + succeeding) / 2, succeeding.isfinite() & (failing < succeeding))


def _improved(target: Target, attempt: Attempt, epsilon: Tensor, wanted: Tensor) -> Tensor:
    """Attempt the wanted ones (m,) of the active images; which of them came nearer, (m,) bool."""
    before = target.best_distance[target.rows]  # a copy, (m,)
    if wanted.any():
        with target.only(wanted):
            attempt(target, epsilon[wanted])
    return target.best_distance[target.rows] < before


def per_distinct_epsilon(attempt: Callable[[Target, float], None]) -> Attempt:
    """Let an attack that takes one ε for its whole batch serve images with an ε each, one value at a time."""

    def attempt_each(target: Target, epsilon: Tensor) -> None:
        for value in epsilon.unique():
            with target.only(epsilon == value):
                attempt(target, value.item())

    return attempt_each


def first_success(target: Target, attempts: list[Attempt], epsilon: Tensor) -> None:
    """Make several attempts at the same ε (m,), each image until one brings it nearer."""
    waiting = torch.ones(len(target.rows), dtype=torch.bool, device=target.rows.device)
    for attempt in attempts:
        waiting &= ~_improved(target, attempt, epsilon, waiting)


def search_ray(target: Target, image_at: ImageAt, grid: Tensor, bisections: int) -> None:
    """Find the first value of `grid` (g,) at which each image's curve is misclassified, and bisect below it.

    grid: positive and ascending; the curve starts at 0 with the clean image and leads away from it. An image
        leaves the grid where its curve is farther than its nearest adversarial
    """
    low = torch.zeros(len(target.rows), dtype=grid.dtype, device=grid.device)  # (m,)
    high = torch.full_like(low, torch.inf)
    for value in grid:
        waiting = high.isinf() & _promising(target, image_at(target, low))
        misclassified = _misclassified(target, image_at, value.expand(len(low)), waiting)
        low, high = torch.where(waiting & ~misclassified, value, low), torch.where(misclassified, value, high)
    _bisect(target, image_at, low, high, bisections)


def search_line(
    target: Target, direction: Tensor, *, doublings: int, per_doubling: int, bisections: int
) -> None:
    """Find how far along its direction each active image, clipped to [0, 1], is misclassified first (`search_ray`).

    direction (m, 1, 28, 28): of length 1 in the target's norm, or 0
    doublings, per_doubling: the coarse search grows ε to the largest distance in that many doublings, each of
        that many steps
    bisections: halvings of the step in which it succeeds
    """
    along = torch.zeros_like(target.x)  # (n, 1, 28, 28)
    along[target.rows] = direction.to(along.dtype)

    def image_at(target: Target, epsilon: Tensor) -> Tensor:
        return (target.x[target.rows] + epsilon.view(-1, 1, 1, 1) * along[target.rows]).clamp(0, 1)

    steps = torch.arange(-doublings * per_doubling, 1, device=along.device)
    grid = NORMS[target.norm].largest * 2 ** (steps / per_doubling)  # epsilons of the coarse search, (g,)
    search_ray(target, image_at, grid.to(along.dtype), bisections)


def bisect_to_clean(target: Target, steps: int) -> None:
    """Bisect the line from each clean image to its best adversarial, if it has one; `steps` queries each.

    In l0 it does nothing: there the distance does not shrink with the length.
    """
    if target.norm == "l0":
        return
    end = target.best.clone()

    def image_at(target: Target, share: Tensor) -> Tensor:
        return torch.lerp(target.x[target.rows], end[target.rows], share.view(-1, 1, 1, 1)).clamp(0, 1)

    found = target.best_distance[target.rows].isfinite()
    high = torch.where(found, 1.0, torch.inf).to(target.x.dtype)  # share of the way to the adversarial, (m,)
    _bisect(target, image_at, torch.zeros_like(high), high, steps)


def _bisect(target: Target, image_at: ImageAt, low: Tensor, high: Tensor, bisections: int) -> None:
    """Halve the intervals (m,) from `low`, which is correctly classified, to `high`, which is misclassified unless inf."""
    wanted = high.isfinite()
    for _ in range(bisections):
        middle = (low + high) / 2
        misclassified = _misclassified(target, image_at, middle, wanted)
        low, high = torch.where(misclassified, low, middle), torch.where(misclassified, middle, high)


def _promising(target: Target, images: Tensor) -> Tensor:
    """Whether images (m, 1, 28, 28) would be the active ones' nearest adversarials, if misclassified: (m,) bool."""
    return target.record.measure(target.rows, images) < target.record.distance[target.rows]


def _misclassified(target: Target, image_at: ImageAt, parameter: Tensor, wanted: Tensor) -> Tensor:
    """Ask for the wanted ones (m,) of the active images only; (m,) bool, False for the others."""
    misclassified = torch.zeros_like(wanted)
    if wanted.any():
        with target.only(wanted):
            misclassified[wanted] = target.adversarial(image_at(target, parameter[wanted]))
    return misclassified


def for_norm(norm: str, **choices: Choice) -> Choice:
    """What an attack uses in a norm. Raises InputError for a norm that it does not minimise."""
    if norm not in choices:
        raise InputError(f"norm {norm!r}; this attack minimises {', '.join(choices)}")
    return choices[norm]
