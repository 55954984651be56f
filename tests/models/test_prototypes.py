"""Prototype ABS against brute force in float64, and what it refuses."""

import pytest
import torch
from torch import Tensor

from absynth.errors import InputError
from absynth.models import least_energy
from absynth.models.base import predict_labels
from absynth.models.building import ModelFiles
from absynth.models.prototypes import PrototypeABS, build_prototype_abs, save_prototypes
from absynth.models.weights import save_state

COUNTS = torch.tensor([3, 9, 1, 5, 12, 2, 2, 30, 4, 4])
LABELS = torch.arange(10).repeat_interleave(COUNTS)


def data(n: int, seed: int) -> Tensor:
    """Random images with the sixteenth-steps of MNIST's grey values, (n, 784)."""
    return torch.randint(0, 256, (n, 784), generator=torch.Generator().manual_seed(seed)) / 255


IMAGES = data(int(COUNTS.sum()), 0)
OFFSETS = 5 * torch.rand(len(IMAGES), generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def model() -> PrototypeABS:
    return PrototypeABS(IMAGES, OFFSETS, COUNTS)


def brute_force(x: Tensor, images=IMAGES, offsets=OFFSETS, labels=LABELS) -> Tensor:
    """Logits (n, C) float64."""
    differences = x.flatten(1).double()[:, None] - images.double()
    energies = differences.square().sum(dim=2) + offsets.double()
    return -torch.stack([energies[:, labels == c].amin(dim=1) for c in labels.unique()], dim=1)


@pytest.mark.parametrize("n", [0, 1, 5, 300])
def test_logits_are_those_of_brute_force(model, n):
    x = data(n, 2).view(-1, 1, 28, 28)
    found = model(x)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), brute_force(x), rtol=1e-7, atol=0)
    assert torch.equal(predict_labels(model, x), brute_force(x).argmax(dim=1))


def test_float64_images_get_float64_logits(model):
    x = data(3, 2).double().view(-1, 1, 28, 28) * 0.9
    torch.testing.assert_close(model(x), brute_force(x), rtol=1e-13, atol=0)


def test_few_queries_at_a_time_give_the_same(model, monkeypatch):
    x = data(20, 2).view(-1, 1, 28, 28)
    together = model(x)
    monkeypatch.setattr(least_energy, "_ELEMENTS", 61)  # two images at a time
    assert torch.equal(model(x), together)


def test_gradient_is_exact(model):
    x = data(4, 3).view(-1, 1, 28, 28).requires_grad_()
    logits = model(x)
    for c in range(10):
        (gradient,) = torch.autograd.grad(logits[:, c].sum(), x, retain_graph=True)
        nearest = model.images[model.nearest(x.detach().flatten(1))[:, c]].view_as(x)
        torch.testing.assert_close(gradient, 2 * (nearest - x))


def crowd(step: float) -> tuple[Tensor, Tensor]:
    """Sixty bright prototypes, closer to each other than ‖u‖² - 2u·x in float32 can tell, and a base image."""
    base = 0.9 + 0.1 * torch.rand(784, generator=torch.Generator().manual_seed(0))
    images = base.repeat(60, 1)
    images[torch.arange(60), torch.arange(60)] -= step * (2 + torch.arange(60) * 37 % 60)
    return images, base.view(1, 1, 28, 28)


def test_the_minimum_is_exact_where_products_cannot_tell():
    images, x = crowd(2.0**-12)
    energies = (images.double() - x.double().flatten(1)).square().sum(dim=1)
    labels = torch.arange(60) // 30
    found = PrototypeABS(images, torch.zeros(60), torch.tensor([30, 30]))
    expected = brute_force(x, images, torch.zeros(60), labels)
    torch.testing.assert_close(found(x).double(), expected, rtol=1e-6, atol=0)
    assert found.nearest(x.flatten(1))[0].tolist() == [energies[:30].argmin(), 30 + energies[30:].argmin()]
    naive = images.square().sum(dim=1) - 2 * images @ x.flatten()
    assert naive.argmin() != energies.argmin()  # candidates by products alone would miss it


