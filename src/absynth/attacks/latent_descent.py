"""Latent Descent: towards what the likeliest other class makes of the image (paper, section 5, equation 9)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from absynth.attacks.api import for_norm
from absynth.attacks.line_search import bisect_curve, bisect_to_clean, blend
from absynth.attacks.randomness import SampleRandom
from absynth.attacks.target import Target


@dataclass(frozen=True)
class LatentDescent:
    """Steps towards the rival's reconstruction until misclassified, then two bisections; options as in
    `latent_descent`."""

    step: float
    steps: int
    bisections: int
    refine_steps: int

    def __call__(self, target: Target, random: SampleRandom) -> None:
        before, after, misclassified = self._descend(target)
        with target.only(misclassified):
            low = before.new_zeros(int(misclassified.sum()))
            last = blend(before[misclassified].flatten(1), after[misclassified].flatten(1)[None])
            bisect_curve(target, last, low, torch.ones_like(low), bisections=self.bisections)
        bisect_to_clean(target, self.refine_steps)

    def _descend(self, target: Target) -> tuple[Tensor, Tensor, Tensor]:
        """For the m active images the points (m, c, h, w) before and after their last step, and whether the
        one after is misclassified (m,). Even a clean image that fast inference misclassifies takes a step."""
        after = target.active[0].clone()
        before = after.clone()
        walking = torch.arange(len(after), device=after.device)
        for step in range(self.steps + 1):
            with target.only(walking):
                misclassified, rival = target.rivals(after[walking])
            if step > 0:
                walking, rival = walking[~misclassified], rival[~misclassified]
            if step == self.steps or not len(walking):
                break
            before[walking] = after[walking]
            after[walking] = torch.lerp(after[walking], rival, self.step).clamp(0, 1)
        found = torch.ones(len(after), dtype=torch.bool, device=after.device)
        found[walking] = False
        return before, after, found


def latent_descent(
    norm: str, *, step: float = 0.01, steps: int = 1000, bisections: int = 10, refine_steps: int = 10
) -> LatentDescent:
    """The Latent Descent attack, l2, on models that infer latents.

    Where the model binarises its input, pixels cross the threshold one after another as the image approaches the
    reconstruction; the projection of the paper's binary variant is the post-processing that all attacks share.

    step: ε of equation 9, the share of the way to the reconstruction; steps: largest number,
        which only the images that drift slowly past the reconstructions of other classes come near
    bisections: halvings of the last step, refine_steps: of the line to the clean image; one query each
    """
    return for_norm(norm, l2=LatentDescent)(step, steps, bisections, refine_steps)
