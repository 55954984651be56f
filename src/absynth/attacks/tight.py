"""Images on which nothing more can be gained: how near to a proved lower bound an attack ends them.

No attack can find an adversarial below a proved bound. Once the best one known is as near to the bound as
`stop_when_tight` in the config says, a search can gain no more than that share (docs/how-to/strong-attacks.md).
"""

import torch
from torch import Tensor

from absynth.attacks.confirm import LENGTHENING


def end_distances(bound: Tensor, tightness: float, epsilon: float, norm: str) -> Tensor:
    """The distances (n,) float64 up to which a best adversarial ends the attack on its image; 0 where none does.

    bound (n,): proved lower bounds; NaN, or 0, where nothing is proved
    tightness: by what share a distance may exceed its bound
    epsilon: the perturbation at which an accuracy is reported; where it lies between bound and
        (1 + tightness) · bound the image goes on, unless an adversarial within it is known

    There is room for the confirmation, which may lengthen an adversarial (`absynth.attacks.confirm.LENGTHENING`); not
    in l0, where a longer change is one of the same pixels.
    """
    room = 1.0 if norm == "l0" else LENGTHENING
    proved = bound.double().nan_to_num(0.0, posinf=0.0).clamp_min(0)
    largest = (1 + tightness) * proved
    undecided = (proved <= epsilon) & (epsilon < largest)
    return torch.where(undecided, epsilon, largest) / room
