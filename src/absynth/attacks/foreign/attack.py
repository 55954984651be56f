"""Run an attack that is called with a model, images and labels, and trust nothing that it returns."""

import random as python_random
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor

from absynth.attacks.epsilon_search import per_distinct_epsilon, search_epsilon
from absynth.attacks.foolbox.bridge import REFUSALS, isolate, seeded
from absynth.attacks.foreign.view import ForeignView, described, repaired
from absynth.attacks.line_search import bisect_to_clean, search_ray
from absynth.attacks.randomness import SampleRandom
from absynth.attacks.target import Target
from absynth.errors import InputError
from absynth.io.log import LOGGER
from absynth.models.making import shown_error

# Of (model, images x (m, C, H, W), labels (m,), ε or None): images like x, or None for an attack that has nothing
# to return besides what it asked for.
Call = Callable[[ForeignView, Tensor, Tensor, float | None], object]

_BEYOND = (
    1.001,
    1.003,
    1.01,
    1.03,
    1.1,
    1.3,
)  # times the perturbation of an image returned short of the boundary
_OUTSIDE = 1e-3  # how far beyond [0, 1] a pixel may be by rounding


@dataclass(frozen=True)
class Search:
    """How an attack within a given ε is made a minimum-norm one, and what follows any attack.

    doublings, bisections: of the search over ε (`search_epsilon`); refine_steps: of a bisection to the clean image
    """

    doublings: int = 5
    bisections: int = 8
    refine_steps: int = 0


@dataclass(frozen=True)
class ForeignAttack:
    """An attack that knows nothing of targets, as an `absynth.attacks.api.Attack`.

    name: for messages; call: the attack
    fixed_epsilon: whether it works within the ε that it is given; else it is given None
    own: whether it is a user's function: then it sees the model's own logits, and whatever it does wrong is told as
        an error; else logits have one scale, and what it refuses or returns as NaN is left out
    one_by_one: give it one image at a time
    push: ask beyond the images that it returns, where these are correctly classified
    inset: hand over images in [inset, 1 − inset], to an attack that cannot move a black or white pixel
    shifted: hand over logits from 0 on, to an attack that is lost where all are negative

    Calling it raises InputError if the attack asks the model nothing, or returns what is no image like those given.
    """

    name: str
    call: Call
    fixed_epsilon: bool
    own: bool = False
    one_by_one: bool = False
    push: bool = False
    inset: float = 0.0
    shifted: bool = False
    search: Search = field(default_factory=Search)

    def __call__(self, target: Target, random: SampleRandom) -> None:
        before = target.queries.sum()
        for part in self._parts(target):
            with target.only(part), everything_seeded(target, random):
                if self.fixed_epsilon:
                    search_epsilon(
                        target,
                        per_distinct_epsilon(self._attempt),
                        doublings=self.search.doublings,
                        bisections=self.search.bisections,
                        shared_grid=True,
                    )
                else:
                    self._attempt(target, None)
        if len(target.rows) and target.queries.sum() == before:
            self._refuse_silence(len(target.rows))
        bisect_to_clean(target, self.search.refine_steps)

    def _parts(self, target: Target) -> Iterator[Tensor]:
        """The active images that are attacked together, as positions."""
        everything = torch.arange(len(target.rows), device=target.rows.device)
        return iter(everything.split(1 if self.one_by_one else max(1, len(everything))))

    def _attempt(self, target: Target, epsilon: float | None) -> None:
        if self.own:
            self._run(target, epsilon)
        else:
            isolate(target, lambda: self._run(target, epsilon))

    def _run(self, target: Target, epsilon: float | None) -> None:
        if not len(target.rows):
            return
        x, y = target.active
        before = target.queries.sum()
        kept = {"scaled": not self.own, "strict": self.own, "shifted": self.shifted}
        view = ForeignView(target, self.name, **kept).eval()
        returned = self._called(view, x.clamp(self.inset, 1 - self.inset), y.clone(), epsilon)
        if target.queries.sum() == before:
            self._refuse_silence(len(x))
        found = self._checked(returned, x, target.norm)
        success = target.adversarial(found)
        if self.push and not success.all():
            with target.only(~success):
                _push(target, found[~success])

    def _called(self, view: ForeignView, x: Tensor, y: Tensor, epsilon: float | None) -> object:
        try:
            with torch.enable_grad():
                return self.call(view, x, y, epsilon)
        except (InputError, torch.OutOfMemoryError, *REFUSALS):
            raise
        except Exception as error:  # whatever another library raises
            raise InputError(f"{self.name}: fails ({shown_error(error)})") from error

    def _refuse_silence(self, images: int) -> None:
        raise InputError(
            f"{self.name}: asked the model nothing on {images} images, so that what it returns says nothing of the "
            "model; leave it out, or let it ask the model that it is given (see the log for images left out)"
        )

    def _checked(self, returned: object, x: Tensor, norm: str) -> Tensor:
        """What the attack returned for images x (m, C, H, W), as images in the box."""
        shape = f"a tensor {tuple(x.shape)} of a floating dtype"
        if not (isinstance(returned, Tensor) and returned.shape == x.shape and returned.is_floating_point()):
            raise InputError(f"{self.name}: returns {described(returned)}, expected images like x, {shape}")
        found = returned.detach().to(x.device, x.dtype)
        if self.own and not found.isfinite().all():
            wrong = int((~found.isfinite()).flatten(1).any(dim=1).sum())
            raise InputError(
                f"{self.name}: returns NaN or infinite pixels for {wrong} of {len(x)} images; "
                "return the image given where the attack fails"
            )
        outside = (found - found.clamp(0, 1)).nan_to_num().abs().flatten(1).amax(dim=1)  # (m,)
        if self.own and (outside > _OUTSIDE).any():
            LOGGER.warning(
                "%s: returns pixels outside of [0, 1], by up to %.3g, for %d of %d images; clipped",
                self.name, outside.max(), (outside > _OUTSIDE).sum(), len(x),
            )  # fmt: skip
        return repaired(found, x, norm)


def _push(target: Target, found: Tensor) -> None:
    """Ask a little beyond images (m, C, H, W) that are short of the boundary, in the direction of their change."""
    ends = torch.zeros_like(target.x)
    ends[target.rows] = found
    moved = (found != target.active[0]).flatten(1).any(dim=1)

    def image_at(target: Target, factor: Tensor) -> Tensor:
        clean = target.active[0]
        return (clean + factor.view(-1, *[1] * (clean.dim() - 1)) * (ends[target.rows] - clean)).clamp(0, 1)

    with target.only(moved):
        search_ray(target, image_at, torch.tensor(_BEYOND, dtype=found.dtype, device=found.device), 0)


@contextmanager
def everything_seeded(target: Target, random: SampleRandom) -> Iterator[None]:
    """Seed the global generators of torch, NumPy and Python by the first active image, and restore them.

    Warnings of other libraries are not shown.
    """
    state = python_random.getstate()
    with seeded(target, random), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        python_random.seed(torch.initial_seed())
        try:
            yield
        finally:
            python_random.setstate(state)
