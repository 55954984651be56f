"""Training of one class's variational autoencoder (paper, appendix A.5), and its refinement."""

import hashlib
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from absynth.models.abs.vae import LATENT, VAE, negative_elbo
from absynth.training.augment import shifted_or_enlarged
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
    seed: int,
    device: torch.device,
    checkpoint: str | Path | None = None,
) -> tuple[VAE, list[dict[str, float]]]:
    """Fit a VAE to the images of one class.

    The paper's 50 epochs of a falling KL factor leave latents unused that later epochs at its final value put
    to use: `epochs` may be more than `kl_epochs`.

    Takes   images (n, 1, 28, 28) float32 in [0, 1]
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
            "seed": seed,
        },
    )

    def run_epoch(epoch: int) -> dict[str, float]:
        beta = kl_weight(epoch, kl_epochs, kl_start, kl_end)
        cosine_rate(training.optimizer, learning_rate, epoch, epochs)
        return _epoch(vae, images, training, batch_size=batch_size, beta=beta)

    return vae, fit(training, run_epoch, epochs=epochs, checkpoint=checkpoint)


def refine_vae(
    vae: VAE,
    images: Tensor,
    *,
    epochs: int,
    averaged_epochs: int,
    batch_size: int,
    learning_rate: float,
    kl_weight: float,
    shift: int,
    zoom: float,
    seed: int,
    device: torch.device,
    checkpoint: str | Path | None = None,
) -> tuple[VAE, list[dict[str, float]]]:
    """Train a VAE further, on moved images and at a constant rate, and average its last epochs.

    The paper tells nothing of it, but its released VAEs explain moved digits too, and their latents tell of a
    KL factor below 1 (docs/results.md). The mean of the weights along a constant rate generalises better than
    where a falling rate ends (stochastic weight averaging: Izmailov et al. 2018).

    Takes   vae, trained on the same images; images (n, 1, 28, 28) float32 in [0, 1]; averaged_epochs, after how
            many of the last epochs weights and running statistics go into the mean; kl_weight, the factor β;
            shift and zoom, how images are moved at random: see shifted_or_enlarged
    Returns the averaged VAE in evaluation mode, and the curve: epoch, loss, kl, beta, each a mean per image
    """
    vae = vae.to(device, memory_format=torch.channels_last)
    mean = AveragedModel(vae, use_buffers=True)
    images = images.to(device)
    training = Training(
        module=nn.ModuleDict({"vae": vae, "mean": mean}),
        optimizer=torch.optim.Adam(vae.parameters(), lr=learning_rate),
        generator=torch.Generator().manual_seed(seed),
        settings={
            "start": _digest(vae),
            "n": len(images),
            "epochs": epochs,
            "averaged_epochs": averaged_epochs,
            "batch_size": batch_size,
            "learning_rate": learning_rate,
            "kl_weight": kl_weight,
            "shift": shift,
            "zoom": zoom,
            "seed": seed,
        },
    )

    def run_epoch(epoch: int) -> dict[str, float]:
        figures = _epoch(vae, images, training, batch_size=batch_size, beta=kl_weight, shift=shift, zoom=zoom)
        if epoch >= epochs - averaged_epochs:
            mean.update_parameters(vae)
        return figures

    return mean.module, fit(training, run_epoch, epochs=epochs, checkpoint=checkpoint)


def _digest(module: nn.Module) -> str:
    """The SHA-256 of a module's state."""
    digest = hashlib.sha256()
    for value in module.state_dict().values():
        digest.update(value.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _epoch(
    vae: VAE,
    images: Tensor,
    training: Training,
    *,
    batch_size: int,
    beta: float,
    shift: int = 0,
    zoom: float = 1.0,
) -> dict[str, float]:
    """Take a step on each batch of the images, and return the means of loss and KL term."""
    vae.train()
    losses, kls = [], []
    for rows in batches(len(images), batch_size, training.generator):
        seen = shifted_or_enlarged(images[rows.to(images.device)], shift, zoom, training.generator)
        noise = torch.randn(len(rows), LATENT, generator=training.generator).to(images.device)
        loss, kl = negative_elbo(vae, seen, beta, noise)
        training.optimizer.zero_grad(set_to_none=True)
        loss.mean().backward()
        training.optimizer.step()
        losses.append(loss.detach())
        kls.append(kl.detach())
    return {"loss": torch.cat(losses).mean().item(), "kl": torch.cat(kls).mean().item(), "beta": beta}
