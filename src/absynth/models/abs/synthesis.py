"""What a generative model has learnt: samples of its prior, and reconstructions of images by each class."""

import torch
from torch import Tensor

from absynth.models.abs.model import ABS
from absynth.models.abs.prior import prior_samples


def sample_prior(model: ABS, n: int, seed: int) -> tuple[Tensor, Tensor]:
    """Decode n samples of the prior under every class, the same latents for all.

    Returns latents (C · n, 8) and images (C · n, 1, 28, 28), class by class
    """
    classes = model.decoders.n_classes
    latents = prior_samples(n, seed).to(model.decoders.device).repeat(classes, 1)
    with torch.no_grad():
        images = model.decoders(latents, [n] * classes)
    return latents, images.view(-1, 1, 28, 28).clamp(0, 1)


def reconstruct(model: ABS, images: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
    """The image that each of some classes would make of each image, and at what energy.

    Takes   images (n, 1, 28, 28); classes (n, k) int64
    Returns reconstructions G_c(z*) (n, k, 1, 28, 28) and γ_c E*_c (n, k), by the model's inference;
            the class of the lowest is the predicted one
    """
    if not len(images):
        return images.new_zeros(*classes.shape, 1, 28, 28), images.new_zeros(classes.shape)
    with torch.no_grad():
        inferred = model.infer(images)
        energies = model.gamma * inferred.energies(model.preprocess(images))  # (n, C)
    rows = torch.arange(len(images), device=images.device)[:, None]
    return inferred.images[rows, classes].view(*classes.shape, 1, 28, 28).clamp(0, 1), energies[rows, classes]


def reconstruct_adversarials(model: ABS, pairs: Tensor, classes: Tensor) -> dict[str, Tensor]:
    """Reconstructions of clean images and of their adversarials, by the label and by the adversarial class.

    Takes   pairs (n, 2, 1, 28, 28): clean image and adversarial; classes (n, 2): label and rival
    Returns reconstruction (n, 2, 2, 1, 28, 28) and energy (n, 2, 2): of each image, by each class
    """
    images, energies = reconstruct(model, pairs.flatten(0, 1), classes.repeat_interleave(2, dim=0))
    return {"reconstruction": images.unflatten(0, (-1, 2)), "energy": energies.unflatten(0, (-1, 2))}
