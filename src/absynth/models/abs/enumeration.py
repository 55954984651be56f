"""The prototypes that a prototype model takes from ABS: what its decoders make of finitely many latents."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from absynth.errors import InputError
from absynth.models.abs.prior import prior_samples
from absynth.models.abs.vae import VAE
from absynth.models.prototypes import PIXELS, PrototypeABS

_BATCH = 256  # images encoded or decoded at a time


@dataclass(frozen=True)
class PrototypeSettings:
    """Config entry of a model of kind `prototype_abs`; the schema `workflow/schemas/models.schema.yaml` gives ranges.

    prior_samples: latents of each class drawn from N(0, temperature²), the same for all classes as in ABS
    encoded_images: training images of each class, the first, whose posterior means are latents as well; at most all
    moved_by: pixels by which each of those images is also moved up, down, left and right, for four more; none if 0
    temperature: factor of the prior samples
    offsets: whether a prototype's energy has ½‖z‖² of its latent, as ABS's has
    seed: of the prior samples; part of the model's definition, not a run's seed
    """

    prior_samples: int = 8000
    encoded_images: int = 5400
    moved_by: int = 0
    temperature: float = 1.0
    offsets: bool = True
    seed: int = 3


def enumerate_abs(
    vaes: Sequence[VAE], images: Tensor, labels: Tensor, settings: PrototypeSettings, device: torch.device
) -> PrototypeABS:
    """The prototype model of the VAEs of all classes.

    Takes   training images (n, 1, 28, 28) and their labels (n,), of which the first of each class are encoded
    Raises InputError if a class gets no prototype
    """
    found = []
    for label, vae in enumerate(vaes):
        chosen = images[labels == label][: settings.encoded_images]
        z = _latents(vae.to(device).eval(), chosen.to(device), settings)
        if not len(z):
            raise InputError(
                f"class {label} gets no prototype: prior_samples is {settings.prior_samples}, encoded_images "
                f"{settings.encoded_images}, and {int((labels == label).sum())} training images are of that class"
            )
        found.append((_decode(vae, z).cpu(), z.cpu()))
    decoded, latents = (torch.cat(parts) for parts in zip(*found, strict=True))
    offsets = 0.5 * latents.square().sum(dim=1) * settings.offsets
    return PrototypeABS(decoded, offsets, torch.tensor([len(z) for _, z in found]))


@torch.no_grad()
def _latents(vae: VAE, images: Tensor, settings: PrototypeSettings) -> Tensor:
    """Prior samples, then the posterior means of images (m, 1, 28, 28), then those of the moved ones: (k, 8)."""
    if settings.moved_by:
        images = torch.cat([images, *_moved(images, settings.moved_by)])
    drawn = settings.temperature * prior_samples(settings.prior_samples, settings.seed)
    means = [vae.Encoder(part)[0] for part in images.split(_BATCH) if len(part)]
    return torch.cat([drawn.to(images.device), *means])


def _moved(images: Tensor, by: int) -> list[Tensor]:
    """Images (m, c, h, w) moved by so many pixels up, down, left and right; black comes in."""
    height, width = images.shape[-2:]
    padded = pad(images, (by, by, by, by))
    corners = ((2 * by, by), (0, by), (by, 2 * by), (by, 0))
    return [padded[..., top : top + height, left : left + width] for top, left in corners]


@torch.no_grad()
def _decode(vae: VAE, z: Tensor) -> Tensor:
    """G(z): (k, 8) to (k, 784)."""
    return torch.cat([vae.Decoder(part).view(-1, PIXELS) for part in z.split(_BATCH)])
