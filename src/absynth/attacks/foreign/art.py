"""Attacks of ART, the Adversarial Robustness Toolbox (Nicolae et al. 2018, https://arxiv.org/abs/1807.01069)."""

import contextlib
import inspect
import io
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from absynth.attacks.foreign.attack import Call
from absynth.attacks.foreign.library import Arguments, Catalogue, Known, count_classes, import_library
from absynth.attacks.foreign.view import ForeignView

_FIXED = {
    "targeted": False,
    "verbose": False,
    "summary_writer": False,
}  # `targeted` is True by default in some
_BALLS = ("l2", "linf")


def _known(*norms: str, epsilon: str | None = None, one_by_one: bool = False) -> Known:
    return Known(norms, epsilon, one_by_one, fixed=_FIXED)


CATALOGUE = Catalogue(
    package="art",
    folder="art.attacks.evasion",
    known={
        **{
            name: _known(*_BALLS, epsilon="eps")
            for name in (
                *("FastGradientMethod", "ProjectedGradientDescent", "ProjectedGradientDescentPyTorch"),
                *("ProjectedGradientDescentNumpy", "MomentumIterativeMethod", "AutoProjectedGradientDescent"),
                *("AutoConjugateGradient", "AutoAttack", "SquareAttack"),
            )
        },
        "BasicIterativeMethod": _known("linf", epsilon="eps"),
        **{
            name: _known(*_BALLS, one_by_one=True) for name in ("HopSkipJump", "BrendelBethgeAttack", "GeoDA")
        },
        **{
            name: _known("l2", one_by_one=True)
            for name in (
                "BoundaryAttack",
                "CarliniL2Method",
                "DeepFool",
                "NewtonFool",
                "SignOPTAttack",
                "ZooAttack",
            )
        },
        "CarliniLInfMethod": _known("linf", one_by_one=True),
        **{name: _known("l0", one_by_one=True) for name in ("CarliniL0Method", "SaliencyMapMethod")},
    },
    refused={
        "VirtualAdversarialMethod": "takes models that answer with probabilities alone; use "
        "foolbox.attacks.VirtualAdversarialAttack",
        "ElasticNet": "minimises L1, which is none of the norms l2, linf, l0",
        "Wasserstein": "keeps within a Wasserstein distance, which is none of the norms l2, linf, l0",
        **dict.fromkeys(
            ("UniversalPerturbation", "TargetedUniversalPerturbation"),
            "looks for one perturbation of all images, so that one says nothing of another's smallest",
        ),
        "SpatialTransformation": "moves and turns images, which is small in none of the norms l2, linf, l0",
    },
    given=("estimator", "classifier"),
    steps=("eps_step",),
    norm_arguments=("norm",),
    orders={"l2": 2, "linf": np.inf, "l0": 0},
)


def adapted(kind: type[Any], known: Known, arguments: Arguments) -> Call:
    """A class of ART as a call, on the estimator that ART makes of the view."""
    parameters = inspect.signature(kind).parameters

    def call(view: ForeignView, x: Tensor, y: Tensor, epsilon: float | None) -> object:
        options = arguments.at(epsilon)
        if "batch_size" in parameters:
            options.setdefault("batch_size", len(x))
        with contextlib.redirect_stdout(io.StringIO()):
            attack = kind(_estimator(view, x), **options)
            found = attack.generate(x=x.cpu().numpy(), y=y.cpu().numpy())
        return torch.as_tensor(found)

    return call


def _estimator(view: ForeignView, x: Tensor) -> Any:
    classification = import_library("art", "art.estimators.classification")
    return classification.PyTorchClassifier(
        model=view,
        loss=nn.CrossEntropyLoss(),
        input_shape=tuple(x.shape[1:]),
        nb_classes=count_classes(view, x),
        clip_values=(0.0, 1.0),
        device_type="gpu" if x.is_cuda else "cpu",
    )
