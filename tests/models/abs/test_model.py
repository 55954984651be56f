"""ABS as a differentiable module, on the authors' released weights."""

import pytest
import torch

from absynth.models.abs.energy import Inferred, energies
from absynth.models.abs.fast import Fast
from absynth.models.abs.model import ABS, build_abs, build_binary_abs
from absynth.models.abs.vae import LATENT
from absynth.models.building import ModelFiles


@pytest.fixture(scope="module")
def files(published) -> ModelFiles:
    return ModelFiles(tuple(published / f"ABS_{label}.net" for label in range(10)))


@pytest.fixture(scope="module")
def model(files) -> ABS:
    return build_abs(files, prior_samples=2000).eval()


def test_gradient_is_that_of_the_converged_energy(files, mnist_test):
    """Envelope theorem: autograd at fixed latents against central differences of min_z E, in float64."""
    model = build_abs(files, prior_samples=500).double()
    model.fast = Fast(margins=(torch.inf,) * 40, warm_margins=(torch.inf,) * 15, tolerance=0.0)
    x = mnist_test[0][:2].double()
    start = model.infer(x)
    converged = _gradient_in_z(model, x, start).abs().amax(dim=2) < 1e-4  # (2, 10)
    assert converged[[0, 1], mnist_test[1][:2]].all()
    assert converged.sum() >= 6
    directions = torch.nn.functional.normalize(
        torch.randn(3, 784, dtype=torch.float64, generator=torch.Generator().manual_seed(0)), dim=1
    )
    flat = x.flatten(1).clone().requires_grad_(True)
    logits = model.logits_from(flat, start)
    gradients = torch.stack(
        [torch.autograd.grad(logits[:, c].sum(), flat, retain_graph=True)[0] for c in range(10)], 1
    )
    for direction in directions:
        exact = gradients @ direction  # (2, 10)
        numeric = _central_difference(model, x.flatten(1), start, direction)
        error = (exact - numeric).abs() / exact.abs().clamp(min=1e-3 * gradients.norm(dim=2))
        assert (error[converged] < 1e-3).all(), error


def _central_difference(model, flat, start: Inferred, direction, step: float = 1e-4):
    """Derivatives (n, 10) of the converged logits along a direction."""
    values = []
    for sign in (1, -1):
        moved = flat + sign * step * direction
        values.append(model.logits_from(moved, model.fast.refine(model.decoders, moved, start, model.gamma)))
    return (values[0] - values[1]) / (2 * step)


def _gradient_in_z(model, x, inferred: Inferred):
    z = inferred.latents.transpose(0, 1).reshape(-1, LATENT).clone().requires_grad_(True)
    images = model.decoders(z, [len(x)] * 10)
    energies(images, x.flatten(1).repeat(10, 1), z).sum().backward()
    return z.grad.view(10, len(x), LATENT).transpose(0, 1)


def test_gradient_step_lowers_the_logit_of_the_class(model, mnist_test):
    x, y = (part[:4] for part in mnist_test)
    x = x.clone().requires_grad_(True)
    before = model(x)
    before.gather(1, y[:, None]).sum().backward()
    moved = (x - 0.5 * x.grad / x.grad.flatten(1).norm(dim=1)[:, None, None, None]).detach().clamp(0, 1)
    after = model(moved)
    assert (after.gather(1, y[:, None]) < before.gather(1, y[:, None])).all()


def test_binary_model_sees_only_black_and_white(files, mnist_test):
    binary = build_binary_abs(ModelFiles(files.weights, gamma=(1.0,) * 10), prior_samples=2000)
    x = mnist_test[0][:8].clone().requires_grad_(True)
    logits = binary(x)
    torch.testing.assert_close(logits, binary((x >= 0.5).float()))
    logits.sum().backward()
    assert x.grad.abs().sum() > 0  # straight through
    inferred = binary.infer(x)
    binary.gamma[9] = 1.1
    seen = (x >= 0.5).float().flatten(1)
    torch.testing.assert_close(binary.logits_from(seen, inferred)[:, :9], logits[:, :9])
    torch.testing.assert_close(binary.logits_from(seen, inferred)[:, 9], 1.1 * logits[:, 9])


def test_fast_and_reference_decide_alike(files, mnist_test):
    """And the energy of the class decided for is not above Adam's on average."""
    model = build_abs(files)
    x, y = (part[:40] for part in mnist_test)
    with torch.no_grad():
        fast, reference = model.with_inference("fast")(x), model.with_inference("reference")(x)
    assert torch.equal(fast.argmax(dim=1), reference.argmax(dim=1))
    assert (fast.argmax(dim=1) == y).float().mean() > 0.95
    chosen = reference.argmax(dim=1, keepdim=True)
    assert 784 * (reference - fast).gather(1, chosen).mean() < 0.02


def test_warm_start_agrees_with_a_cold_one(model, mnist_test):
    x = mnist_test[0][:30]
    start = model.infer(x)
    moved = (x + 0.02 * torch.randn(x.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)
    with torch.no_grad():
        warm = model.logits_at(moved, model.infer_near(moved, start))
        cold = model(moved)
    assert torch.equal(warm.argmax(dim=1), cold.argmax(dim=1))
    best = cold.argmax(dim=1, keepdim=True)
    assert (784 * (cold - warm).gather(1, best)).max() < 0.1


def test_rivals_are_searched_as_if_the_label_were_none(model, mnist_test):
    """The likeliest other class is often too far from winning to be searched at all, unless by itself."""
    x, y = (part[:20] for part in mnist_test)
    seen, label = model.preprocess(x), y[:, None]
    found = model.infer(x)
    refined = model.infer(x, y)
    for other in (refined, model.infer_near(x, found, y)):
        assert torch.equal(other.latents[torch.arange(20), y], found.latents[torch.arange(20), y])
    before, after = (
        inferred.energies(seen).scatter(1, label, torch.inf).amin(dim=1) for inferred in (found, refined)
    )
    reference = (
        model.with_inference("reference").infer(x).energies(seen).scatter(1, label, torch.inf).amin(dim=1)
    )
    assert (after <= before + 1e-4).all()
    assert (after < before - 1).any()
    assert (after - reference < 0.5).float().mean() >= 0.8


def test_result_does_not_depend_on_the_batch(model, mnist_test):
    x = mnist_test[0][:12]
    with torch.no_grad():
        together = model(x)
        alone = torch.cat([model(one[None]) for one in x])
    best = together.argmax(dim=1, keepdim=True)
    torch.testing.assert_close(together.gather(1, best), alone.gather(1, best), atol=1e-5, rtol=1e-3)
