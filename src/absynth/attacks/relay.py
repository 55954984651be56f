"""When a relay of attacks leaves an image: gained nothing in the last round, or proved to be tight.

In a relay, attacks that start from adversarials take turns, each from the best of all before it, in rounds
(docs/how-to/strong-attacks.md).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

# What the dataset `stopped` of a relay's shards says of an image.
ATTACKED, NO_GAIN, TIGHT = 0, 1, 2


def stopped(before: Tensor, after: Tensor, gain: float, bound: Tensor | None, tightness: float) -> Tensor:
    """Which images (n,) int64 a round leaves out: `ATTACKED`, `NO_GAIN` or `TIGHT`.

    before, after (n,): the smallest distances known before and after the last round; inf where there is none,
        0 where the clean image is misclassified, which is not attacked anyway
    gain: the share of the distance that a round must have gained on an image, or else it is left out from now on
    bound (n,): proved lower bounds, None if there are none
    tightness: by what share of a proved bound a distance may exceed it and count as tight; NaN bounds prove nothing
    """
    codes = torch.full(after.shape, ATTACKED, dtype=torch.int64, device=after.device)
    found = after.isfinite()
    codes[found & (after > (1 - gain) * before)] = NO_GAIN
    codes[before.isinf() & after.isinf()] = NO_GAIN
    if bound is not None:
        codes[found & (bound > 0) & (after <= (1 + tightness) * bound)] = TIGHT
    return codes


def best_by_round(
    distances: Mapping[str, Tensor], rounds: Mapping[str, int], last: int
) -> tuple[Tensor, Tensor]:
    """The smallest distances (n,) of attacks of rounds before `last`, and of those up to it.

    distances: of each attack (n,); rounds: the round of each, 0 for attacks outside of the relay
    """

    def smallest(names: Sequence[str]) -> Tensor:
        first = next(iter(distances.values()))
        kept = [distances[name] for name in names]
        return torch.stack(kept).amin(dim=0) if kept else torch.full_like(first, torch.inf)

    earlier = [name for name in distances if rounds[name] < last]
    return smallest(earlier), smallest([name for name in distances if rounds[name] <= last])


def left_out(leg: Mapping[str, Any], distances: Mapping[str, Tensor], bound: Tensor | None) -> Tensor:
    """Which images (n,) an attack of a relay's later round leaves out: the codes of `stopped`.

    leg: its round, those of the attacks that it starts from, gain and tightness, as `Plan.relay_leg` has them
    distances: of the attacks that it starts from, (n,) each; bound: as in `stopped`
    """
    before, after = best_by_round(distances, leg["rounds"], leg["round"] - 1)
    return stopped(before, after, leg["gain"], bound, leg["tightness"])
