"""Perturbations of an image, and the smallest of them that gains a given margin of energy for a rival class.

A perturbation δ of the image x changes the energy of its own class, with the reconstruction v, by
-2δ·(v - x) + ‖δ‖², and that of a rival class, with the reconstruction u, by -2δ·(u - x) + ‖δ‖². Both classes are
given the same perturbed image, so the rival gains

    Σ_i 2w_i δ_i + (γ_y - γ_c) δ_i²,   w = γ_c (u - x) - γ_y (v - x),

where energies are scaled by γ before they are compared. Without γ, w = u - v and the square cancels; in the box
0 ≤ x + δ ≤ 1 pixel i then gains at most 2|w_i| min(|δ_i|, room_i). For a model that binarises its input,
δ_i ∈ {-1, 0, 1}.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from absynth.certificates.minimal_perturbation import (
    MinimalPerturbation,
    attainable,
    fill,
    take_in_order,
    whole,
)
from absynth.models.binarize import THRESHOLD, binarize


@dataclass(frozen=True)
class Box:
    """Perturbations of pixels anywhere in [0, 1].

    preprocessed (n, d): the images, which the model leaves as they are
    channels: of the images; in l0, which counts pixels, the channels of one change together
    """

    norm: str
    preprocessed: Tensor
    channels: int = 1

    def __call__(self, sample: Tensor, margin: Tensor, w: Tensor, bonus: Tensor) -> MinimalPerturbation:
        """The smallest that gain the margins.

        Takes   images' positions `sample` (P,); margin (P,); w (P, d); bonus γ_y - γ_c (P,), which must be 0
        """
        x = self.preprocessed[sample]
        room = torch.where(w > 0, 1 - x, x)
        if self.norm == "l0":
            return _box_l0(margin, w, room, self.channels)
        return _IN_BOX[self.norm](margin, w, room)

    def preprocess(self, images: Tensor) -> Tensor:
        """Images (P, d) as the model compares them with reconstructions."""
        return images

    def apply(self, sample: Tensor, delta: Tensor) -> Tensor:
        """The images (P, d) perturbed by at least `delta`; in l0 a pixel becomes 0 or 1 or stays as it is."""
        x = self.preprocessed[sample]
        if self.norm == "l0":
            end = (delta > 0).to(x.dtype)
            return torch.where(delta == 0, x, end)
        return (x + delta).clamp(0, 1)


def _box_l2(margin: Tensor, w: Tensor, room: Tensor) -> MinimalPerturbation:
    """Water filling: δ_i = min(room_i, λ|w_i|)."""
    level = fill(margin, 2 * w.abs(), room, w.abs())
    change = torch.minimum(level[:, None] * w.abs(), room).nan_to_num_(nan=0.0)  # inf · 0 where w_i is 0
    size = torch.where(level.isinf(), torch.inf, change.norm(dim=1))
    return MinimalPerturbation(size, size, w.sign() * change)


def _box_linf(margin: Tensor, w: Tensor, room: Tensor) -> MinimalPerturbation:
    """Every pixel by the same amount, as far as it has room."""
    level = fill(margin, 2 * w.abs(), room, torch.ones_like(w))
    return MinimalPerturbation(level, level, w.sign() * torch.minimum(level[:, None], room))


def _box_l0(margin: Tensor, w: Tensor, room: Tensor, channels: int) -> MinimalPerturbation:
    """The k pixels that gain most, each to its end of the box in every channel."""
    share, score = take_in_order(margin, pixel_sums(2 * w.abs() * room, channels))
    share = share.repeat(1, channels)
    return MinimalPerturbation(whole(score), score, w.sign() * room * share)


def pixel_sums(values: Tensor, channels: int) -> Tensor:
    """The sums over channels of flat images (P, d), whose values come channel by channel: (P, d / channels)."""
    return values if channels == 1 else values.unflatten(1, (channels, -1)).sum(dim=1)


_IN_BOX = {"l2": _box_l2, "linf": _box_linf}


@dataclass(frozen=True)
class Flips:
    """Perturbations that flip pixels of a binarised image; a pixel flips once it crosses the threshold.

    x (n, d): the images; preprocessed (n, d): the same binarised
    """

    norm: str
    x: Tensor
    preprocessed: Tensor

    def __call__(self, sample: Tensor, margin: Tensor, w: Tensor, bonus: Tensor) -> MinimalPerturbation:
        """As `Box`, for any bonus. A flip changes pixel i by |x_i - ½| at least."""
        direction = 1 - 2 * self.preprocessed[sample]  # δ_i of a flip
        gain = 2 * w * direction + bonus[:, None]
        cost = (self.x[sample] - THRESHOLD).abs()
        share, score, size = _BY_FLIPS[self.norm](margin, gain, cost)
        return MinimalPerturbation(size, score, direction * share)

    def preprocess(self, images: Tensor) -> Tensor:
        """As `Box`."""
        return binarize(images)

    def apply(self, sample: Tensor, delta: Tensor) -> Tensor:
        """The images (P, d) with every pixel of `delta` moved just across the threshold."""
        x = self.x[sample]
        below = torch.full_like(x, THRESHOLD).nextafter(torch.zeros_like(x))
        return torch.where(delta > 0, THRESHOLD, torch.where(delta < 0, below, x))


def _flips_l2(margin: Tensor, gain: Tensor, cost: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """For gains and costs (P, d) of flips: the share of each flip (P, d), the score and the size (P,)."""
    share, squared = take_in_order(margin, gain, cost.square())
    return share, squared.sqrt(), squared.sqrt()


def _flips_l0(margin: Tensor, gain: Tensor, cost: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """As `_flips_l2`; the flips that gain most, whatever they cost."""
    share, score = take_in_order(margin, gain)
    return share, score, whole(score)


def _flips_linf(margin: Tensor, gain: Tensor, cost: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """As `_flips_l2`; all pixels up to some cost flip, and of those of the largest cost needed only a share.

    Costs take few values (most pixels are black or white), so the size is a step function of the latent. The score
    interpolates: it rises from one cost to the next in proportion to the share.
    """
    cost, order = cost.sort(dim=1)
    total = gain.gather(1, order).clamp_min(0).cumsum(dim=1)  # (P, d)
    enough = attainable(margin, total[:, -1])
    needed = torch.searchsorted(total, margin[:, None].minimum(total[:, -1:])).clamp_max(total.shape[1] - 1)
    costliest = cost.gather(1, needed)  # (P, 1)
    first = torch.searchsorted(cost, costliest)  # of the pixels of that cost
    last = torch.searchsorted(cost, costliest, right=True) - 1
    cheaper = torch.where(first > 0, cost.gather(1, (first - 1).clamp_min(0)), 0)
    before = torch.where(first > 0, total.gather(1, (first - 1).clamp_min(0)), 0)
    part = ((margin[:, None] - before) / (total.gather(1, last) - before).clamp_min(1e-12)).clamp(0, 1)
    useful = gain.gather(1, order) > 0
    share = torch.where(cost < costliest, 1.0, torch.where(cost == costliest, part, 0)) * useful
    between = cheaper + part * (costliest - cheaper)
    wanted = margin > 0
    size, score = (
        torch.where(enough, value.squeeze(1), torch.inf).where(wanted, 0) for value in (costliest, between)
    )
    return torch.zeros_like(gain).scatter_(1, order, share * wanted[:, None]), score, size


_BY_FLIPS = {"l2": _flips_l2, "linf": _flips_linf, "l0": _flips_l0}

Perturbations = Box | Flips
