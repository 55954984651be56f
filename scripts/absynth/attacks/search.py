"""One-dimensional searches for the smallest perturbation: over ε, and along the line to the clean image."""

from collections.abc import Callable

import torch
from torch import Tensor

from absynth.attacks.target import Target

LARGEST = {"l2": 28.0, "linf": 1.0}  # distance between opposite corners of the image cube
Attempt = Callable[[Target, Tensor], None]  # attacks the m active images, each within its epsilon (m,) float64


def search_epsilon(
    target: Target,
    attempt: Attempt,
    *,
    doublings: int,
    bisections: int,
    per_doubling: int = 1,
    length_is_epsilon: bool = True,
    shared_grid: bool = False,
) -> None:
    """Turn an attack within a given ε into a minimum-norm one: double ε until it succeeds, then bisect.

    ε starts at LARGEST / 2^doublings and grows to LARGEST in `doublings · per_doubling` steps; each image
    leaves at its first success. Then `bisections` halvings between its largest failing (0 at first) and its
    smallest succeeding ε. An attempt succeeds where it finds an image nearer than the best so far; only
    images still in search are active in it. What is found is in `target`; without success it stays inf.

    length_is_epsilon: an adversarial at distance d shows that ε = d suffices, so that the best distance is the
        upper end, one known beforehand included. False for a step along a fixed ray, which clipping shortens
    shared_grid: keep ε on the dyadic grid LARGEST / 2^k, so that images share values
    """
    largest, steps = LARGEST[target.norm], doublings * per_doubling
    rows = target.rows
    failing = torch.zeros(len(rows), dtype=torch.float64, device=rows.device)  # largest failing epsilon, (m,)
    succeeding = torch.full_like(failing, torch.inf)  # smallest succeeding epsilon, (m,)

    def try_epsilon(epsilon: Tensor, wanted: Tensor) -> None:
        known = wanted & length_is_epsilon & (target.best_distance[rows] <= epsilon)
        success = known | _improved(target, attempt, epsilon, wanted & ~known)
        succeeding[success] = epsilon[success]
        failing[wanted & ~success] = epsilon[wanted & ~success]

    for step in range(steps + 1):
        epsilon = largest * 2.0 ** ((step - steps) / per_doubling)
        try_epsilon(torch.full_like(failing, epsilon), succeeding.isinf())
    for _ in range(bisections):
        if length_is_epsilon and not shared_grid:
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


def bisect_to_clean(target: Target, steps: int) -> None:
    """Bisect the line from each clean image to its best adversarial, where there is one; `steps` queries each.

    The distance shrinks with the length in l2 and linf; in l0 it does not, and nothing is gained.
    """
    found = target.best_distance[target.rows].isfinite()
    if not steps or not found.any():
        return
    with target.only(found):
        x, _ = target.active
        end = target.best[target.rows]
        low = torch.zeros(len(x), 1, 1, 1, dtype=x.dtype, device=x.device)
        high = torch.ones_like(low)
        for _ in range(steps):
            middle = (low + high) / 2
            misread = target.adversarial(torch.lerp(x, end, middle).clamp(0, 1)).view_as(low)
            low, high = torch.where(misread, low, middle), torch.where(misread, middle, high)
