"""Samples and reconstructions of a model with untrained weights."""

import pytest
import torch

from absynth.models.abs.model import ABS
from absynth.models.abs.synthesis import reconstruct, reconstruct_adversarials, sample_prior
from absynth.models.abs.vae import VAE


@pytest.fixture(scope="module")
def model() -> ABS:
    torch.manual_seed(0)
    vaes = [VAE() for _ in range(10)]
    return ABS(vaes, prior_samples=50, gamma=[1.0, 1.1] * 5, inference="reference", steps=3).eval()


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.rand(4, 1, 28, 28, generator=torch.Generator().manual_seed(0))


def test_energies_are_those_of_the_decision(model, images):
    everything = torch.arange(10).repeat(4, 1)
    made, energies = reconstruct(model, images, everything)
    assert made.shape == (4, 10, 1, 28, 28)
    torch.testing.assert_close(-energies / 784, model(images))
    assert energies.argmin(dim=1).tolist() == model(images).argmax(dim=1).tolist()
    error = (made - images[:, None]).square().sum(dim=(2, 3, 4))
    assert (error <= energies / model.gamma + 1e-4).all()


def test_each_class_is_asked_for_each_image(model, images):
    classes = torch.tensor([[1, 7], [7, 2]])
    found = reconstruct_adversarials(model, images.view(2, 2, 1, 28, 28), classes)
    _, energies = reconstruct(model, images, torch.arange(10).repeat(4, 1))
    expected = energies.view(2, 2, 10)
    for i in range(2):
        for j in range(2):
            assert found["energy"][i, j].tolist() == expected[i, j, classes[i]].tolist()
    assert found["reconstruction"].shape == (2, 2, 2, 1, 28, 28)


def test_no_images_give_none(model):
    found = reconstruct_adversarials(
        model, torch.zeros(0, 2, 1, 28, 28), torch.zeros(0, 2, dtype=torch.int64)
    )
    assert found["reconstruction"].shape == (0, 2, 2, 1, 28, 28)
    assert found["energy"].shape == (0, 2, 2)


def test_samples_decode_the_same_latents_under_every_class(model):
    latents, images = sample_prior(model, 3, seed=5)
    assert latents.shape == (30, 8)
    assert torch.equal(latents[:3], latents[27:])
    assert images.shape == (30, 1, 28, 28)
    assert not torch.equal(images[:3], images[27:])
    assert torch.equal(sample_prior(model, 3, seed=5)[0], latents)
    assert not torch.equal(sample_prior(model, 3, seed=6)[0], latents)
