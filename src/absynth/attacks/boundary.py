"""The Boundary Attack of Brendel et al. (2018), with random numbers and step sizes of each image's own."""

from dataclasses import dataclass

import torch
from torch import Tensor

from absynth.attacks.line_search import Family, bisect_curve, blend, smallest_of_draws
from absynth.attacks.noise import salt_pepper_noise
from absynth.attacks.randomness import SampleRandom
from absynth.attacks.target import Target
from absynth.errors import InputError

_SPHERICAL_EVERY = 5  # steps between two trials of the spherical step alone
_SPHERICAL_WINDOW = 50  # steps after which the size adapts to its success rate, of ten trials
_SOURCE_WINDOW = 20  # steps after which the size adapts to the success rate of whole steps
_RECHECKED = 40  # failed steps in a row after which the adversarial that a walk stands on is asked again
_BLEND_DOUBLINGS = 5
_BLEND_BISECTIONS = 10
_TINY = 1e-12  # keeps directions finite where a walk has come within rounding of the clean image


@dataclass(frozen=True)
class Boundary:
    """A walk along the decision boundary: a random step on the sphere about the clean image, one towards it.

    Starts from the best adversarial known; images without one start from the best of a
    few noisy ones. Both step sizes are relative to the distance. Spherical steps that mostly stay adversarial
    say that the boundary is flat at their scale: both sizes then grow, and shrink in the opposite case. The
    source step also follows the success of whole steps. Where step after step fails, the
    adversarial that the walk stands on is rechecked (`Target.recheck`): if it is now correctly classified, the walk
    goes on from an earlier one, or from a new start, with the initial sizes.

    steps: steps at most, each one query (every fifth two)
    spherical_step, source_step: initial sizes
    step_adaptation: factor by which sizes grow and shrink
    convergence: an image whose source step falls below this is finished
    trials: uniform noise images, and as many with salt and pepper, that are tried as starts
    """

    steps: int
    spherical_step: float
    source_step: float
    step_adaptation: float
    convergence: float
    trials: int

    def __call__(self, target: Target, random: SampleRandom) -> None:
        self._begin(target, random)
        with target.only(target.best_distance[target.rows].isfinite()):
            self._walk(target, random)

    def _begin(self, target: Target, random: SampleRandom) -> None:
        """Find adversarials to walk from where there are none."""
        with target.only(target.best_distance[target.rows].isinf()):
            if len(target.rows):
                _start(target, random, self.trials)

    def _walk(self, target: Target, random: SampleRandom) -> None:
        spherical = torch.full(
            (len(target.rows),), self.spherical_step, dtype=target.x.dtype, device=target.x.device
        )
        source = torch.full_like(spherical, self.source_step)
        on_sphere, closer = torch.zeros_like(spherical), torch.zeros_like(source)  # successes in the window
        failed = torch.zeros_like(target.rows)  # steps on end
        for step in range(1, self.steps + 1):
            walking = (source >= self.convergence).nonzero().squeeze(1)
            if not len(walking):
                break
            with target.only(walking):
                whole, sphere = _propose(target, random, spherical[walking], source[walking])
                if step % _SPHERICAL_EVERY == 0:
                    on_sphere[walking] += target.adversarial(sphere).to(on_sphere.dtype)
                success = target.adversarial(whole)
                closer[walking] += success.to(closer.dtype)
                failed[walking] = torch.where(success, 0, failed[walking] + 1)
            stuck = (failed == _RECHECKED).nonzero().squeeze(1)
            if len(stuck):
                failed[stuck] = 0
                left = stuck[self._leave(target, random, stuck)]
                spherical[left], source[left] = self.spherical_step, self.source_step
                source[target.best_distance[target.rows].isinf()] = 0
            if step % _SPHERICAL_WINDOW == 0:
                factor = self._factor(on_sphere * _SPHERICAL_EVERY / _SPHERICAL_WINDOW, 0.2, 0.5)
                spherical, source, on_sphere = (
                    spherical * factor,
                    source * factor,
                    torch.zeros_like(on_sphere),
                )
            if step % _SOURCE_WINDOW == 0:
                source = source * self._factor(closer / _SOURCE_WINDOW, 0.1, 0.25)
                closer = torch.zeros_like(closer)

    def _leave(self, target: Target, random: SampleRandom, stuck: Tensor) -> Tensor:
        """Recheck the adversarials at positions (k,) within the active rows; returns which were left (k,) bool."""
        with target.only(stuck):
            left = target.recheck()
            with target.only(left):
                self._begin(target, random)
        return left

    def _factor(self, rate: Tensor, low: float, high: float) -> Tensor:
        """By how much (m,) a step size changes: up above the success rate `high`, down below `low`."""
        return self.step_adaptation ** ((rate > high).to(rate.dtype) - (rate < low).to(rate.dtype))


