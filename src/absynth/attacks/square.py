"""Square attack: random search by changes of squares of pixels, at ever smaller ε."""

from dataclasses import dataclass

import torch
from torch import Tensor

from absynth.attacks.api import for_norm
from absynth.attacks.line_search import bisect_to_clean, search_line
from absynth.attacks.margins import ask_margins
from absynth.attacks.randomness import SampleRandom
from absynth.attacks.square_steps import STEPS, start_pattern, uniform_numbers, window_side, within
from absynth.attacks.target import Target
from absynth.norms import NORMS

# By what the share p of changed pixels is divided, from each of the queries on.
_SCHEDULE = {0: 1, 11: 2, 51: 4, 201: 8, 501: 16, 1001: 32, 2001: 64, 4001: 128, 6001: 256, 8001: 512}
_DOUBLINGS, _BISECTIONS = 8, 6  # of the line search for the first ε


@dataclass(frozen=True)
class Square:
    """Options as in `square`."""

    queries: int
    share: float
    shrink: float

    def __call__(self, target: Target, random: SampleRandom) -> None:
        pattern = draw_pattern(target, random)
        lacking = target.best_distance[target.rows].isinf()
        with target.only(lacking):
            if len(target.rows):
                search_line(
                    target,
                    pattern[lacking],
                    doublings=_DOUBLINGS,
                    per_doubling=1,
                    bisections=_BISECTIONS,
                )
        with target.only(~lacking):
            bisect_to_clean(target, _BISECTIONS)
        found = target.best_distance[target.rows].isfinite()[:, None, None, None]
        x, best = target.active[0], target.best[target.rows]
        corner = torch.maximum(x, 1 - x).flatten(1).double()  # the largest changes within the box
        farthest = NORMS[target.norm].measure(corner)  # (m,)
        start = torch.where(found, best, x + farthest.to(x.dtype).view(-1, 1, 1, 1) * pattern)
        epsilon = self.smaller(target).minimum(farthest)
        search_squares(target, random, self, start, epsilon)

    def smaller(self, target: Target) -> Tensor:
        """The next ε (m,) float64 of the active images: a little less than their best distances."""
        return (1 - self.shrink) * target.best_distance[target.rows]


def draw_pattern(target: Target, random: SampleRandom) -> Tensor:
    """The first perturbations (m, C, H, W) of the active images, of length 1."""
    _, channels, *size = target.x.shape
    drawn = random.uniform(target.rows, 1 + channels, *size).to(target.x.dtype)
    return start_pattern(target.norm, target.active[0].shape, drawn)


@torch.no_grad()
def search_squares(
    target: Target, random: SampleRandom, options: Square, start: Tensor, epsilon: Tensor
) -> None:
    """Random search of the active images within ε (m,) float64, from `start` (m, C, H, W) drawn into the ball.

    Each step's point is kept if its margin is no larger; one that was drawn into a smaller ball is asked itself
    first. After a success an image goes on below its best distance, or with options.shrink = 1 leaves. Each image
    asks at most options.queries times.
    """
    x, norm = target.active[0], target.norm
    point = within(start, x, epsilon, norm)
    value = torch.full((len(x),), torch.inf, dtype=x.dtype, device=x.device)
    numbers = uniform_numbers(norm, x.shape[1])
    drawn = random.uniform(target.rows, options.queries, numbers).to(x.dtype)  # (m, queries, numbers)
    going = torch.arange(len(x), device=x.device)
    for query in range(options.queries):
        going = going[epsilon[going] > 0]
        if not len(going):
            return
        divisor = max(value for least, value in _SCHEDULE.items() if least <= query)
        side = window_side(norm, options.share / divisor, x.shape)
        with target.only(going):
            asked = STEPS[norm](point[going], x[going], epsilon[going], side, drawn[going, query])
            asked = torch.where(value[going, None, None, None].isinf(), point[going], asked)
            margin = ask_margins(target, asked.flatten(1)[None])[0]
            smaller = options.smaller(target)
        better = margin <= value[going]
        point[going[better]] = asked[better]
        value[going[better]] = margin[better]
        fooled = going[margin < 0]
        epsilon[fooled] = smaller[margin < 0]
        point[fooled] = within(point[fooled], x[fooled], epsilon[fooled], norm)
        value[fooled] = torch.inf


def square(norm: str, *, queries: int = 5000, share: float = 0.8, shrink: float = 0.02) -> Square:
    """Square attack, l2 or linf (Andriushchenko et al. 2020), which knows logits only.

    Each step changes the perturbation in a square window, at a random place, and is kept if the margin is no larger.
    The paper has a fixed ε. Here ε follows the best adversarial: it begins just below the distance at which the
    first pattern succeeds (a line search of some 15 queries), or just below that of the best adversarial known, after
    6 bisections towards the clean image; after each success it becomes a little less than the distance, and the point
    is drawn into the smaller ball. A search over ε instead would spend whole runs on values that turn out too small,
    and each ε would find again most of what the larger one had found.

    queries: of the search; share: of the pixels in a window at first; it falls by halves as in the paper, where
        the search has 10,000 queries
    shrink: by how much of the best distance the next ε is smaller
    """
    for_norm(norm, l2=None, linf=None)
    return Square(queries, share, shrink)
