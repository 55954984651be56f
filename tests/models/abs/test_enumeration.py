"""The prototypes that are made from VAEs."""

import pytest
import torch
from torch import Tensor

from absynth.errors import InputError
from absynth.models.abs.enumeration import PrototypeSettings, enumerate_abs
from absynth.models.abs.prior import prior_samples
from absynth.models.abs.vae import VAE

CPU = torch.device("cpu")
IMAGES = torch.rand(12, 1, 28, 28, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([0, 1] * 6)


@pytest.fixture(scope="module")
def vaes() -> list[VAE]:
    torch.manual_seed(0)
    return [VAE().eval() for _ in range(2)]


def decoded(vae: VAE, z: Tensor) -> Tensor:
    with torch.no_grad():
        return vae.Decoder(z).flatten(1)


def test_prior_samples_are_decoded_by_each_class(vaes):
    model = enumerate_abs(vaes, IMAGES, LABELS, PrototypeSettings(5, 0, temperature=1.5, seed=7), CPU)
    z = 1.5 * prior_samples(5, 7)
    assert model.counts == [5, 5]
    for c in (0, 1):
        torch.testing.assert_close(model.images[5 * c : 5 * c + 5], decoded(vaes[c], z))
        torch.testing.assert_close(model.offsets[5 * c : 5 * c + 5], 0.5 * z.square().sum(dim=1))


def test_posterior_means_of_the_first_images_of_each_class_are_decoded(vaes):
    model = enumerate_abs(vaes, IMAGES, LABELS, PrototypeSettings(2, 3), CPU)
    assert model.counts == [5, 5]
    with torch.no_grad():
        mean = vaes[1].Encoder(IMAGES[LABELS == 1][:3])[0]
    torch.testing.assert_close(model.images[7:], decoded(vaes[1], mean))
    torch.testing.assert_close(model.offsets[7:], 0.5 * mean.square().sum(dim=1))


def test_moved_images_are_encoded_too(vaes):
    """Up, down, left, right, after the images themselves; what comes in is black."""
    x = IMAGES[LABELS == 0][:2]
    up, down, left, right = (torch.zeros_like(x) for _ in range(4))
    up[:, :, :-2], down[:, :, 2:] = x[:, :, 2:], x[:, :, :-2]
    left[..., :-2], right[..., 2:] = x[..., 2:], x[..., :-2]
    model = enumerate_abs(vaes, IMAGES, LABELS, PrototypeSettings(1, 2, moved_by=2), CPU)
    assert model.counts == [11, 11]
    with torch.no_grad():
        z = torch.cat([vaes[0].Encoder(part)[0] for part in (x, up, down, left, right)])
    torch.testing.assert_close(model.images[1:11], decoded(vaes[0], z))


def test_more_images_than_there_are_means_all(vaes):
    model = enumerate_abs(vaes, IMAGES[:-1], LABELS[:-1], PrototypeSettings(0, 100), CPU)
    assert model.counts == [6, 5]


def test_offsets_can_be_left_out(vaes):
    model = enumerate_abs(vaes, IMAGES, LABELS, PrototypeSettings(3, 1, offsets=False), CPU)
    assert (model.offsets == 0).all()


def test_energies_are_those_of_abs_at_the_latents(vaes):
    model = enumerate_abs(vaes, IMAGES, LABELS, PrototypeSettings(4, 0), CPU)
    z, x = prior_samples(4, 3), IMAGES[:2]
    differences = decoded(vaes[0], z) - x.flatten(1)[:, None]
    energy = differences.square().sum(dim=2) + 0.5 * z.square().sum(dim=1)
    torch.testing.assert_close(model(x)[:, 0], -energy.amin(dim=1))


def test_a_class_without_a_prototype_is_refused(vaes):
    with pytest.raises(
        InputError, match="class 1 gets no prototype: prior_samples is 0, encoded_images 3, and 0 "
    ):
        enumerate_abs(vaes, IMAGES, torch.zeros_like(LABELS), PrototypeSettings(0, 3), CPU)
