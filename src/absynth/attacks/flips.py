"""Flips: which pixels of a model that binarises its input must cross the threshold, and how cheaply they can.

What is recorded of an adversarial of such a model depends only on the set of pixels that are flipped: a pixel costs
its distance to the threshold (paper, section 5, Postprocessing). So sets are searched, not images. In l2 and l0, in
which costs add up, some pixels of the best set are given up and others take their place, as long as that is cheaper:
destroy and repair (Shaw 1998). In linf all pixels closer to their threshold than the best distance are free: any of
them may be toggled, and where no toggle lowers the margin, the one that raises it least is made: tabu search (Glover
1989). Flips are asked exactly; the straight-through gradient says which.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from absynth.attacks.api import Attack, for_norm
from absynth.attacks.flip_sets import FlipSets, singly
from absynth.attacks.noise import rank
from absynth.attacks.pixels import channels_of
from absynth.attacks.randomness import SampleRandom
from absynth.attacks.target import Target

_LESS = 1e-6  # relative; sets must be cheaper than the best by so much
_HOPELESS = 1.5  # a walk ends where at its last rate it would spend so many times what is left
_GROUPS = 5  # of 2, 4, 8, … pixels that are toggled together
_ROUNDS = {"l2": 20, "l0": 20, "linf": 12}
_TENURE = 8  # steps, give or take a half, for which what was toggled stays
_SPREAD = 0.5  # by how much, relative, walks but the first misjudge what a pixel costs


@dataclass(frozen=True)
class CheapestFlips:
    """Destroy and repair, l2 and l0; options as in `flips`."""

    walks: int
    candidates: int
    rounds: int
    removed: float

    def __call__(self, target: Target, random: SampleRandom) -> None:
        flips = FlipSets(target)
        # In l0 a pixel counts once, whichever of its channels flip: at least a share for each of them.
        share = 1 / channels_of(target)
        cost = flips.change.square() if target.norm == "l2" else torch.full_like(flips.change, share)
        sets = torch.zeros(self.walks, *cost.shape, dtype=torch.bool, device=cost.device)
        for _ in range(self.rounds + 1):
            misjudged = 1 + _SPREAD * (2 * _draw(random, target, self.walks, cost.shape[1]) - 1)
            misjudged[0] = 1
            flips.walk(sets, _Repair(flips, cost, cost * misjudged, self.candidates))
            sets = self._destroyed(flips.best(), random, target)

    def _destroyed(self, best: Tensor, random: SampleRandom, target: Target) -> Tensor:
        """What is left (walks, m, d) of the sets `best` (m, d) when a share of their pixels, one at least, go."""
        drawn = _draw(random, target, self.walks, best.shape[1])
        share = self.removed * _draw(random, target, self.walks, 1)
        place = rank(drawn.masked_fill(~best, torch.inf))
        return best & (place >= (share * best.sum(dim=1, keepdim=True)).ceil().clamp(min=1))


@dataclass(frozen=True)
class _Repair:
    """Adds to each set the flip that lowers the margin most for its cost, as long as it is cheaper than the best.

    cost (m, d): of a flip; judged (walks, m, d): what the walks take for it where they choose
    """

    flips: FlipSets
    cost: Tensor
    judged: Tensor
    candidates: int

    def __call__(self, chosen: Tensor, walks: Tensor, sets: Tensor) -> tuple[Tensor, Tensor]:
        margins, slopes = self.flips.slopes(chosen, sets)
        cost, judged = self.cost[chosen], self.judged[walks, chosen]  # (m, d), (n, m, d)
        left = self._budget() - (cost * sets).sum(dim=2)  # (n, m)
        usable = ~sets & (cost < left[..., None])
        ranked = (slopes / judged).masked_fill(~usable, torch.inf)
        pixels = ranked.argsort(dim=2, stable=True)[..., : self.flips.count(chosen, self.candidates)]
        asked = self.flips.ask(chosen, sets, singly(pixels, cost.shape[1])).permute(1, 2, 0)  # (n, m, c)
        fall = torch.minimum(margins[..., None] - asked, margins[..., None])
        rate = (fall / judged.gather(2, pixels)).masked_fill(~usable.gather(2, pixels), 0)
        best = rate.argmax(dim=2, keepdim=True)
        pixel, rest = pixels.gather(2, best), asked.gather(2, best)[..., 0]
        paid = cost.expand_as(sets).gather(2, pixel)[..., 0]
        affordable = rest * paid < _HOPELESS * (left - paid) * fall.gather(2, best)[..., 0]
        going = (rate.amax(dim=2) > 0) & (rest >= 0) & affordable
        return sets | (singly(pixel, cost.shape[1])[0] & going[..., None]), going

    def _budget(self) -> Tensor:
        """What a set may cost at most (m,)."""
        distance = self.flips.distance.to(self.cost.dtype)
        return (1 - _LESS) * (distance.square() if self.flips.target.norm == "l2" else distance)


@dataclass(frozen=True)
class NearestFlips:
    """Toggles among the pixels closer to their threshold than the best distance, linf; options as in `flips`."""

    walks: int
    candidates: int
    rounds: int
    toggled: float
    patience: int

    def __call__(self, target: Target, random: SampleRandom) -> None:
        flips = FlipSets(target)
        sets = torch.zeros(self.walks, *flips.clean.shape, dtype=torch.bool, device=flips.clean.device)
        for _ in range(self.rounds + 1):
            reach = 1 - _draw(random, target, self.walks, 1) ** 3 / 2  # most of them nearly 1
            reach[0] = 1
            tenure = _TENURE * (0.5 + _draw(random, target, self.walks, sets.shape[2]))
            flips.walk(sets, _Toggle(flips, reach, tenure, self.candidates, self.patience))
            self._shed(flips)
            share = self.toggled * _draw(random, target, self.walks, 1)
            toggled = _draw(random, target, self.walks, sets.shape[2]) < share
            sets = flips.best() ^ toggled

    def _shed(self, flips: FlipSets) -> None:
        """Give up the farthest pixels of each best set, 1, 2, …, all together, as many as can be."""
        best = flips.best()
        size = best.sum(dim=1)
        place = rank((-flips.change).masked_fill(~best, torch.inf))  # the farthest first
        for n in size[size > 1].unique().tolist():
            chosen = (size == n).nonzero().squeeze(1)
            with flips.target.only(chosen):
                shed = torch.arange(1, n, device=size.device)[:, None, None, None] > place[chosen]
                flips.ask(chosen, best[None, chosen], shed & best[chosen])


class _Toggle:
    """Toggles the pixel, or the first few of those, that lower the margin most, among those near enough.

    Where all raise it, the one that raises it least (Glover 1989): what was toggled stays for a while, so that a
    walk leaves its local minimum behind. It ends after `patience` steps without a smaller margin, and starts to count
    again where the best distance, and with it the pixels to choose from, has become smaller. A set that is
    adversarial without a toggle ends it too: shedding its farthest pixels is faster than a step for each.

    reach (walks, m, 1): share of the best distance within which pixels may be flipped
    tenure (walks, m, d): steps for which a pixel stays as it is once it was toggled
    """

    def __init__(self, flips: FlipSets, reach: Tensor, tenure: Tensor, candidates: int, patience: int):
        self.flips, self.reach, self.tenure = flips, reach, tenure
        self.candidates, self.patience = candidates, patience
        walks = tenure.shape[:2]
        self._step = torch.zeros(walks, dtype=tenure.dtype, device=tenure.device)
        self._kept_until = torch.zeros_like(tenure)  # the step
        self._least = torch.full_like(self._step, torch.inf)  # margin since the distance fell
        self._idle = torch.zeros_like(self._step)  # steps without a smaller one

    def __call__(self, chosen: Tensor, walks: Tensor, sets: Tensor) -> tuple[Tensor, Tensor]:
        before, step = self.flips.distance, self._step[walks, chosen]
        limit = (1 - _LESS) * before.to(self.reach.dtype)
        free = self.flips.change[chosen] < self.reach[walks, chosen] * limit[:, None]  # (n, m, d)
        sets = sets & free
        margins, slopes = self.flips.slopes(chosen, sets)
        usable = free & (self._kept_until[walks, chosen] <= step[..., None])
        toggled = self._choices(chosen, slopes.masked_fill(~usable, torch.inf)) & usable
        asked = self.flips.ask(chosen, sets, toggled).masked_fill(~toggled.any(dim=3), torch.inf)
        least, place = asked.min(dim=0)
        n, m = torch.meshgrid(*(torch.arange(k, device=place.device) for k in place.shape), indexing="ij")
        made = toggled[place, n, m]  # (n, m, d)
        going = self._note(chosen, walks, margins, least, self.flips.distance < before)
        tenure = torch.minimum(self.tenure[walks, chosen], free.sum(dim=2, keepdim=True) / 2)
        kept = torch.where(made, step[..., None] + 1 + tenure, self._kept_until[walks, chosen])
        self._kept_until[walks, chosen], self._step[walks, chosen] = kept, step + 1
        return torch.where(going[..., None], sets ^ made, sets), going

    def _choices(self, chosen: Tensor, ranked: Tensor) -> Tensor:
        """What is asked (c, n, m, d): single pixels of least `ranked` (n, m, d), and the first 2, 4, 8, …."""
        pixels = ranked.argsort(dim=2, stable=True)[..., : self.flips.count(chosen, self.candidates)]
        first = 2 ** torch.arange(1, _GROUPS + 1, device=ranked.device)[:, None, None, None]
        return torch.cat([singly(pixels, ranked.shape[2]), (rank(ranked) < first) & (ranked < 0)])

    def _note(self, chosen: Tensor, walks: Tensor, margins: Tensor, least: Tensor, nearer: Tensor) -> Tensor:
        """Which walks go on (n, m) from margins to `least` (n, m); nearer (m,): whose best distance has fallen."""
        known = torch.minimum(self._least[walks, chosen], margins)
        lower = least < known - _LESS * known.abs().clamp(min=1)
        idle = torch.where(lower | nearer, 0, self._idle[walks, chosen] + 1)
        self._idle[walks, chosen] = idle
        self._least[walks, chosen] = torch.where(nearer, torch.inf, torch.minimum(known, least))
        # An adversarial that is no nearer is one of an image that the attack is done with.
        goes_on = (margins >= 0) & ((least >= 0) | nearer)
        return (idle <= self.patience) & least.isfinite() & goes_on


def _draw(random: SampleRandom, target: Target, walks: int, size: int) -> Tensor:
    """Uniform random numbers (walks, m, size) of each active image's own."""
    return random.uniform(target.rows, walks, size).transpose(0, 1).to(target.x.dtype)


def flips(
    norm: str,
    *,
    walks: int = 4,
    candidates: int = 8,
    rounds: int | None = None,
    removed: float = 0.6,
    toggled: float = 0.8,
    patience: int = 2,
) -> Attack:
    """Search over sets of flipped pixels, l2, linf or l0; for models that binarise their input.

    Continues from the best adversarial known, if there is one.

    walks: sets searched from side by side; in l2 and l0 the first takes what seems best, the others are led by chance
        as well
    candidates: flips of each that are asked in a step, those first that gain most by the straight-through gradient;
        all where the model has none, or it is 0 at the clean image
    rounds: how often the search goes on from the best set; by default 20 in l2 and l0, 12 in linf
    removed: in l2 and l0 up to this share of its pixels is given up at random first
    toggled: in linf up to this share of all pixels nearer than the best distance is toggled at random first
    patience: in linf steps for which a walk goes on without a smaller margin
    """
    rounds = for_norm(norm, **_ROUNDS) if rounds is None else rounds
    cheapest: Attack = CheapestFlips(walks, candidates, rounds, removed)
    nearest: Attack = NearestFlips(walks, candidates, rounds, toggled, patience)
    return for_norm(norm, l2=cheapest, l0=cheapest, linf=nearest)
