"""What the adapters of other libraries have in common: finding an attack, its arguments, and what is refused."""

import importlib
import inspect
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch
from torch import Tensor

from absynth.attacks.foreign.view import ForeignView
from absynth.attacks.outside import LIBRARIES
from absynth.errors import InputError


@dataclass(frozen=True)
class Known:
    """What an adapter knows of one attack of its library.

    norms: those that it minimises, or keeps within ε
    epsilon: its argument that holds ε; None for an attack of minimum norm
    one_by_one: it goes through the images one after another anyhow
    fixed: arguments that are set here, with their values; none of them may stand in the config
    defaults: arguments that have another default here than in the library
    push, inset, shifted: as in `absynth.attacks.foreign.attack.ForeignAttack`
    """

    norms: tuple[str, ...]
    epsilon: str | None = None
    one_by_one: bool = False
    fixed: Mapping[str, Any] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)
    push: bool = False
    inset: float = 0.0
    shifted: bool = False


@dataclass(frozen=True)
class Arguments:
    """The arguments of one attack, for any ε.

    plain: by name; relative: as multiples of ε; epsilon: the name of the argument that holds ε
    """

    plain: Mapping[str, Any]
    relative: Mapping[str, float]
    epsilon: str | None

    def at(self, epsilon: float | None) -> dict[str, Any]:
        """The keyword arguments for one ε, None for an attack of minimum norm."""
        if epsilon is None or self.epsilon is None:
            return dict(self.plain)
        multiples = {name: share * epsilon for name, share in self.relative.items()}
        return {**self.plain, **multiples, self.epsilon: epsilon}


@dataclass(frozen=True)
class Catalogue:
    """One library as its adapter sees it.

    package: what is imported; folder: the module that holds the attacks
    known: the attacks by name; refused: others, or (attack, norm), and why
    given: parameters that the adapter fills in when it calls the attack
    steps: parameters that are lengths within ε; by default they keep the ratio of the library's defaults
    orders: the library's own values of its argument for the norm, and the name of that argument
    """

    package: str
    folder: str
    known: Mapping[str, Known]
    refused: Mapping[str | tuple[str, str], str]
    given: Sequence[str]
    steps: Sequence[str]
    norm_arguments: Sequence[str]
    orders: Mapping[str, Any]

    def find(self, path: str, norm: str) -> tuple[Callable[..., Any], Known]:
        """The attack that a path names, and what is known of it.

        Raises InputError, each in one line, for a library that is not installed, a name that is not known or not
        there, an attack that is refused, and a norm that it does not minimise.
        """
        name = path.replace(":", ".").rpartition(".")[2]
        for key in (name, (name, norm)):
            if key in self.refused:
                raise InputError(f"{path}{'' if key == name else f' in {norm}'}: {self.refused[key]}")
        if name not in self.known:
            raise InputError(
                f"{path}: no attack that the adapter of {self.package} knows; allowed are "
                f"{', '.join(sorted(self.known))}, each as {self.folder}.NAME, or a function of your own"
            )
        known = self.known[name]
        if norm not in known.norms:
            raise InputError(
                f"{path}: does not minimise the norm {norm!r}; allowed are {', '.join(known.norms)}"
            )
        module = import_library(self.package, self.folder)
        if not callable(getattr(module, name, None)):
            raise InputError(
                f"{path}: not in {self.folder} of {LIBRARIES[self.package]} {installed(self.package)}"
            )
        return getattr(module, name), known

    def arguments(
        self, path: str, norm: str, written: Mapping[str, Any], relative: Mapping[str, float]
    ) -> Arguments:
        """The arguments of an attack: those written in the config, and what the adapter sets.

        Raises InputError for one that the attack does not have, that is set here, or that stands in both.
        """
        found, known = self.find(path, norm)
        parameters = {
            name: parameter.default
            for name, parameter in inspect.signature(found).parameters.items()
            if name not in (*self.given, "self")
        }
        ours = {name: value for name, value in known.fixed.items() if name in parameters}
        ours |= {name: self.orders[norm] for name in self.norm_arguments if name in parameters}
        taken = {*ours, *([known.epsilon] if known.epsilon else [])}
        allowed = [name for name in parameters if name not in taken]
        for name in (*written, *relative):
            if name == known.epsilon:
                raise InputError(
                    f"{path}: argument {name!r} is ε, which is searched for each image; leave it out"
                )
            if name not in allowed:
                raise InputError(
                    f"{path}: unknown argument {name!r}; allowed are {', '.join(allowed) or 'none'}"
                )
        if relative and not known.epsilon:
            raise InputError(
                f"{path}: has no ε that {', '.join(relative)} could be relative to; use `arguments`"
            )
        if both := set(written) & set(relative):
            raise InputError(
                f"{path}: {', '.join(both)} stands in both arguments and relative; allowed is one"
            )
        steps = self._steps(known, parameters, {*written, *relative})
        defaults = {name: value for name, value in known.defaults.items() if name in parameters}
        return Arguments({**defaults, **written, **ours}, {**steps, **relative}, known.epsilon)

    def _steps(self, known: Known, defaults: Mapping[str, Any], written: set[str]) -> dict[str, float]:
        """The lengths that are not written, relative to ε as they are in the library's defaults."""
        if known.epsilon is None:
            return {}
        names = [name for name in self.steps if name in defaults and name not in written]
        return {name: defaults[name] / defaults[known.epsilon] for name in names}


def import_library(package: str, module: str) -> Any:
    """Import a module of an optional library. Raises InputError, saying what to install, if that fails."""
    distribution = LIBRARIES[package]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the library's own, of what it imports
            return importlib.import_module(module)
    except ModuleNotFoundError as error:
        missing = error.name or package
        what = "is not installed" if missing.split(".")[0] == package else f"lacks {missing}, which it needs"
        raise InputError(
            f"{distribution} {what}; install it by `pip install '.[{package.replace('_', '-')}]'`"
        ) from None
    except Exception as error:  # whatever importing another library raises
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise InputError(f"{distribution} {installed(package)} cannot be imported ({reason})") from error


def installed(package: str) -> str:
    """The installed version of an optional library."""
    try:
        return version(LIBRARIES[package])
    except PackageNotFoundError:
        return "of no known version"


def count_classes(view: ForeignView, x: Tensor) -> int:
    """The number of classes of the model, which is asked for the first image."""
    with torch.no_grad():
        return view(x[:1]).shape[1] if len(x) > 1 else view(x).shape[1]
