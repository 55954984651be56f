"""Training of feed-forward classifiers, on clean images or on adversarial ones (Madry et al. 2018)."""

from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from absynth.training.augment import shifted
from absynth.training.checkpoint import Training, fit
from absynth.training.schedule import batches, cosine_rate


@dataclass(frozen=True)
class Adversary:
    """Projected gradient ascent in an L∞ ball.

    epsilon, step_size: in units of intensity, pixels in [0, 1]
    warmup_epochs: epochs over which epsilon grows linearly to its value
    """

    epsilon: float
    steps: int
    step_size: float
    warmup_epochs: int = 0

    def at_epoch(self, epoch: int) -> "Adversary":
        share = min(1.0, (epoch + 1) / (self.warmup_epochs + 1))
        return Adversary(self.epsilon * share, self.steps, self.step_size * share)


def projected_gradient(model: nn.Module, x: Tensor, y: Tensor, adversary: Adversary, noise: Tensor) -> Tensor:
    """PGD from a random start; noise (n, 1, 28, 28) uniform in [-1, 1]. Returns images in [0, 1]."""
    low = (x - adversary.epsilon).clamp(min=0)
    high = (x + adversary.epsilon).clamp(max=1)
    current = torch.clamp(x + adversary.epsilon * noise, low, high)
    for _ in range(adversary.steps):
        current.requires_grad_(True)
        with torch.enable_grad():
            loss = functional.cross_entropy(model(current), y, reduction="sum")
            (gradient,) = torch.autograd.grad(loss, current)
        current = torch.clamp(current.detach() + adversary.step_size * gradient.sign(), low, high)
    return current


def train_classifier(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    shift: int = 0,
    seed: int,
    device: torch.device,
    adversary: Adversary | None = None,
    checkpoint: str | Path | None = None,
) -> list[dict[str, float]]:
    """Fit `model` in place by cross entropy with Adam; with an adversary, on its images instead of clean ones.

    Takes   images (n, 1, 28, 28) float32 in [0, 1]; labels (n,) int64; shift, by how many pixels at most
            images are moved at random
    Returns the curve: epoch, loss and accuracy on the images trained on
    """
    model.to(device, memory_format=torch.channels_last)
    images, labels = images.to(device), labels.to(device)
    training = Training(
        module=model,
        optimizer=torch.optim.Adam(model.parameters(), lr=learning_rate),
        generator=torch.Generator().manual_seed(seed),
        settings=dict(
            n=len(images), epochs=epochs, batch_size=batch_size, learning_rate=learning_rate, shift=shift,
            seed=seed, adversary=asdict(adversary) if adversary else None,
        ),
    )  # fmt: skip

    def run_epoch(epoch: int) -> dict[str, float]:
        cosine_rate(training.optimizer, learning_rate, epoch, epochs)
        losses, hits = [], []
        for rows in batches(len(images), batch_size, training.generator):
            x, y = shifted(images[rows.to(device)], shift, training.generator), labels[rows.to(device)]
            if adversary:
                noise = 2 * torch.rand(x.shape, generator=training.generator).to(device) - 1
                model.eval()
                x = projected_gradient(model, x, y, adversary.at_epoch(epoch), noise)
            model.train()
            logits = model(x)
            loss = functional.cross_entropy(logits, y)
            training.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            training.optimizer.step()
            losses.append(loss.detach() * len(rows))
            hits.append((logits.detach().argmax(1) == y).sum())
        n = len(images)
        return {"loss": (sum(losses) / n).item(), "accuracy": (sum(hits) / n).item()}

    return fit(training, run_epoch, epochs=epochs, checkpoint=checkpoint)
