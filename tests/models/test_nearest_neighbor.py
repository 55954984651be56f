"""The nearest-neighbour classifier against brute force in float64."""

import numpy as np
import pytest
import torch

from absynth.data.format import DataFormat
from absynth.data.split_files import write_split
from absynth.errors import InputError
from absynth.models.building import ModelFiles
from absynth.models.nearest_neighbor import NearestNeighbor, build_nearest_neighbor


def data(n: int, seed: int) -> torch.Tensor:
    """Random images with the sixteenth-steps of MNIST's grey values, (n, 784)."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (n, 784), generator=generator) / 255


TRAIN, LABELS = data(60, 0), torch.arange(60) * 7 % 10


@pytest.fixture(scope="module")
def model() -> NearestNeighbor:
    return NearestNeighbor(TRAIN, LABELS)


def brute_force(x: torch.Tensor, train=TRAIN, labels=LABELS) -> torch.Tensor:
    squares = (
        torch.cdist(x.flatten(1).double(), train.double(), compute_mode="donot_use_mm_for_euclid_dist") ** 2
    )
    return -torch.stack([squares[:, labels == c].amin(dim=1) for c in range(10)], dim=1)


@pytest.mark.parametrize("n", [1, 5, 300])
def test_logits_are_those_of_brute_force(model, n):
    x = data(n, 1).view(-1, 1, 28, 28)
    torch.testing.assert_close(model(x).double(), brute_force(x), rtol=1e-5, atol=0)


def test_training_images_are_their_own_neighbours(model):
    logits = model(TRAIN.view(-1, 1, 28, 28))
    assert torch.equal(logits.argmax(dim=1), LABELS)
    assert (logits.amax(dim=1) == 0).all()


def test_one_image_a_class_suffices():
    x = data(3, 1).view(-1, 1, 28, 28)
    alone = NearestNeighbor(TRAIN[:10], LABELS[:10])
    torch.testing.assert_close(alone(x).double(), brute_force(x, TRAIN[:10], LABELS[:10]), rtol=1e-5, atol=0)


def test_gradient_is_exact():
    """2 (t - x) per class, and a central difference in float64, which is exact for a quadratic."""
    model = NearestNeighbor(TRAIN.double(), LABELS)
    x = data(2, 1).double().view(-1, 1, 28, 28).clamp(0.01, 0.99).requires_grad_()
    logits = model(x)
    directions = torch.randn(3, 2, 1, 28, 28, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for c in range(10):
        (gradient,) = torch.autograd.grad(logits[:, c].sum(), x, retain_graph=True)
        nearest = model.images[model.nearest(x.detach().flatten(1))[:, c]].view_as(x)
        torch.testing.assert_close(gradient, 2 * (nearest - x))
        for direction in directions:
            step = 1e-3 * direction / direction.abs().max()
            with torch.no_grad():
                numeric = (model(x + step)[:, c] - model(x - step)[:, c]) / 2
            torch.testing.assert_close((gradient * step).sum(dim=(1, 2, 3)), numeric, rtol=1e-8, atol=1e-12)


def test_small_distances_survive_float32():
    """‖t‖² - 2x·t cancels: for bright images its rounding, some 1e-4, exceeds the distances at stake."""
    generator = torch.Generator().manual_seed(0)
    base = 0.9 + 0.1 * torch.rand(784, generator=generator)
    train = base.repeat(30, 1)
    steps = 2.0 ** -torch.arange(4, 14).repeat_interleave(3) * torch.tensor([1.5, 1.0, 2.0]).repeat(10)
    train[torch.arange(30), torch.arange(30)] -= steps
    labels = torch.arange(30) // 3
    x = base.view(1, 1, 28, 28).clamp(max=1)
    found = NearestNeighbor(train, labels)(x)
    expected = brute_force(x, train, labels)
    torch.testing.assert_close(found.double(), expected, rtol=1e-2, atol=0)
    assert found.argmax() == 9
    # Subtracted naively in float32, most of these distances are lost.
    naive = (train.square().sum(dim=1) - 2 * train @ base + base.square().sum()).view(10, 3).amin(dim=1)
    assert ((naive.double() + expected[0]).abs() > 0.5 * expected[0].abs()).sum() > 3


def test_many_queries_are_answered_as_few(model):
    x = data(600, 2).view(-1, 1, 28, 28)
    together = model(x)
    torch.testing.assert_close(together[[0, 255, 256, 599]], model(x[[0, 255, 256, 599]]), rtol=1e-5, atol=0)


def test_images_are_checked(model):
    with pytest.raises(InputError, match="allowed is"):
        model(torch.full((1, 1, 28, 28), 2.0))


def test_built_from_the_training_split(tmp_path):
    images = (TRAIN * 255).round().to(torch.uint8).view(-1, 28, 28).numpy()
    write_split(tmp_path / "train.h5", images, LABELS.numpy().astype(np.uint8), "toy", "train")
    built = build_nearest_neighbor(ModelFiles(train=tmp_path / "train.h5"))
    x = data(4, 1).view(-1, 1, 28, 28)
    torch.testing.assert_close(built(x).double(), brute_force(x), rtol=1e-5, atol=0)
    assert not built.state_dict()  # the training split is not stored twice


def test_near_ties_are_decided_in_float64_by_logits_that_tell_them_apart():
    """Energies that are equal in float32, of 16 pixels: the lesser one's class wins, whichever comes first."""
    x = torch.full((16,), 0.5)
    x[0], x[1] = 0.0, 1.0
    near = x.clone()
    near[0], near[1] = 1.0, 0.0
    far = near.clone()
    far[2] += 1e-4
    assert (far - x).square().sum() == (near - x).square().sum()
    for images, winner in (([near, far], 0), ([far, near], 1)):
        model = NearestNeighbor(torch.stack(images), torch.tensor([0, 1]), DataFormat((1, 4, 4), 2))
        (logits,) = model(x.view(1, 1, 4, 4))
        assert logits.dtype == torch.float32
        assert logits.argmax() == winner
        assert logits[winner] > logits[1 - winner]
