"""The search over ε that makes a minimum-norm attack of one that works within a given ε."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from absynth.attacks.line_search import bisect, search_grid
from absynth.attacks.target import Target
from absynth.norms import NORMS

Attempt = Callable[[Target, Tensor], None]  # attacks the active images within epsilons (m,) float64


def search_epsilon(
    target: Target, attempt: Attempt, *, doublings: int, bisections: int, shared_grid: bool = False
) -> None:
    """Double each image's ε until the attack succeeds, then bisect between failure and success.

    ε runs from largest / 2^doublings to the largest distance in the norm; an image leaves at its first success. Then
    come `bisections` halvings between its largest failing ε (0 at first) and its smallest succeeding one, which is
    the best distance found if that is smaller (one known beforehand included). An attempt succeeds where it improves
    on the best adversarial; only images in search are active in it. What is found is in `target`; an image that
    never succeeds stays at inf.

    shared_grid: keep ε on the dyadic grid largest / 2^k, so that many images share few values
    """
    rows = target.rows
    largest = NORMS[target.norm].largest(target.x.shape[1:])
    grid = [largest * 2.0 ** (doubling - doublings) for doubling in range(doublings + 1)]
    epsilons = torch.tensor(grid, dtype=torch.float64, device=rows.device)

    def ask(epsilon: Tensor, pending: Tensor) -> Tensor:
        with target.only(pending):
            known = target.best_distance[target.rows] <= epsilon
            return known | _improved(target, attempt, epsilon, ~known)

    def tighten(high: Tensor) -> Tensor:
        return torch.minimum(high, target.best_distance[rows])

    low, high = search_grid(ask, epsilons, epsilons.new_zeros(len(rows)))
    bisect(ask, low, high, bisections=bisections, tighten=None if shared_grid else tighten)


def _improved(target: Target, attempt: Attempt, epsilon: Tensor, wanted: Tensor) -> Tensor:
    """Attempt the wanted ones (m,) of the active images; which of them got a better adversarial, (m,) bool."""
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


def first_success(target: Target, attempts: Sequence[Attempt], epsilon: Tensor) -> None:
    """Make several attempts at the same ε (m,), each image until one improves on its best adversarial."""
    waiting = torch.ones(len(target.rows), dtype=torch.bool, device=target.rows.device)
    for attempt in attempts:
        waiting &= ~_improved(target, attempt, epsilon, waiting)