def boundary(
    norm: str,
    *,
    steps: int = 5000,
    spherical_step: float = 0.01,
    source_step: float = 0.01,
    step_adaptation: float = 1.5,
    convergence: float = 1e-6,
    trials: int = 5,
) -> Boundary:
    """The Boundary Attack; l2."""
    if norm != "l2":
        raise InputError(f"boundary: norm {norm!r}; l2 is allowed")
    return Boundary(steps, spherical_step, source_step, step_adaptation, convergence, trials)


def _start(target: Target, random: SampleRandom, trials: int) -> None:
    """Find adversarials on the lines to noise images, then on the line to the best of them."""
    clean = target.active[0].flatten(1)  # (m, d)

    def draw(curves: int, _: Tensor) -> Family:
        return blend(
            clean, random.uniform(target.rows, curves, clean.shape[1]).to(clean.dtype).transpose(0, 1)
        )

    grid = 2.0 ** torch.arange(-_BLEND_DOUBLINGS, 1, dtype=clean.dtype, device=clean.device)
    smallest_of_draws(target, draw, trials, grid, bisections=_BLEND_BISECTIONS)
    salt_pepper_noise(target, random, draws=trials)
    with target.only(target.best_distance[target.rows].isfinite()):
        clean = target.active[0].flatten(1)
        best = target.best[target.rows].flatten(1)
        high = clean.new_ones(len(clean))
        bisect_curve(
            target, blend(clean, best[None]), torch.zeros_like(high), high, bisections=_BLEND_BISECTIONS
        )


def _propose(
    target: Target, random: SampleRandom, spherical: Tensor, source: Tensor
) -> tuple[Tensor, Tensor]:
    """Images after a whole step, and after its spherical part alone, both (m, c, h, w).

    spherical, source (m,): the steps' lengths in units of the distance from the clean image
    """
    clean, best = target.active[0].flatten(1), target.best[target.rows].flatten(1)  # (m, d)
    outward = best - clean
    distance = outward.norm(dim=1, keepdim=True).clamp(min=_TINY)
    direction = outward / distance
    tangent = random.normal(target.rows, clean.shape[1]).to(clean.dtype)
    tangent = tangent - (tangent * direction).sum(dim=1, keepdim=True) * direction
    tangent = tangent * (spherical[:, None] * distance / tangent.norm(dim=1, keepdim=True))
    # Pythagoras brings the point on the tangent back to the sphere; clipping may move it off again.
    sphere = (clean + (outward + tangent) / (1 + spherical[:, None] ** 2).sqrt()).clamp(0, 1)
    radius = (sphere - clean).norm(dim=1, keepdim=True).clamp(min=_TINY)
    shrink = (((1 - source[:, None]) * distance) / radius).clamp(0, 1)
    shape = target.x.shape[1:]
    return (clean + shrink * (sphere - clean)).clamp(0, 1).view(-1, *shape), sphere.view(-1, *shape)
