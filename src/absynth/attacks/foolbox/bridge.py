"""Foolbox attacks on a Target: any of them, by import path and arguments.

Foolbox draws from torch's and numpy's global generators, for the whole batch at once. They are seeded for
every run and restored after it: such an attack is reproducible, but only for the same batch of images, since
an image's result depends on its companions.
"""

import inspect
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from foolbox.attacks.base import (
    AttackWithDistance,
    FixedEpsilonAttack,
    FlexibleDistanceMinimizationAttack,
    MinimizationAttack,
)
from foolbox.attacks.binarization import BinarizationRefinementAttack
from foolbox.attacks.dataset_attack import DatasetAttack
from foolbox.attacks.gen_attack import GenAttack
from foolbox.criteria import Misclassification
from foolbox.distances import l0, l2, linf
from foolbox.models.pytorch import PyTorchModel
from torch import Tensor

from absynth.attacks.epsilon_search import per_distinct_epsilon, search_epsilon
from absynth.attacks.foolbox.view import FoolboxView
from absynth.attacks.line_search import bisect_to_clean
from absynth.attacks.randomness import SampleRandom
from absynth.attacks.target import Target
from absynth.errors import InputError
from absynth.io.log import LOGGER
from absynth.io.modules import load_module, split_named

DISTANCES = {"l0": l0, "l2": l2, "linf": linf}
REFUSALS = (
    AssertionError,
    ValueError,
    IndexError,
    ArithmeticError,
)  # Foolbox, when a start or a solver fails
# Classes that raise before they ask the model anything, run as attacks are run here.
_NEVER_ASK = {
    DatasetAttack: "it takes adversarials from images that its method `feed` was given, and none is",
    GenAttack: "it takes a target class for each image, and here any other class counts",
    BinarizationRefinementAttack: "it takes adversarials of another attack; those of models that "
    "binarise their input are refined without it",
}


def as_foolbox(target: Target, max_calls: int | None = None) -> PyTorchModel:
    """Wrap the active images of a target; valid until other images become active."""
    return PyTorchModel(FoolboxView(target, max_calls).eval(), bounds=(0, 1), device=target.x.device)


def run_minimization(
    target: Target, attack: MinimizationAttack, *, max_calls: int | None = None, **options: Tensor
) -> None:
    """Run a minimum-norm attack on the active images, options going to its `run`, and ask its answer too."""
    x, y = target.active
    found = attack.run(as_foolbox(target, max_calls), x, Misclassification(y), **options)
    target.adversarial(torch.where(found.isnan(), x, found.clamp(0, 1)))


def run_fixed_epsilon(target: Target, attack: FixedEpsilonAttack, epsilon: float) -> None:
    """Run an attack within one ε on the active images; Foolbox clips its answer to ε and asks it."""
    x, y = target.active
    attack(as_foolbox(target), x, Misclassification(y), epsilons=epsilon)


def isolate(target: Target, run: Callable[[], None]) -> None:
    """Run on the active images; if Foolbox refuses the batch, on its halves, down to the image at fault.

    An image refused on its own is left out, with a warning in the log.
    """
    if not len(target.rows):
        return
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Foolbox's, of compiling and of weak starts
            run()
    except REFUSALS as error:
        if len(target.rows) == 1:
            LOGGER.warning(
                "image %d of the batch left out: %s", target.rows.item(), str(error) or type(error).__name__
            )
            return
        first = torch.arange(len(target.rows), device=target.rows.device) < len(target.rows) // 2
        for half in (first, ~first):
            with target.only(half):
                isolate(target, run)


@contextmanager
def asking(target: Target, attack: object) -> Iterator[None]:
    """Raise InputError if an attack ends without a query on any active image: it then says nothing of the model."""
    before = target.queries.sum()
    yield
    if len(target.rows) and target.queries.sum() == before:
        raise InputError(
            f"{type(attack).__name__}: asked the model nothing on any of {len(target.rows)} images, see the log "
            "for why; leave it out"
        )


@contextmanager
def seeded(target: Target, random: SampleRandom) -> Iterator[None]:
    """Seed the global generators that Foolbox draws from, and restore them."""
    seed = int(random.uniform(target.rows[:1], 1).sum() * 2**24)  # no active image: 0
    devices = [target.x.device] if target.x.is_cuda else []
    numpy_state = np.random.get_state()
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        np.random.seed(seed)
        try:
            yield
        finally:
            np.random.set_state(numpy_state)


