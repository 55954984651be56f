"""Training of feed-forward classifiers, on clean images or on adversarial ones (Madry et al. 2018)."""

from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from absynth.training.augment import shifted
from absynth.training.checkpoint import Training, digest, fit, to_device
from absynth.training.schedule import batches, cosine_rate


@dataclass(frozen=True)
class Adversary:
    """Projected gradient ascent in an L∞ ball.

    epsilon, step_size: for pixels in [0, 1]
    warmup_epochs: epochs over which epsilon and step size grow linearly to their values
    """

    epsilon: float
    steps: int
    step_size: float
    warmup_epochs: int = 0

    def at_epoch(self, epoch: int) -> "Adversary":
        """The adversary of an epoch, counted from 0."""
        share = min(1.0, (epoch + 1) / (self.warmup_epochs + 1))
        return Adversary(self.epsilon * share, self.steps, self.step_size * share)


def projected_gradient(model: nn.Module, x: Tensor, y: Tensor, adversary: Adversary, noise: Tensor) -> Tensor:
    """PGD from a random start; noise (n, c, h, w) uniform in [-1, 1]. Returns images in [0, 1]."""
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


@dataclass(frozen=True)
class ClassifierSettings:
    """How a classifier is trained.

    learning_rate: of Adam in the first epoch; it falls as half a cosine
    shift: by how many pixels at most images are shifted at random
    adversary: if there is one, the classifier is trained on its images instead of clean ones
    """

    epochs: int
    batch_size: int
    learning_rate: float
    seed: int
    shift: int = 0
    adversary: Adversary | None = None


def train_classifier(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    settings: ClassifierSettings,
    *,
    device: torch.device,
    checkpoint: str | Path | None = None,
) -> list[dict[str, float]]:
    """Fit `model` in place by cross entropy with Adam.

    Takes   images (n, c, h, w) float32 in [0, 1]; labels (n,) int64; checkpoint: see `fit`
    Returns the curve: epoch, loss and accuracy on the images trained on
    """
    model = to_device(model, device)
    images, labels = images.to(device), labels.to(device)
    training = Training(
        module=model,
        optimizer=torch.optim.Adam(model.parameters(), lr=settings.learning_rate),
        generator=torch.Generator().manual_seed(settings.seed),
        settings={"start": digest(model, images, labels), **asdict(settings)},
    )

    def run_epoch(epoch: int) -> dict[str, float]:
        cosine_rate(training.optimizer, settings.learning_rate, epoch, settings.epochs)
        return _epoch(training, images, labels, settings, epoch)

    return fit(training, run_epoch, epochs=settings.epochs, checkpoint=checkpoint)


def _epoch(
    training: Training, images: Tensor, labels: Tensor, settings: ClassifierSettings, epoch: int
) -> dict[str, float]:
    """Take a step on each batch of the images; return mean loss and accuracy."""
    model, adversary = training.module, settings.adversary
    losses, correct = [], []
    for rows in batches(len(images), settings.batch_size, training.generator):
        rows_there = rows.to(images.device)
        x, y = shifted(images[rows_there], settings.shift, training.generator), labels[rows_there]
        if adversary:
            noise = 2 * torch.rand(x.shape, generator=training.generator).to(images.device) - 1
            model.eval()
            x = projected_gradient(model, x, y, adversary.at_epoch(epoch), noise)
        model.train()
        logits = model(x)
        loss = functional.cross_entropy(logits, y)
        training.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        training.optimizer.step()
        losses.append(loss.detach() * len(rows))
        correct.append((logits.detach().argmax(1) == y).sum())
    n = len(images)
    return {"loss": float(sum(losses) / n), "accuracy": float(sum(correct) / n)}
