"""Attacks of torchattacks (Kim 2020, https://arxiv.org/abs/2010.01950), by the names of their classes."""

import contextlib
import inspect
import io
from typing import Any

import torch
from torch import Tensor

from absynth.attacks.foreign.attack import Call
from absynth.attacks.foreign.library import Arguments, Catalogue, Known, count_classes
from absynth.attacks.foreign.view import ForeignView

_ANY_DISTANCE = 1e3  # between images of up to a million values
_LINF = (
    *(
        "FGSM",
        "BIM",
        "RFGSM",
        "PGD",
        "EOTPGD",
        "FFGSM",
        "TPGD",
        "MIFGSM",
        "UPGD",
        "DIFGSM",
        "TIFGSM",
        "Jitter",
    ),
    *("NIFGSM", "PGDRS", "SINIFGSM", "VMIFGSM", "VNIFGSM", "SPSA"),
)

CATALOGUE = Catalogue(
    package="torchattacks",
    folder="torchattacks",
    known={
        **{name: Known(("linf",), "eps") for name in _LINF},
        **{name: Known(("linf",), "max_epsilon") for name in ("PIFGSM", "PIFGSMPP")},
        **{name: Known(("l2",), "eps") for name in ("PGDL2", "PGDRSL2")},
        **{name: Known(("l2", "linf"), "eps") for name in ("APGD", "APGDT", "Square", "AutoAttack")},
        # Its ε only says which of its adversarials are returned, and all that it asks count here.
        "FAB": Known(("l2", "linf"), fixed={"eps": _ANY_DISTANCE}),
        # Its tanh has no slope where a pixel is black or white, so that such a pixel would never move.
        # And it takes the largest of the other classes' logits and 0.
        "CW": Known(("l2",), inset=1e-3, shifted=True),
        # Clips each step, and may then stand still at the boundary for good.
        "DeepFool": Known(("l2",), one_by_one=True, push=True),
        **{name: Known(("l0",), one_by_one=True) for name in ("SparseFool", "OnePixel", "Pixle")},
    },
    refused={
        **dict.fromkeys(("VANILA", "GN"), "asks the model nothing, and is no attack; leave it out"),
        "JSMA": "aims at the class (label + 1) mod 10 alone, whatever the number of classes; here any class counts, "
        "see the attacks beam and fmn",
        "LGV": "trains models of its own, on a data loader that no config can hold; leave it out",
        "MultiAttack": "is made of other attacks; name each in an entry of its own, and the best of all counts",
        **dict.fromkeys(("EADL1", "EADEN"), "minimises L1, which is none of the norms l2, linf, l0"),
    },
    given=("model",),
    steps=("alpha",),
    norm_arguments=("norm",),
    orders={"l2": "L2", "linf": "Linf", "l0": None},
)


def adapted(kind: type[Any], known: Known, arguments: Arguments) -> Call:
    """A class of torchattacks as a call; its classes and seed are those of the run unless the config says others."""
    parameters = inspect.signature(kind).parameters

    def call(view: ForeignView, x: Tensor, y: Tensor, epsilon: float | None) -> object:
        options = arguments.at(epsilon)
        if "n_classes" in parameters:
            options.setdefault("n_classes", count_classes(view, x))
        if "seed" in parameters:
            options.setdefault("seed", int(torch.randint(2**31, ())))
        with contextlib.redirect_stdout(io.StringIO()):  # it prints
            return kind(view, **options)(x, y)

    return call
