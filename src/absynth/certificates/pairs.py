"""Many image–class pairs as one batch, sorted by class as the decoders take it."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Pairs:
    """P pairs of an image and a class, sorted by class.

    sample (P,): positions of the images; label (P,): the classes; z (P, 8): one latent each
    """

    sample: Tensor
    label: Tensor
    z: Tensor

    def __getitem__(self, rows: Tensor) -> "Pairs":
        return Pairs(self.sample[rows], self.label[rows], self.z[rows])

    def with_latents(self, z: Tensor) -> "Pairs":
        return Pairs(self.sample, self.label, z)

    def counts(self, n_classes: int) -> list[int]:
        """The number of pairs of each class."""
        return torch.bincount(self.label, minlength=n_classes).tolist()

    @staticmethod
    def from_grid(z: Tensor, wanted: Tensor) -> "Pairs":
        """The latents (n, C, S, 8) of the wanted (n, C) images and classes; the S latents of both stay together."""
        n, c, s = z.shape[:3]
        label, sample, start = wanted.T[:, :, None].expand(c, n, s).nonzero().unbind(1)
        return Pairs(sample, label, z[sample, label, start])

    @staticmethod
    def of_label(z: Tensor, label: Tensor) -> tuple["Pairs", Tensor]:
        """Latents (n, S, 8) of one class per image, `label` (n,).

        Returns the n · S pairs, and where among them the latent j of image i stands, at position i · S + j
        """
        n, s = z.shape[:2]
        label = label.repeat_interleave(s)
        order = label.argsort(stable=True)
        sample = torch.arange(n, device=z.device).repeat_interleave(s)
        return Pairs(sample[order], label[order], z.flatten(0, 1)[order]), order.argsort()


# What a search minimises: pairs and their decoded images (P, 784) to scores (P,) and the targets (P, 784) that
# the images are to be moved towards.
Objective = Callable[[Pairs, Tensor], tuple[Tensor, Tensor]]


def rivals_of(label: Tensor, n_classes: int) -> Tensor:
    """Every class but the image's own, `label` (n,): (n, C) bool."""
    return torch.arange(n_classes, device=label.device) != label[:, None]


def smallest(values: Tensor, group: Tensor, n_groups: int) -> Tensor:
    """The smallest of the values (P,) of each group, inf where it has none; group (P,) int64 below n_groups."""
    return values.new_full((n_groups,), torch.inf).scatter_reduce_(0, group, values, "amin")


def first_smallest(score: Tensor, key: Tensor) -> Tensor:
    """The position of the lowest score (P,) for each key (P,) that occurs, in the order of keys."""
    order = score.argsort(stable=True)
    order = order[key[order].argsort(stable=True)]
    return order[torch.cat([order.new_ones(1), key[order].diff()]).bool()]