@dataclass(frozen=True)
class FoolboxMinimization:
    """A minimum-norm attack of Foolbox's, then `refine_steps` of bisection to the clean image."""

    attack: MinimizationAttack
    refine_steps: int

    def __call__(self, target: Target, random: SampleRandom) -> None:
        with seeded(target, random), asking(target, self.attack):
            isolate(target, lambda: run_minimization(target, self.attack))
        bisect_to_clean(target, self.refine_steps)


@dataclass(frozen=True)
class FoolboxFixedEpsilon:
    """An attack of Foolbox's within a given ε, made a minimum-norm one by `search_epsilon`."""

    attack: FixedEpsilonAttack
    doublings: int
    bisections: int
    refine_steps: int

    def __call__(self, target: Target, random: SampleRandom) -> None:
        attempt = per_distinct_epsilon(self._attempt)
        with seeded(target, random), asking(target, self.attack):
            search_epsilon(
                target, attempt, doublings=self.doublings, bisections=self.bisections, shared_grid=True
            )
        bisect_to_clean(target, self.refine_steps)

    def _attempt(self, target: Target, epsilon: float) -> None:
        isolate(target, lambda: run_fixed_epsilon(target, self.attack, epsilon))


def foolbox_attack(
    norm: str,
    *,
    class_path: str,
    arguments: Mapping[str, Any],
    doublings: int = 5,
    bisections: int = 8,
    refine_steps: int = 0,
) -> FoolboxMinimization | FoolboxFixedEpsilon:
    """Any Foolbox attack. Raises InputError as `check_foolbox`.

    class_path: e.g. "foolbox.attacks.DDNAttack"; arguments: of its constructor
    doublings, bisections: of the search over ε (`search_epsilon`), for attacks within a fixed ε
    refine_steps: queries of a final bisection to the clean image
    """
    attack = check_foolbox(class_path, arguments, norm)
    if isinstance(attack, MinimizationAttack):
        return FoolboxMinimization(attack, refine_steps)
    return FoolboxFixedEpsilon(attack, doublings, bisections, refine_steps)


def check_foolbox(class_path: str, arguments: Mapping[str, Any], norm: str) -> AttackWithDistance:
    """Build a Foolbox attack for a norm.

    Raises InputError for a class that does not exist or would never ask the model, an unknown or missing argument, a
    value that the class refuses, or a class that minimises another norm. A class that takes a distance is given the
    norm's.
    """
    kind = _import_attack(class_path)
    if norm not in DISTANCES:
        raise InputError(f"norm {norm!r}; {', '.join(DISTANCES)} are allowed")
    arguments = dict(arguments or {})
    known = inspect.signature(kind).parameters
    allowed = [name for name in known if name != "distance"]
    for name in arguments:
        if name not in allowed:
            raise InputError(
                f"{class_path}: unknown argument {name!r}; {', '.join(allowed) or 'none'} allowed"
            )
    for name in allowed:
        if known[name].default is inspect.Parameter.empty and name not in arguments:
            raise InputError(f"{class_path}: argument {name!r} is missing")
    if issubclass(kind, FlexibleDistanceMinimizationAttack):
        arguments["distance"] = DISTANCES[norm]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            attack = kind(**arguments)
    except Exception as error:  # whatever a constructor raises for a value it cannot use
        raise InputError(
            f"{class_path}: arguments {arguments} refused ({str(error) or type(error).__name__})"
        ) from None
    if attack.distance is not DISTANCES[norm]:
        raise InputError(f"{class_path}: minimises the {attack.distance}, which is not the norm {norm!r}")
    return attack


def _import_attack(class_path: str) -> type[AttackWithDistance]:
    module, name = split_named(str(class_path))
    try:
        kind = getattr(load_module(module), name)
    except (ImportError, ValueError, AttributeError):
        raise InputError(
            f"{class_path}: no such class; one like 'foolbox.attacks.DDNAttack' is needed"
        ) from None
    if not (inspect.isclass(kind) and issubclass(kind, MinimizationAttack | FixedEpsilonAttack)):
        raise InputError(f"{class_path}: not a Foolbox attack that minimises a distance or keeps within one")
    if inspect.isabstract(kind):
        raise InputError(f"{class_path}: a base class; one of the attacks derived from it is needed")
    for base, reason in _NEVER_ASK.items():
        if issubclass(kind, base):
            raise InputError(f"{class_path}: would never ask the model: {reason}; leave it out")
    return kind
