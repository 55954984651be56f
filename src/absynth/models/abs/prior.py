"""Samples from the prior that inference starts from, and the images they decode to."""

import torch
from torch import Tensor, nn

from absynth.models.abs.decoders import CHUNK, PIXELS, Decoders
from absynth.models.abs.energy import Inferred
from absynth.models.abs.vae import LATENT

DISMISSED = 0.1  # the share of draws with the lowest prior density that is left out
_COMPONENTS = 96  # principal components in which the fast search compares images
_CANDIDATES = 4  # prior samples, of lowest energy in those components, that are compared in all pixels
_DECODED = (
    20 * CHUNK
)  # prior samples decoded before they are put in their place; whole chunks, for equal rounding
_QUERIES = 64  # images compared with all prototypes at a time: 64 × 80,000 distances are 20 MB


def prior_samples(n: int, seed: int) -> Tensor:
    """Draw n / 0.9 latents from N(0, 1) and keep the n most likely, in the order drawn (paper, section 3).

    Returns (n, 8) float32 on the CPU; the same for the same n and seed on every device.
    """
    draws = torch.randn(round(n / (1 - DISMISSED)), LATENT, generator=torch.Generator().manual_seed(seed))
    likely = draws.square().sum(dim=1).argsort(stable=True)[:n]
    return draws[likely.sort().values]


def clip_radius(z: Tensor, radius: float) -> Tensor:
    """Scale latents (…, 8) longer than `radius` back onto the sphere, keeping their direction."""
    length = z.norm(dim=-1, keepdim=True)
    return z * (radius / length.clamp(min=radius))


class Prototypes(nn.Module):
    """The images G_c(z) of shared prior samples z for all classes, searched for the lowest energy.

    Memory: C × n × 784 floats (250 MB for 10 × 8000), shared by all queries.
    """

    latents: Tensor
    images: Tensor
    offsets: Tensor
    basis: Tensor
    projected: Tensor

    def __init__(self, decoders: Decoders, n: int, seed: int):
        super().__init__()
        c = decoders.n_classes
        latents = prior_samples(n, seed).to(decoders.device, decoders.dtype)
        images = _decoded(decoders, latents)
        squares = torch.stack(
            [of_class.square().sum(dim=1) for of_class in images]
        )  # class by class: less memory
        offsets = squares + 0.5 * latents.square().sum(dim=1)  # ‖G‖² + ½‖z‖², (C, n)
        self.register_buffer("latents", latents, persistent=False)
        self.register_buffer("images", images, persistent=False)
        self.register_buffer("offsets", offsets, persistent=False)
        basis = _principal_components(images.flatten(0, 1)[:: max(1, c * n // 4000)])
        self.register_buffer("basis", basis, persistent=False)  # (784, k)
        self.register_buffer("projected", images @ basis, persistent=False)  # (C, n, k)

    def lowest(self, x: Tensor) -> Inferred:
        """The prior sample of lowest energy for every class: x (n, 784)."""
        return self._at(torch.cat([self._relative(q, self.images).argmin(dim=2) for q in x.split(_QUERIES)]))

    def lowest_projected(self, x: Tensor) -> Inferred:
        """The same, but only the few of lowest energy in principal components are compared exactly.

        Some four times cheaper, and nearly always equal.
        """
        return self._at(torch.cat([self._lowest_projected(part) for part in x.split(_QUERIES)]))

    def _lowest_projected(self, x: Tensor) -> Tensor:
        relative = self._relative(x @ self.basis, self.projected)
        index = relative.topk(min(_CANDIDATES, relative.shape[2]), dim=2, largest=False).indices  # (m, C, k)
        classes = torch.arange(len(self.images), device=index.device)[:, None]
        products = (self.images[classes, index] @ x[:, None, :, None]).squeeze(3)  # (m, C, k)
        lowest = (self.offsets[classes, index] - 2 * products).argmin(dim=2, keepdim=True)
        return index.gather(2, lowest).squeeze(2)

    def _relative(self, queries: Tensor, prototypes: Tensor) -> Tensor:
        """Energies of prior samples less ‖x‖²: queries (m, k), prototypes (C, N, k) to (m, C, N)."""
        products = (queries @ prototypes.flatten(0, 1).T).view(-1, *prototypes.shape[:2])
        return torch.sub(self.offsets, products, alpha=2)

    def _at(self, index: Tensor) -> Inferred:
        """The prior samples of positions (n, C) and their images."""
        return Inferred(
            self.latents[index], self.images[torch.arange(len(self.images), device=index.device), index]
        )


@torch.no_grad()
def _decoded(decoders: Decoders, latents: Tensor) -> Tensor:
    """The images (C, n, 784) of latents (n, 8) under every class.

    On the CPU they are put in their places a few at a time: a list of all parts beside the whole would take twice the
    memory, and leave the heap in pieces that are never given back.
    """
    c, n = decoders.n_classes, len(latents)
    if not latents.is_cpu:
        return decoders(latents.repeat(c, 1), [n] * c).view(c, n, PIXELS)
    images = latents.new_empty(c, n, PIXELS)
    for label, of_class in enumerate(images):
        for part, place in zip(latents.split(_DECODED), of_class.split(_DECODED), strict=True):
            place.copy_(decoders(part, [len(part) if other == label else 0 for other in range(c)]))
    return images


def _principal_components(images: Tensor) -> Tensor:
    """An orthonormal basis (784, k) of the directions in which images (m, 784) vary most, mean included."""
    _, vectors = torch.linalg.eigh(images.T @ images)
    return vectors[:, -_COMPONENTS:].contiguous()
