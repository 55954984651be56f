"""Training of one class's variational autoencoder (paper, appendix A.5)."""

from pathlib import Path

import torch
from torch import Tensor

from absynth.models.vae import LATENT, VAE, negative_elbo
from absynth.training.augment import shifted
from absynth.training.checkpoint import Training, fit
from absynth.training.schedule import batches, cosine_rate


def kl_weight(epoch: int, epochs: int, start: float, end: float) -> float:
    """The factor β of the KL term: falls linearly from `start` to `end` over the first `epochs`, then stays."""
    return start + (end - start) * min(1.0, epoch / max(1, epochs - 1))


def train_vae(
    images: Tensor,
    *,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    kl_start: float,
    kl_end: float,
    kl_epochs: int,
    shift: int,
    seed: int,
    device: torch.device,
    checkpoint: str | Path | None = None,
) -> tuple[VAE, list[dict[str, float]]]:
    """Fit a VAE to the images of one class.

    The paper's 50 epochs of a falling KL factor leave latents unused that later epochs at its final value put
    to use: `epochs` may be more than `kl_epochs`.

    Takes   images (n, 1, 28, 28) float32 in [0, 1]; shift, by how many pixels at most they are moved at random
            (the paper does not say so, but its released VAEs explain moved digits too: docs/results.md)
    Returns the VAE in evaluation mode, and the curve: epoch, loss, kl, beta, each a mean per image
    """
    torch.manual_seed(seed)
    vae = VAE().to(device, memory_format=torch.channels_last)
    images = images.to(device)
    training = Training(
        module=vae,
        optimizer=torch.optim.Adam(vae.parameters(), lr=learning_rate),
        generator=torch.Generator().manual_seed(seed),
        settings={
            "n": len(images),
            "epochs": epochs,
            "batch_size": batch_size,
            "learning_rate": learning_rate,
            "kl": [kl_start, kl_end, kl_epochs],
            "shift": shift,
            "seed": seed,
        },
    )

    def run_epoch(epoch: int) -> dict[str, float]:
        beta = kl_weight(epoch, kl_epochs, kl_start, kl_end)
        cosine_rate(training.optimizer, learning_rate, epoch, epochs)
        vae.train()
        losses, kls = [], []
        for rows in batches(len(images), batch_size, training.generator):
            seen = shifted(images[rows.to(device)], shift, training.generator)
            noise = torch.randn(len(rows), LATENT, generator=training.generator).to(device)
            loss, kl = negative_elbo(vae, seen, beta, noise)
            training.optimizer.zero_grad(set_to_none=True)
            loss.mean().backward()
            training.optimizer.step()
            losses.append(loss.detach())
            kls.append(kl.detach())
        return {"loss": torch.cat(losses).mean().item(), "kl": torch.cat(kls).mean().item(), "beta": beta}

    return vae, fit(training, run_epoch, epochs=epochs, checkpoint=checkpoint)
