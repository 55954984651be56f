"""Reconstructions by an ABS model's decoders: latents fitted to images from many starts."""

import torch
from torch import Tensor

from absynth.certificates.class_pair import Reconstruction
from absynth.certificates.pairs import Pairs
from absynth.certificates.search import descend
from absynth.certificates.settings import SearchSettings
from absynth.certificates.starts import best_samples
from absynth.models.abs.energy import Inferred, energies
from absynth.models.abs.model import ABS

_TOLERANCE = 2e-4  # energy that a step must be predicted to gain


class Reconstructor:
    """Fits latents of an ABS model, and decodes them."""

    def __init__(self, model: ABS, settings: SearchSettings):
        self.model, self.settings, self.decoders = model, settings, model.decoders

    def infer(self, x: Tensor, y: Tensor) -> Inferred:
        """The latents found by fast inference for images classified as y, those of all rivals searched for too."""
        model = self.model
        return model.fast.infer(model.decoders, model.prototypes, model.preprocess(x), model.gamma, y)

    def own_latents(self, x: Tensor, y: Tensor, inferred: Inferred) -> Tensor:
        """The latents (n, 8) of lowest energy for images (n, 1, 28, 28) under their own classes y (n,)."""
        preprocessed = self.model.preprocess(x)
        known = inferred.latents[torch.arange(len(y), device=y.device), y]
        samples = best_samples(self.model.prototypes, preprocessed, y, self.settings.starts)
        return self.fit(preprocessed, y, torch.cat([known[:, None], samples], dim=1), self.settings.steps)

    def fit(self, target: Tensor, label: Tensor, starts: Tensor, steps: int) -> Tensor:
        """The latents (n, 8) of lowest energy that searches of up to `steps` steps find.

        Takes   preprocessed images target (n, 784); their classes label (n,); starts (n, S, 8)
        """

        def energy(pairs: Pairs, images: Tensor) -> tuple[Tensor, Tensor]:
            of_pair = target[pairs.sample]
            return energies(images, of_pair, pairs.z), of_pair

        pairs, place = Pairs.of_label(starts, label)
        found, score = descend(self.decoders, energy, pairs, steps=steps, prior=1.0, tolerance=_TOLERANCE)
        best = score[place].view(starts.shape[:2]).argmin(dim=1)
        return found.z[place].view_as(starts)[torch.arange(len(best), device=best.device), best]

    def decode(self, z: Tensor, label: Tensor) -> Reconstruction:
        """The reconstructions by latents z (n, 8) of classes `label` (n,), in any order."""
        pairs, place = Pairs.of_label(z[:, None], label)
        return self.of_pairs(pairs, self.decoders(pairs.z, pairs.counts(self.decoders.n_classes)))[place]

    def of_pairs(self, pairs: Pairs, images: Tensor) -> Reconstruction:
        """The reconstructions of pairs whose decoded images (P, 784) are known."""
        return Reconstruction(images, 0.5 * pairs.z.square().sum(dim=1), self.model.gamma[pairs.label])
