"""Inference against answers known on paper and against its own definition."""

import pytest
import torch

from absynth.errors import InputError
from absynth.models.abs import prior
from absynth.models.abs.decoders import CHUNK, Decoders
from absynth.models.abs.energy import energies
from absynth.models.abs.fast import Fast
from absynth.models.abs.model import ABS
from absynth.models.abs.prior import Prototypes, clip_radius, prior_samples
from absynth.models.abs.reference import RADIUS, Reference
from absynth.models.abs.vae import LATENT, VAE


@pytest.fixture(scope="module")
def vaes() -> list[VAE]:
    """Three untrained VAEs whose batch norms are not the identity."""
    torch.manual_seed(3)
    made = []
    for _ in range(3):
        vae = VAE()
        for name, buffer in vae.named_buffers():
            if name.endswith("running_mean"):
                buffer.normal_(std=0.2)
            elif name.endswith("running_var"):
                buffer.uniform_(0.5, 1.5)
        for name, parameter in vae.named_parameters():
            if "Decoder.conv" in name and name.endswith("weight"):
                parameter.data *= 3  # images that depend visibly on the latents
        made.append(vae.eval())
    return made


@pytest.fixture(scope="module")
def decoders(vaes: list[VAE]) -> Decoders:
    return Decoders([vae.Decoder for vae in vaes])


@pytest.fixture
def images(decoders: Decoders) -> torch.Tensor:
    """Six images that the decoders can nearly make, (6, 784)."""
    generator = torch.Generator().manual_seed(5)
    made = decoders(torch.randn(6, LATENT, generator=generator), [2, 2, 2])
    return (made + 0.02 * torch.randn(made.shape, generator=generator)).clamp(0, 1)


def test_prior_keeps_the_most_likely_nine_tenths_in_order():
    kept = prior_samples(900, seed=1)
    drawn = torch.randn(1000, LATENT, generator=torch.Generator().manual_seed(1))
    radius = drawn.norm(dim=1).sort().values[899]
    torch.testing.assert_close(kept, drawn[drawn.norm(dim=1) <= radius])
    assert not torch.equal(kept, prior_samples(900, seed=2))


def test_prior_samples_are_decoded_in_parts_to_the_bit(decoders, monkeypatch):
    n = 2 * CHUNK + 5
    monkeypatch.setattr(prior, "_DECODED", CHUNK)
    made = Prototypes(decoders, n, seed=1)
    whole = decoders(made.latents.repeat(3, 1), [n] * 3).view(3, n, -1)
    assert torch.equal(made.images, whole)
    assert torch.equal(made.offsets, whole.square().sum(dim=2) + 0.5 * made.latents.square().sum(dim=1))


def test_clipping_keeps_the_direction_and_the_signs():
    z = torch.tensor([[3.0, -4.0, 0, 0, 0, 0, 0, 0], [-30.0, 40.0, 0, 0, 0, 0, 0, 0]])
    clipped = clip_radius(z, RADIUS)
    torch.testing.assert_close(clipped[0], z[0])
    torch.testing.assert_close(clipped[1], z[1] / 10)


@pytest.mark.parametrize("counts", [[4, 3, 5], [0, 60, 1], [0, 0, 2]])
def test_folded_decoders_equal_the_modules(vaes, decoders, counts):
    z = torch.randn(sum(counts), LATENT, generator=torch.Generator().manual_seed(0))
    expected = [vae.Decoder(part).flatten(1) for vae, part in zip(vaes, z.split(counts), strict=True)]
    with torch.no_grad():
        torch.testing.assert_close(decoders(z, counts), torch.cat(expected), atol=2e-6, rtol=1e-4)


def test_all_classes_at_once_equal_class_by_class(decoders):
    """The form that runs on a GPU, groups of one convolution, against the form that runs on a CPU."""
    z = torch.randn(3, 4, LATENT, generator=torch.Generator().manual_seed(0))
    images, jacobians = decoders._decode_with_jacobian(slice(None), z)
    expected, expected_jacobians = decoders.with_jacobian(z.flatten(0, 1), [4, 4, 4])
    torch.testing.assert_close(images.flatten(0, 1), expected, atol=2e-6, rtol=1e-4)
    torch.testing.assert_close(jacobians.flatten(0, 1), expected_jacobians, atol=2e-6, rtol=1e-4)
    torch.testing.assert_close(decoders._decode(slice(None), z), images)


