"""Attacks of adv-lib (Rony, https://github.com/jeromerony/adversarial-library), by the names of their functions."""

import contextlib
import io
from collections.abc import Callable
from typing import Any

from torch import Tensor

from absynth.attacks.foreign.attack import Call
from absynth.attacks.foreign.library import Arguments, Catalogue, Known
from absynth.attacks.foreign.view import ForeignView

_UNTARGETED = {"targeted": False, "callback": None}
_ALL, _BALLS = ("l2", "linf", "l0"), ("l2", "linf")


def _known(*norms: str, epsilon: str | None = None, **more: Any) -> Known:
    fixed = _UNTARGETED | more.pop("fixed", {})
    return Known(norms, epsilon, fixed=fixed, **more)


CATALOGUE = Catalogue(
    package="adv_lib",
    folder="adv_lib.attacks",
    known={
        "alma": _known("l2", fixed={"distance": "l2"}),
        "apgd": _known(*_BALLS, epsilon="eps"),
        "apgd_targeted": _known(*_BALLS, epsilon="eps"),
        "carlini_wagner_l2": _known("l2"),
        "carlini_wagner_linf": _known("linf"),
        "ddn": _known("l2", defaults={"levels": None}),  # the library rounds to 256 grey levels
        "df": _known(*_BALLS),
        "fab": _known(*_BALLS, fixed={"ε": None}),
        "fga": _known("l0"),
        "fmn": _known("linf", "l0"),
        "pdgd": _known("l2"),
        "pdpgd": _known(*_ALL),
        "pgd_linf": _known("linf", epsilon="ε"),
        "sdf": _known("l2"),
        "sigma_zero": _known("l0"),
        "tr": _known(*_BALLS),
        "vfga": _known("l0"),
    },
    refused={
        (
            "fmn",
            "l2",
        ): "scales perturbations to ε where it should project them (adv-lib 0.2.8), and fools few images; "
        "use adv_lib.attacks.ddn, or the attacks ddn and apgd of this project",
        **dict.fromkeys(("perc_al", "str_attack"), "minimises none of the norms l2, linf, l0; leave it out"),
    },
    given=("model", "inputs", "labels"),
    steps=(),
    norm_arguments=("norm", "p"),
    orders={"l2": 2, "linf": float("inf"), "l0": 0},
)


def adapted(function: Callable[..., Any], known: Known, arguments: Arguments) -> Call:
    """A function of adv-lib as a call."""

    def call(view: ForeignView, x: Tensor, y: Tensor, epsilon: float | None) -> object:
        with contextlib.redirect_stdout(io.StringIO()):
            return function(view, x, y, **arguments.at(epsilon))

    return call
