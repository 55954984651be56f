"""Few large changes of few pixels, then as small as they can be: a sparse search for near adversarials in l2.

A network that was trained to resist small changes of all pixels may yield to large ones of a few, where its gradient
vanishes and descents from the clean image stall. Sets of pixels turned black or white grow as in
`absynth.attacks.beam`; what fools the model is shrunk, pixel by pixel and as a whole; then pixels are exchanged for
others, and shrunk again (destroy and repair, Shaw 1998).
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from absynth.attacks.api import for_norm
from absynth.attacks.margins import ask_gradients, ask_many, ask_margins
from absynth.attacks.noise import rank
from absynth.attacks.randomness import SampleRandom
from absynth.attacks.single_changes import Ends, Sets, additions, ends_of
from absynth.attacks.target import Target
from absynth.models.base import input_threshold

_PARTS = 6  # pixels of largest change that are shrunk or given up
_SCALES = (0.0, 0.6, 0.9)  # of the change of one of them
_WHOLE = (0.85, 0.95)  # of all changes
_NEGLIGIBLE = (0.02, 0.1)  # changes below this are taken back together
_GAIN = 1e-3  # least share of the squared distance that a step of shrinking takes off
_REMOVED = 3  # walks give up 0, 1, …, one fewer than this, in turn


@dataclass(frozen=True)
class SparseL2:
    """Options as in `sparse_l2`."""

    width: int
    candidates: int
    pixels: int
    beyond: int
    rounds: int
    exchanges: int
    shrinks: int

    def __call__(self, target: Target, random: SampleRandom) -> None:
        clean = target.active[0].flatten(1)
        _, gradients = ask_gradients(target, clean[None])
        led = gradients[0].any(dim=1)
        ends = ends_of(clean, input_threshold(target.model))
        every = len(ends.value) * clean.shape[1]
        for chosen, first, later in ((led, self.candidates, self.exchanges), (~led, every, every)):
            with target.only(chosen):
                if len(target.rows):
                    self._grow(target, ends.only(chosen), first)
                    found = target.best_distance[target.rows].isfinite()
                    with target.only(found):
                        for _ in range(self.rounds if found.any() else 0):
                            self._exchange(target, random, ends.only(chosen).only(found), later)

    def _grow(self, target: Target, ends: Ends, count: int) -> None:
        """Grow sets of pixels of the active images until one fools the model, and a little further; shrink those."""
        clean = target.active[0].flatten(1)
        active, sets = torch.arange(len(clean), device=clean.device), Sets.of(clean, clean)
        left = torch.full_like(active, 1 + self.beyond)
        for _ in range(self.pixels):
            with target.only(active):
                _, gradients = ask_gradients(target, sets.images)
                changes = additions(sets.images, clean[active], ends.only(active), gradients, count)
                sets = sets.best(changes, changes.ask(target, sets.images), self.width, 1)
                fooled = self._shrink(target, sets.images).any(dim=0)
            left[active[fooled]] -= 1
            more = left[active] > 0
            active, sets = active[more], sets.only(more)
            if not len(active):
                break

    def _exchange(self, target: Target, random: SampleRandom, ends: Ends, count: int) -> None:
        """Give up some pixels of each best adversarial, add as many and one more, and shrink what fools the model."""
        clean = target.active[0].flatten(1)
        best = target.best[target.rows].flatten(1)
        gone = torch.arange(self.width, device=clean.device)[:, None, None] % _REMOVED
        drawn = random.uniform(target.rows, self.width, clean.shape[1]).transpose(0, 1).to(clean.dtype)
        large = (rank(-(best - clean).abs()) < _PARTS) & (best != clean)
        images = torch.where(large & (rank(drawn.masked_fill(~large, torch.inf)) < gone), clean, best)
        for added in range(_REMOVED):
            wanted = (added <= gone[..., 0]) & (ask_margins(target, images) >= 0) | (
                gone[..., 0] + added == 0
            )
            images = torch.where(
                wanted[..., None], self._extended(target, random, images, ends, count), images
            )
        self._shrink(target, images)

    def _extended(
        self, target: Target, random: SampleRandom, images: Tensor, ends: Ends, count: int
    ) -> Tensor:
        """Images (w, m, d) with the change that lowers their margin most, of a random half for all but the first."""
        _, gradients = ask_gradients(target, images)
        changes = additions(images, target.active[0].flatten(1), ends, gradients, count)
        w, m, _ = images.shape
        drawn = random.uniform(target.rows, len(changes.pixel)).T.view(-1, w, m)
        left_out = drawn < 0.5
        left_out[:, 0] = False
        asked = changes.ask(target, images).view(-1, w, m).masked_fill(left_out, torch.inf)
        place = asked.argmin(dim=0) * w + torch.arange(w, device=images.device)[:, None]  # (w, m)
        return changes.gather(place).apply(images)

    def _shrink(self, target: Target, images: Tensor) -> Tensor:
        """Make the changes of images (w, m, d) smaller while the model is fooled; returns which fooled it (w, m)."""
        fooled = ask_margins(target, images) < 0
        active = fooled.any(dim=0).nonzero().squeeze(1)
        clean, going, images = target.active[0].flatten(1)[active], fooled[:, active], images[:, active]
        for _ in range(self.shrinks):
            if not len(active):
                break
            with target.only(active):
                images, going = _shrunk(target, images - clean, going)
            more = going.any(dim=0)
            active, clean, going, images = active[more], clean[more], going[:, more], images[:, more]
        return fooled


def _shrunk(target: Target, delta: Tensor, going: Tensor) -> tuple[Tensor, Tensor]:
    """One step of shrinking perturbations (w, m, d) where they are `going` (w, m): images and which still go on.

    Of the smaller perturbations that are asked and fool the model the smallest is taken.
    """
    clean = target.active[0].flatten(1)
    kinds = torch.cat([_smaller(delta), delta[None]])  # (c, w, m, d); the last as it is
    images = (clean + kinds).clamp(0, 1).flatten(0, 1)  # rounding may leave the box
    margins = ask_many(target, len(images) - len(delta), lambda part: images[: -len(delta)][part])
    size = kinds.double().square().sum(dim=3)  # (c, w, m)
    smaller = (margins.view(-1, *going.shape) < 0) & (size[:-1] < (1 - _GAIN) * size[-1]) & going
    size[:-1][~smaller] = torch.inf
    least = size.argmin(dim=0)
    taken = images.view(*kinds.shape).gather(0, least[None, ..., None].expand(1, *delta.shape))[0]
    return taken, smaller.any(dim=0)


def _smaller(delta: Tensor) -> Tensor:
    """Perturbations (c, w, m, d) smaller than `delta` (w, m, d): in a pixel, in all, without the smallest changes."""
    pixels = delta.abs().argsort(dim=2, descending=True, stable=True)[..., :_PARTS, None]
    pixels = pixels.permute(2, 0, 1, 3)  # (parts, w, m, 1)
    spread = delta.expand(len(pixels), *delta.shape)
    change = spread.gather(3, pixels)
    single = [spread.scatter(3, pixels, scale * change) for scale in _SCALES]
    whole = torch.stack([scale * delta for scale in _WHOLE])
    sparse = torch.stack([torch.where(delta.abs() < least, 0, delta) for least in _NEGLIGIBLE])
    return torch.cat([*single, whole, sparse])


def sparse_l2(
    norm: str,
    *,
    width: int = 3,
    candidates: int = 200,
    pixels: int = 20,
    beyond: int = 3,
    rounds: int = 5,
    exchanges: int = 30,
    shrinks: int = 10,
) -> SparseL2:
    """Sparse search, l2; exchanges pixels of the best adversarial known, if there is one.

    width: sets of pixels that go on, and later exchanges side by side
    candidates: changes of each that are asked, those of largest gain by the gradient first; where the model has no
        gradient, or it is 0 at the clean image, every change is asked
    pixels: largest set; beyond: pixels added to sets that fool the model already, whose changes can be the smaller
    rounds: how often pixels of the best adversarial are exchanged; exchanges: candidates then
    shrinks: steps of shrinking at most; in each 22 smaller perturbations are asked
    """
    return for_norm(norm, l2=SparseL2)(width, candidates, pixels, beyond, rounds, exchanges, shrinks)
