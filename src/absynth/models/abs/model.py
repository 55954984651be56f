"""The Analysis-by-Synthesis classifier (paper, section 3) as an ordinary differentiable module."""

from collections.abc import Sequence
from copy import copy
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from absynth.data.format import PAPER, check_taken
from absynth.errors import InputError
from absynth.io.opening import MADE
from absynth.models.abs.decoders import PIXELS, Decoders
from absynth.models.abs.energy import Inferred, Watcher
from absynth.models.abs.fast import Fast
from absynth.models.abs.prior import Prototypes
from absynth.models.abs.reference import Reference
from absynth.models.abs.session import WarmStartSession
from absynth.models.abs.vae import LATENT, VAE
from absynth.models.base import INFERENCES
from absynth.models.binarize import THRESHOLD, binarize
from absynth.models.building import ModelFiles
from absynth.models.checks import check_images, check_latents
from absynth.models.weights import load_weights


class ABS(nn.Module):
    """logit_c(x) = -γ_c min_z (‖G_c(z) - x‖² + ½‖z‖²) / 784, for images (n, 1, 28, 28) in [0, 1].

    The gradient is exact where the minimum is: by the envelope theorem dE*_c/dx = ∂E_c(x, z)/∂x at the
    minimiser z, which is inferred without a gradient. The binary variant binarises its input and passes
    the gradient straight through.

    inference: "reference" (the paper's, which defines the model) or "fast"
    gamma: γ_c (C,), ones if left out; binary: whether the input is binarised
    prior_samples, prior_seed: what inference starts from, part of the model's definition and thus not a run's seed
    steps, learning_rate: Adam's, in reference inference
    """

    gamma: Tensor

    def __init__(
        self,
        vaes: Sequence[VAE],
        *,
        inference: str = "fast",
        gamma: Sequence[float] | None = None,
        binary: bool = False,
        prior_samples: int = 8000,
        steps: int = 50,
        learning_rate: float = 0.05,
        prior_seed: int = 3,
    ):
        super().__init__()
        self.decoders = Decoders([vae.eval().Decoder for vae in vaes])
        self.prior_seed = prior_seed
        self.prototypes = Prototypes(self.decoders, prior_samples, prior_seed)
        self.register_buffer("gamma", torch.ones(len(vaes)) if gamma is None else torch.tensor(gamma))
        self.binary = binary
        self.input_threshold = THRESHOLD if binary else None
        self.reference = Reference(steps, learning_rate)
        self.fast = Fast()
        self.inference = _known(inference)

    def with_inference(self, inference: str) -> Self:
        """The same model as seen through another inference; weights and prior samples are shared.

        Raises InputError for an unknown inference.
        """
        view = copy(self)
        view.inference = _known(inference)
        return view

    def start_session(self, images: Tensor, labels: Tensor) -> WarmStartSession:
        """A session that infers queries near clean images (n, 1, 28, 28) from what it inferred before."""
        return WarmStartSession(self, images, labels)

    def forward(self, x: Tensor) -> Tensor:
        return self.logits_at(x, self.infer(x))

    def logits_at(self, x: Tensor, inferred: Inferred) -> Tensor:
        """Logits (n, C) of images (n, 1, 28, 28) at latents inferred for them; differentiable in x."""
        return self.logits_from(self.preprocess(x), inferred)

    def logits_from(self, inputs: Tensor, inferred: Inferred) -> Tensor:
        """Logits (n, C) of preprocessed images (n, 784) at given latents; differentiable in them."""
        return -self.gamma * inferred.energies(inputs) / PIXELS

    def infer(
        self,
        x: Tensor,
        without: Tensor | None = None,
        *,
        until_decided: bool | Tensor = False,
        watch: Watcher | None = None,
    ) -> Inferred:
        """The latents of images (n, 1, 28, 28) under every class.

        Fast inference searches only classes that may win.

        without: a class (n,) of each image whose rivals it then searches for as if the class did not exist
        until_decided: it then stops searching where the best class has no rival left; given factors (C,), only where
            it is the best, too, once logits are multiplied by them
        watch: given the Jacobians of fast inference
        """
        check_images(x, PAPER.shape)
        inputs = self.preprocess(x).detach()
        if not len(x):
            return Inferred.none(inputs, self.decoders.n_classes, LATENT)
        if self.inference == "reference":
            return self.reference.infer(self.decoders, self.prototypes, inputs)
        return self.fast.infer(
            self.decoders, self.prototypes, inputs, self.gamma, without, until_decided, watch
        )

    def infer_near(
        self,
        x: Tensor,
        start: Inferred,
        without: Tensor | None = None,
        *,
        pairs: Tensor | None = None,
        watch: Watcher | None = None,
    ) -> Inferred:
        """The same, searching from what was inferred for nearby images; always by fast inference.

        Assumes that the optimum of no class that matters left its basin in between.

        without: a class (n,) of each image that keeps its latents and takes no part in the comparison
        pairs: the classes (n, C) of each image that are searched, if not all
        watch: given the Jacobians
        """
        check_images(x, PAPER.shape)
        check_latents(start.latents, len(x), self.decoders.n_classes, LATENT)
        inputs = self.preprocess(x).detach()
        if not len(x):
            return Inferred.none(inputs, self.decoders.n_classes, LATENT)
        return self.fast.refine(self.decoders, inputs, start, self.gamma, without, pairs, watch)

    @torch.no_grad()
    def decide(self, x: Tensor, factors: Tensor) -> Tensor:
        """The classes (n,) of largest logit of images (n, 1, 28, 28), each logit times its factor (C,).

        As by the logits, but fast inference leaves an image as soon as no further step can change its class.
        """
        factors = factors.to(self.gamma)
        inferred = self.infer(x, until_decided=factors)
        return (self.logits_at(x, inferred) * factors).argmax(dim=1)

    def preprocess(self, x: Tensor) -> Tensor:
        """Images (n, 1, 28, 28) as energies compare them: flat (n, 784), binarised if the model is binary."""
        return (binarize(x) if self.binary else x).flatten(1)


def _known(inference: str) -> str:
    if inference not in INFERENCES:
        raise InputError(f"unknown inference {inference!r}; there are {' and '.join(INFERENCES)}")
    return inference


def build_abs(files: ModelFiles, **options: Any) -> ABS:
    """ABS from one file of weights per class, for images as MNIST's; options are those of `ABS`."""
    check_taken("abs", PAPER, files.format)
    return ABS([_load_vae(path) for path in files.weights], **options)


def build_binary_abs(files: ModelFiles, **options: Any) -> ABS:
    """Binary ABS: the same weights, its input binarised, its logits scaled by γ."""
    check_taken("binary_abs", PAPER, files.format)
    return ABS([_load_vae(path) for path in files.weights], binary=True, gamma=files.gamma, **options)


def _load_vae(path: Path) -> VAE:
    vae = VAE()
    load_weights(path, vae, damaged=MADE)
    return vae
