"""Training of one class's variational autoencoder (paper, appendix A.5), and its refinement."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from absynth.models.abs.vae import LATENT, VAE, negative_elbo
from absynth.training.augment import shifted_or_enlarged
from absynth.training.checkpoint import Training, digest, fit, to_device
from absynth.training.schedule import batches, cosine_rate


def kl_weight(epoch: int, epochs: int, start: float, end: float) -> float:
    """The factor β of the KL term: falls linearly from `start` to `end` over the first `epochs`, then stays."""
    return start + (end - start) * min(1.0, epoch / max(1, epochs - 1))


@dataclass(frozen=True)
class VAESettings:
    """How a VAE is trained.

    learning_rate: of Adam in the first epoch; it falls as half a cosine
    kl_start, kl_end, kl_epochs: the factor β of the KL term falls linearly over the first `kl_epochs`. The paper's 50
        epochs leave latents unused that later epochs at `kl_end` put to use: `epochs` may be more than `kl_epochs`
    """

    epochs: int
    batch_size: int
    learning_rate: float
    kl_start: float
    kl_end: float
    kl_epochs: int
    seed: int


@dataclass(frozen=True)
class RefinementSettings:
    """How a trained VAE is refined.

    learning_rate: of Adam, constant; kl_weight: the factor β of the KL term
    averaged_epochs: after how many of the last epochs weights and running statistics enter the average
    shift, zoom: how images are moved at random, see `shifted_or_enlarged`
    """

    epochs: int
    averaged_epochs: int
    batch_size: int
    learning_rate: float
    kl_weight: float
    shift: int
    zoom: float
    seed: int


def train_vae(
    images: Tensor, settings: VAESettings, *, device: torch.device, checkpoint: str | Path | None = None
) -> tuple[VAE, list[dict[str, float]]]:
    """Fit a VAE to the images of one class.

    Takes   images (n, 1, 28, 28) float32 in [0, 1]; checkpoint: see `fit`
    Returns the VAE in evaluation mode, and the curve: epoch, loss, kl, beta, each a mean over images
    """
    torch.manual_seed(settings.seed)
    vae = to_device(VAE(), device)
    images = images.to(device)
    training = Training(
        module=vae,
        optimizer=torch.optim.Adam(vae.parameters(), lr=settings.learning_rate),
        generator=torch.Generator().manual_seed(settings.seed),
        settings={"start": digest(vae, images), **asdict(settings)},
    )

    def run_epoch(epoch: int) -> dict[str, float]:
        beta = kl_weight(epoch, settings.kl_epochs, settings.kl_start, settings.kl_end)
        cosine_rate(training.optimizer, settings.learning_rate, epoch, settings.epochs)
        return _epoch(vae, images, training, batch_size=settings.batch_size, beta=beta)

    return vae, fit(training, run_epoch, epochs=settings.epochs, checkpoint=checkpoint)


def refine_vae(
    vae: VAE,
    images: Tensor,
    settings: RefinementSettings,
    *,
    device: torch.device,
    checkpoint: str | Path | None = None,
) -> tuple[VAE, list[dict[str, float]]]:
    """Train a VAE further, on shifted and enlarged images at a constant rate, and average its last epochs.

    The paper does not mention such a step, but its released VAEs fit shifted digits, and their latents suggest a KL
    factor below 1 (docs/results/index.md). An average of weights along a constant rate generalises better than the
    end of a falling rate (stochastic weight averaging: Izmailov et al. 2018).

    Takes   vae, trained on the same images; images (n, 1, 28, 28) float32 in [0, 1]; checkpoint: see `fit`
    Returns the averaged VAE in evaluation mode, and the curve: epoch, loss, kl, beta, each a mean over images
    """
    vae = to_device(vae, device)
    mean = AveragedModel(vae, use_buffers=True)
    images = images.to(device)
    training = Training(
        module=nn.ModuleDict({"vae": vae, "mean": mean}),
        optimizer=torch.optim.Adam(vae.parameters(), lr=settings.learning_rate),
        generator=torch.Generator().manual_seed(settings.seed),
        settings={"start": digest(vae, images), **asdict(settings)},
    )

    def run_epoch(epoch: int) -> dict[str, float]:
        size, beta = settings.batch_size, settings.kl_weight
        moves = settings.shift, settings.zoom
        row = _epoch(vae, images, training, batch_size=size, beta=beta, moves=moves)
        if epoch >= settings.epochs - settings.averaged_epochs:
            mean.update_parameters(vae)
        return row

    return cast(VAE, mean.module), fit(training, run_epoch, epochs=settings.epochs, checkpoint=checkpoint)


def _epoch(
    vae: VAE,
    images: Tensor,
    training: Training,
    *,
    batch_size: int,
    beta: float,
    moves: tuple[int, float] = (0, 1.0),
) -> dict[str, float]:
    """Take a step on each batch of the images; return the means of loss and KL term, and β.

    moves: shift and zoom, see `shifted_or_enlarged`
    """
    vae.train()
    losses, kls = [], []
    for rows in batches(len(images), batch_size, training.generator):
        x = shifted_or_enlarged(images[rows.to(images.device)], *moves, training.generator)
        noise = torch.randn(len(rows), LATENT, generator=training.generator).to(images.device)
        loss, kl = negative_elbo(vae, x, beta, noise)
        training.optimizer.zero_grad(set_to_none=True)
        loss.mean().backward()
        training.optimizer.step()
        losses.append(loss.detach())
        kls.append(kl.detach())
    return {"loss": torch.cat(losses).mean().item(), "kl": torch.cat(kls).mean().item(), "beta": beta}
