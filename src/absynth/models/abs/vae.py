"""The class-conditional variational autoencoder (appendix A.5, with the decoder's last kernel corrected)."""

import torch
from torch import Tensor, nn

from absynth.models.layers import ConvStack

LATENT = 8


class Encoder(ConvStack):
    """q(z|x): (n, 1, 28, 28) to mean (n, 8) and log variance (n, 8)."""

    def __init__(self) -> None:
        super().__init__(channels=(1, 32, 32, 64, 2 * LATENT), kernels=(5, 4, 3, 5), strides=(1, 2, 2, 1))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]  # two heads
        return super().forward(x).flatten(1).split(LATENT, dim=1)


class Decoder(ConvStack):
    """G(z): (n, 8) to (n, 1, 28, 28) in [0, 1].

    Spatial size 1, 4, 11, 25, 28. The paper prints the kernels 4, 5, 5, 3, which end at 27; the
    released weights have 4, 5, 5, 4.
    """

    def __init__(self) -> None:
        super().__init__(
            channels=(LATENT, 32, 16, 16, 1), kernels=(4, 5, 5, 4), strides=(1, 2, 2, 1), transposed=True
        )

    def forward(self, z: Tensor) -> Tensor:
        return torch.sigmoid(super().forward(z[:, :, None, None]))


class VAE(nn.Module):
    """Encoder and decoder, named as in the authors' released state dicts."""

    def __init__(self) -> None:
        super().__init__()
        self.Encoder = Encoder()
        self.Decoder = Decoder()


def negative_elbo(vae: VAE, x: Tensor, beta: float, noise: Tensor) -> tuple[Tensor, Tensor]:
    """Reconstruction error and KL divergence per image, whose sum with weight β is minimised.

    The likelihood is N(G(z), σ²) with 2σ² = 1, so -log p(x|z) is the sum of squares (equation 2).

    Takes   x (n, 1, 28, 28); beta, the weight of the KL term; noise (n, 8) standard normal
    Returns loss (n,) = ‖G(z) - x‖² + β KL(q(z|x) ‖ N(0, 1)), and KL (n,)
    """
    mean, log_variance = vae.Encoder(x)
    z = mean + noise * torch.exp(0.5 * log_variance)  # (n, 8)
    reconstruction = (vae.Decoder(z) - x).square().sum(dim=(1, 2, 3))
    kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(dim=1)
    return reconstruction + beta * kl, kl
