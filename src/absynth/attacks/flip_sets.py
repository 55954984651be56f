"""Images of models that binarise their input, as sets of pixels that are flipped, and walks from set to set.

A pixel is flipped where its binary value is not the clean one's; recorded is then the closest value on the other side
of the threshold, so that a flip costs the same whatever was asked (`absynth.attacks.postprocessing`). Sets are bool
(k, m, d), k for each of the m active images of a target.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from absynth.attacks import memory
from absynth.attacks.margins import ask_gradients, ask_many
from absynth.attacks.single_changes import flip_step, flipped
from absynth.attacks.target import Target
from absynth.errors import InputError
from absynth.models.base import input_threshold

# Positions (m,) of images, walks (n, m) and their sets (n, m, d) to the next sets and which walks go on (n, m).
Step = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]


class FlipSets:
    """What a flip of each pixel of the active images is and costs.

    value, step, change (m, d): what the pixel becomes, what that adds to the binarised pixel, and how far it moves
    blind (m,) bool: whether the model offers no gradient at the clean image, or it is 0
    Raises InputError for a model that does not binarise its input.
    """

    def __init__(self, target: Target):
        threshold = input_threshold(target.model)
        if threshold is None:
            raise InputError(
                f"{type(target.model).__name__} has no input_threshold: "
                "this attack needs a model that binarises its input and says where"
            )
        self.target, self.threshold = target, threshold
        self.clean = target.active[0].flatten(1)
        self.value, self.step = flipped(self.clean, threshold), flip_step(self.clean, threshold)
        self.change = (self.value - self.clean).abs()
        everyone = torch.arange(len(self.clean), device=self.clean.device)
        _, slopes = self.slopes(everyone, torch.zeros_like(self.clean[None], dtype=torch.bool))
        self.blind = ~slopes[0].any(dim=1)

    @property
    def distance(self) -> Tensor:
        """The recorded distances (m,) of the active images' best adversarials, inf where there is none."""
        return self.target.findings.recorded.distance[self.target.rows]

    def best(self) -> Tensor:
        """The set (m, d) of each active image's best adversarial, empty where there is none."""
        found = self.target.findings.recorded.best[self.target.rows].flatten(1)
        return (found >= self.threshold) != (self.clean >= self.threshold)

    def slopes(self, chosen: Tensor, sets: Tensor) -> tuple[Tensor, Tensor]:
        """The margins (n, m) of sets (n, m, d), and what toggling a pixel adds to them to first order (n, m, d).

        chosen (m,): positions of the images, which must be those active in the target; for `ask` as well
        """
        images = torch.where(sets, self.value[chosen], self.clean[chosen])
        margins, gradients = ask_gradients(self.target, images)
        return margins, gradients * torch.where(sets, -self.step[chosen], self.step[chosen])

    def ask(self, chosen: Tensor, sets: Tensor, toggled: Tensor) -> Tensor:
        """The margins (c, n, m) of sets (n, m, d) with c choices of pixels toggled, (c, n, m, d) bool."""
        kinds = (sets ^ toggled).flatten(0, 1)  # (c · n, m, d)
        clean, value = self.clean[chosen], self.value[chosen]
        asked = ask_many(self.target, len(kinds), lambda part: torch.where(kinds[part], value, clean))
        return asked.view(toggled.shape[:3])

    def walk(self, sets: Tensor, step: Step) -> None:
        """Step from sets (walks, m, d) to others until no walk goes on.

        Images of which as many walks go on take a step together, the blind apart, so that no image's result depends
        on another's.
        """
        going = torch.ones(sets.shape[:2], dtype=torch.bool, device=sets.device)
        while going.any():
            left = going.sum(dim=0)
            group = torch.where(self.blind, -left, left)
            for key in group[left > 0].unique().tolist():
                chosen = (group == key).nonzero().squeeze(1)
                order = going[:, chosen].to(torch.int8).argsort(dim=0, descending=True, stable=True)
                walks = order[: abs(key)]
                with self.target.only(chosen):
                    sets[walks, chosen], going[walks, chosen] = step(chosen, walks, sets[walks, chosen])
        memory.release()  # what groups of so many sizes leave

    def count(self, chosen: Tensor, candidates: int) -> int:
        """How many flips are asked of images of which all or none are blind."""
        return self.clean.shape[1] if self.blind[chosen[0]] else candidates


def singly(pixels: Tensor, d: int) -> Tensor:
    """Choices (c, n, m, d) of one pixel each: pixels (n, m, c)."""
    none = torch.zeros(*pixels.shape, d, dtype=torch.bool, device=pixels.device)
    return none.scatter(3, pixels[..., None], True).permute(2, 0, 1, 3)