def test_jacobian_equals_central_differences(vaes):
    decoders = Decoders([vae.Decoder for vae in vaes]).double()
    z = torch.randn(4, LATENT, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    _, jacobian = decoders.with_jacobian(z, [2, 1, 1])
    step = 1e-6
    for i in range(LATENT):
        shift = torch.zeros(LATENT, dtype=torch.float64)
        shift[i] = step
        with torch.no_grad():
            difference = (decoders(z + shift, [2, 1, 1]) - decoders(z - shift, [2, 1, 1])) / (2 * step)
        torch.testing.assert_close(jacobian[:, i], difference, atol=1e-8, rtol=1e-6)


def test_nearest_prototype_has_the_lowest_energy(decoders, images):
    prototypes = Prototypes(decoders, n=50, seed=0)
    found = prototypes.lowest(images)
    every = energies(prototypes.images, images[:, None, None], prototypes.latents)  # (6, 3, 50)
    torch.testing.assert_close(found.energies(images), every.amin(dim=2))
    torch.testing.assert_close(found.latents, prototypes.latents[every.argmin(dim=2)])
    projected = prototypes.lowest_projected(images).energies(images)
    assert (projected >= every.amin(dim=2) - 1e-3).all()


def test_reference_is_torchs_adam(decoders, images):
    prototypes = Prototypes(decoders, n=50, seed=0)
    found = Reference(steps=7, learning_rate=0.05).infer(decoders, prototypes, images)
    z = prototypes.lowest(images).latents.transpose(0, 1).reshape(-1, LATENT).clone().requires_grad_(True)
    optimizer = torch.optim.Adam([z], lr=0.05)
    for _ in range(7):
        optimizer.zero_grad()
        energies(decoders(z, [6, 6, 6]), images.repeat(3, 1), z).sum().backward()
        optimizer.step()
        z.data = clip_radius(z.data, RADIUS)
    torch.testing.assert_close(
        found.latents, z.detach().view(3, 6, LATENT).transpose(0, 1), atol=1e-4, rtol=1e-4
    )


def test_fast_reaches_a_stationary_point_of_the_winning_class(vaes, decoders, images):
    double = Decoders([vae.Decoder for vae in vaes]).double()
    prototypes = Prototypes(double, n=200, seed=0)
    search = Fast(margins=(torch.inf,) * 60, tolerance=1e-12)
    x = images.double()
    found = search.infer(double, prototypes, x, torch.ones(3, dtype=torch.float64))
    best = found.energies(x).argmin(dim=1)
    z = found.latents[torch.arange(6), best]
    order = best.argsort(stable=True)
    z_sorted = z[order].clone().requires_grad_(True)
    counts = torch.bincount(best, minlength=3).tolist()
    energies(double(z_sorted, counts), x[order], z_sorted).sum().backward()
    assert z_sorted.grad.abs().max() < 1e-3
    start = prototypes.lowest_projected(x).energies(x)
    assert (found.energies(x) <= start).all()


def test_energy_is_that_of_the_latents_returned(vaes, decoders, images):
    model = ABS(vaes, prior_samples=50, steps=3)
    for inference in ("reference", "fast"):
        inferred = model.with_inference(inference).infer(images.view(-1, 1, 28, 28))
        with torch.no_grad():
            decoded = decoders(inferred.latents.transpose(0, 1).reshape(-1, LATENT), [6, 6, 6])
        torch.testing.assert_close(
            inferred.images, decoded.view(3, 6, 784).transpose(0, 1), atol=2e-6, rtol=1e-4
        )


@pytest.mark.parametrize(
    ("latents", "found"),
    [
        (torch.zeros(6, 2, LATENT), r"shape \(6, 2, 8\), expected \(6, 3, 8\)"),
        (torch.full((6, 3, LATENT), torch.nan), "finite"),
    ],
)
def test_near_refuses_bad_latents(vaes, images, latents, found):
    model = ABS(vaes, prior_samples=20, steps=1)
    x = images.view(-1, 1, 28, 28)
    start = model.infer(x)
    with pytest.raises(InputError, match=found):
        model.infer_near(x, type(start)(latents, start.images))


@pytest.mark.parametrize(
    ("x", "found"),
    [
        (torch.full((1, 1, 28, 28), 1.5), "pixels from 1.5 to 1.5"),
        (torch.full((1, 1, 28, 28), torch.nan), "NaN"),
        (torch.zeros(1, 784), r"shape \(1, 784\)"),
        (torch.zeros(1, 1, 28, 28, dtype=torch.uint8), "uint8"),
    ],
)
def test_images_are_checked_first(vaes, x, found):
    with pytest.raises(InputError, match=found):
        ABS(vaes, prior_samples=20, steps=1)(x)


@pytest.mark.parametrize("gamma", [None, [1.1, 0.9, 1.0]])
@pytest.mark.parametrize("factors", [[1.0, 1.0, 1.0], [0.9, 1.1, 1.0], [1.1, 1.0, 0.9], [3.0, 0.2, 1.0]])
def test_decisions_are_those_of_the_logits_with_fewer_steps(vaes, images, gamma, factors):
    """Factors may make a class win that the search has given up: then it goes on, and changes nothing."""
    model = ABS(vaes, prior_samples=30, gamma=gamma)
    x, asked = images.view(-1, 1, 28, 28), torch.tensor(factors)
    x = torch.cat([x, x.roll(1, dims=3), x.flip(0)])
    taken: dict[bool, int] = {}
    count = model.decoders.with_jacobian
    for decided in (False, True):
        taken[decided] = 0

        def counted(z, counts, decided=decided):
            taken[decided] += len(z)
            return count(z, counts)

        model.decoders.with_jacobian = counted
        if decided:
            found = model.decide(x, asked)
        else:
            with torch.no_grad():
                expected = (model(x) * asked).argmax(dim=1)
    assert torch.equal(found, expected)
    assert taken[True] <= taken[False]
    if factors == [1.0, 1.0, 1.0]:
        assert taken[True] < taken[False]
    assert torch.equal(
        model.with_inference("reference").decide(x[:3], asked), decided_by_reference(model, x[:3], asked)
    )


def decided_by_reference(model, x, factors):
    with torch.no_grad():
        return (model.with_inference("reference")(x) * factors).argmax(dim=1)