def test_decisions_are_those_of_float64_where_float32_has_a_tie():
    """Class 1 wins by less than float32 can tell."""
    images, offsets = torch.zeros(2, 784), torch.tensor([100.0, 100.0])
    images[1, 0] = 2.0**-14
    x = torch.zeros(1, 1, 28, 28)
    x[0, 0, 0, 0] = 2.0**-14
    logits = PrototypeABS(images, offsets, torch.tensor([1, 1]))(x.requires_grad_())
    assert (-brute_force(x, images, offsets, torch.arange(2))).to(torch.float32).unique().numel() == 1
    assert logits.argmax() == 1
    torch.testing.assert_close(logits.detach(), torch.tensor([[-100.0, -100.0]]))
    (gradient,) = torch.autograd.grad(logits[0, 0], x)
    assert gradient.flatten()[0] == -2 * 2.0**-14


def test_products_of_lower_precision_are_not_used(model):
    x = data(5, 2).view(-1, 1, 28, 28)
    expected, before = model(x), torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        assert torch.equal(model(x), expected)
    finally:
        torch.set_float32_matmul_precision(before)


def test_saved_and_built(model, tmp_path):
    save_prototypes(tmp_path / "prototypes.pt", model)
    built = build_prototype_abs(ModelFiles((tmp_path / "prototypes.pt",)))
    x = data(3, 2).view(-1, 1, 28, 28)
    assert torch.equal(built(x), model(x))


def changed(**parts: Tensor) -> dict[str, Tensor]:
    return {"images": IMAGES, "offsets": OFFSETS, "counts": COUNTS} | parts


NAN = IMAGES.clone()
NAN[3, 5] = torch.nan
BAD = [
    (changed(images=IMAGES[:, :100]), r"prototypes have shape \(72, 100\), expected floating \(N, 784\)"),
    (changed(images=IMAGES[:, :, None]), r"prototypes have shape \(72, 784, 1\)"),
    (changed(images=(IMAGES * 255).to(torch.uint8)), "expected floating"),
    (changed(images=1.5 * IMAGES), r"prototypes range from 0\.0 to 1\.5, allowed is \[0, 1\]"),
    (changed(images=IMAGES - 0.5), "prototypes range from -0.5"),
    (changed(images=NAN), "prototypes hold NaN"),
    (changed(offsets=OFFSETS[:-1]), r"offsets have shape \(71,\), expected floating \(72,\)"),
    (changed(offsets=OFFSETS - 10), "offsets range from -"),
    (changed(offsets=OFFSETS * torch.inf), "allowed is at least 0, finite"),
    (changed(offsets=OFFSETS * torch.nan), "offsets hold NaN"),
    (changed(counts=COUNTS - 1), "do not add up to 72"),
    (changed(counts=COUNTS.double()), "do not add up to 72"),
    (changed(counts=torch.tensor([3, 0, 10, 5, 12, 2, 2, 30, 4, 4])), "class 1 has no prototype"),
]


@pytest.mark.parametrize(("parts", "message"), BAD)
def test_what_does_not_fit_is_refused_in_a_line(parts, message, tmp_path):
    save_state(tmp_path / "weights.pt", parts)
    with pytest.raises(InputError, match=f"weights.pt: .*{message}.*delete it and rerun") as caught:
        build_prototype_abs(ModelFiles((tmp_path / "weights.pt",)))
    assert "\n" not in str(caught.value)


def test_other_weights_are_refused(tmp_path):
    save_state(tmp_path / "weights.pt", {"conv.weight": torch.zeros(3)})
    with pytest.raises(InputError, match=r"expected the tensors counts, images, offsets, found conv\.weight"):
        build_prototype_abs(ModelFiles((tmp_path / "weights.pt",)))


def test_images_are_checked(model):
    with pytest.raises(InputError, match="allowed is"):
        model(torch.full((1, 1, 28, 28), 2.0))
