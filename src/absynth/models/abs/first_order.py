"""First-order prediction of energies: how far they would fall if nearby images were inferred anew."""

import torch
from torch import Tensor

from absynth.models.abs.energy import Inferred, Watcher
from absynth.models.abs.gauss_newton import QuadraticModel
from absynth.models.base import latest


class FirstOrderPrediction:
    """The Jacobians that the last inferences of n rows, shaped like `inferred`, stepped with, for each class.

    An image that moves by δ drags its latents along the eight tangents of G alone, so most of a typical δ
    has hardly any effect on them. Products with the last Jacobian predict the decrease, at a twentieth of the work of
    a decoder. The prediction is of first order: callers must allow for a larger decrease.

    Memory: 25 kB per row and class.
    """

    def __init__(self, inferred: Inferred):
        latents, pixels = inferred.latents, inferred.images.shape[2]
        self.jacobians = latents.new_empty(*latents.shape, pixels)  # (n, C, 8, 784)
        self.known = torch.zeros(latents.shape[:2], dtype=torch.bool, device=latents.device)

    def watch(self, rows: Tensor, part: Tensor | None = None) -> Watcher:
        """What an inference of images that belong to `rows` (q,), or of a part of them, passes its Jacobians to.

        part: positions within rows; of several images of a row the last counts
        """
        kept = latest(rows, len(self.known))
        if part is not None:
            kept, rows = kept[part], rows[part]

        def keep(images: Tensor, classes: Tensor, jacobian: Tensor) -> None:
            chosen = kept[images]
            row, label = rows[images[chosen]], classes[chosen]
            self.jacobians[row, label], self.known[row, label] = jacobian[chosen], True

        return keep

    def forget(self, rows: Tensor) -> None:
        """Forget the Jacobians of rows: they were taken at other latents than those that come now."""
        self.known[rows] = False

    def decrease(self, rows: Tensor, classes: Tensor, residual: Tensor, z: Tensor) -> Tensor:
        """By how much a Gauss–Newton step promises to lower the energies of pairs of a row and a class.

        Takes   rows, classes (P,); residual (P, 784), of the new image at the last latents z (P, 8)
        Returns (P,), inf where no Jacobian is known
        """
        promise = residual.new_full((len(rows),), torch.inf)
        known = self.known[rows, classes].nonzero().squeeze(1)
        jacobian = self.jacobians[rows[known], classes[known]]
        promise[known] = QuadraticModel.around(z[known], jacobian, residual[known]).largest_decrease()
        return promise
