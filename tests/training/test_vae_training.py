"""The evidence lower bound, the schedule of its KL term, and batches and rates of training."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.distributions import Normal, kl_divergence

import absynth.training.vae as vae_training
from absynth.models.abs.vae import LATENT, VAE, negative_elbo
from absynth.training.schedule import batches, cosine_rate
from absynth.training.vae import RefinementSettings, VAESettings, kl_weight, refine_vae, train_vae

CPU = torch.device("cpu")
SETTINGS = dict(epochs=3, batch_size=8, learning_rate=2e-3, kl_start=10.0, kl_end=1.0, kl_epochs=3, seed=4)
REFINEMENT = dict(batch_size=8, learning_rate=1e-3, kl_weight=0.7, shift=1, zoom=1.2, seed=4)


class Fixed(torch.nn.Module):
    """An encoder that returns N(mean, variance) for any image; a decoder whose every pixel is z₀."""

    def __init__(self, mean: torch.Tensor, variance: torch.Tensor):
        super().__init__()
        self.Encoder = lambda x: (mean.expand(len(x), -1), variance.log().expand(len(x), -1))
        self.Decoder = lambda z: z[:, :1, None, None].expand(-1, 1, 28, 28)


@pytest.mark.parametrize("beta", [0.0, 1.0, 10.0])
def test_negative_elbo_on_paper(beta):
    """Mean ¼ and variance 4 in the first latent, a standard normal in the others; noise ⅛ there: z₀ = ½."""
    mean, variance = torch.zeros(1, LATENT), torch.ones(1, LATENT)
    mean[0, 0], variance[0, 0] = 0.25, 4.0
    noise = torch.zeros(2, LATENT)
    noise[:, 0] = 0.125
    x = torch.stack([torch.zeros(1, 28, 28), torch.ones(1, 28, 28)])
    loss, kl = negative_elbo(Fixed(mean, variance), x, beta, noise)
    expected = 0.5 * (0.25**2 + 4 - 1 - math.log(4))
    torch.testing.assert_close(kl, torch.full((2,), expected))
    torch.testing.assert_close(loss, torch.full((2,), 784 * 0.25 + beta * expected))


def test_kl_is_that_of_gaussians():
    generator = torch.Generator().manual_seed(0)
    mean, variance = (
        torch.randn(1, LATENT, generator=generator),
        torch.rand(1, LATENT, generator=generator) + 0.1,
    )
    _, kl = negative_elbo(Fixed(mean, variance), torch.zeros(1, 1, 28, 28), 1.0, torch.zeros(1, LATENT))
    expected = kl_divergence(Normal(mean, variance.sqrt()), Normal(0.0, 1.0)).sum()
    torch.testing.assert_close(kl[0], expected)


def test_samples_of_the_posterior_have_its_moments():
    mean, variance = torch.full((1, LATENT), 0.5), torch.full((1, LATENT), 0.04)
    seen = []
    vae = Fixed(mean, variance)
    vae.Decoder = lambda z: seen.append(z) or torch.zeros(len(z), 1, 28, 28)
    noise = torch.randn(20_000, LATENT, generator=torch.Generator().manual_seed(0))
    negative_elbo(vae, torch.zeros(20_000, 1, 1, 1), 1.0, noise)
    torch.testing.assert_close(seen[0].mean(dim=0), mean[0], atol=0.01, rtol=0)
    torch.testing.assert_close(seen[0].std(dim=0), variance[0].sqrt(), atol=0.01, rtol=0)


def test_networks_have_the_papers_sizes():
    vae = VAE().eval()
    mean, log_variance = vae.Encoder(torch.rand(2, 1, 28, 28))
    assert mean.shape == log_variance.shape == (2, LATENT)
    image = vae.Decoder(torch.randn(2, LATENT))
    assert image.shape == (2, 1, 28, 28)
    assert 0 <= image.min() <= image.max() <= 1


@pytest.mark.parametrize(
    ("epoch", "expected"), [(0, 10.0), (12, 10 - 9 * 12 / 49), (49, 1.0), (50, 1.0), (119, 1.0)]
)
def test_kl_weight_falls_linearly_and_stays(epoch, expected):
    assert kl_weight(epoch, 50, 10, 1) == pytest.approx(expected)


def test_kl_weight_of_a_single_epoch_starts_at_the_start():
    assert kl_weight(0, 1, 10, 1) == 10
    assert kl_weight(1, 1, 10, 1) == 1


@given(st.integers(2, 80), st.integers(2, 30), st.integers(0, 5))
def test_batches_cover_every_image_once_and_are_never_single(n, size, seed):
    made = list(batches(n, size, torch.Generator().manual_seed(seed)))
    assert sorted(torch.cat(made).tolist()) == list(range(n))
    assert all(2 <= len(batch) <= size + 1 for batch in made)
    again = batches(n, size, torch.Generator().manual_seed(seed))
    assert all(torch.equal(one, other) for one, other in zip(made, again, strict=True))


def test_batches_are_shuffled():
    assert next(batches(100, 100, torch.Generator().manual_seed(0))).tolist() != list(range(100))


def test_rate_falls_from_its_peak():
    optimizer = torch.optim.Adam([torch.zeros(1)], lr=1.0)
    rates = []
    for epoch in range(10):
        cosine_rate(optimizer, 0.5, epoch, 10)
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates[0] == 0.5
    assert rates[5] == pytest.approx(0.5 * (0.02 + 0.49))
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] > 0.01


@pytest.fixture(scope="module")
def images():
    """Twenty strokes at different places."""
    x = torch.zeros(20, 1, 28, 28)
    for i in range(20):
        x[i, 0, 4 : 4 + i, 8:12] = 0.9
    return x


def test_training_lowers_the_loss_and_returns_its_curve(images):
    settings = {**SETTINGS, "epochs": 6, "kl_start": 1.0}
    vae, curve = train_vae(images, VAESettings(**settings), device=CPU)
    assert not vae.training
    assert [row["epoch"] for row in curve] == [1, 2, 3, 4, 5, 6]
    assert curve[-1]["loss"] < 0.7 * curve[0]["loss"]
    assert {row["beta"] for row in curve} == {1.0}
    assert all(row["kl"] >= 0 for row in curve)


def test_curve_has_the_weight_of_the_kl_term(images):
    _, curve = train_vae(images, VAESettings(**SETTINGS), device=CPU)
    assert [row["beta"] for row in curve] == pytest.approx([10, 5.5, 1])


def test_weights_depend_on_the_seed(images):
    def weights(seed: int) -> torch.Tensor:
        vae, _ = train_vae(images, VAESettings(**{**SETTINGS, "epochs": 1, "seed": seed}), device=CPU)
        return torch.cat([value.flatten().float() for value in vae.state_dict().values()])

    assert torch.equal(weights(4), weights(4))
    assert not torch.equal(weights(4), weights(5))


def refined(images, epochs: int, averaged_epochs: int, **changes) -> tuple[dict[str, torch.Tensor], list]:
    """State and curve of a VAE with random weights, refined."""
    torch.manual_seed(0)
    settings = {**REFINEMENT, "epochs": epochs, "averaged_epochs": averaged_epochs, **changes}
    vae, curve = refine_vae(VAE(), images, RefinementSettings(**settings), device=CPU)
    assert not vae.training
    return vae.state_dict(), curve


@pytest.mark.parametrize("averaged_epochs", [2, 3, 9])
def test_refinement_averages_its_last_epochs(images, averaged_epochs):
    """At a constant rate a refinement of fewer epochs is the beginning of a longer one."""
    averaged, _ = refined(images, 3, averaged_epochs)
    passed = [refined(images, epochs, 1)[0] for epochs in (1, 2, 3)][-averaged_epochs:]
    assert not torch.equal(passed[0]["Decoder.conv_0.weight"], passed[1]["Decoder.conv_0.weight"])
    for name, value in averaged.items():
        if value.is_floating_point():
            mean = torch.stack([state[name] for state in passed]).mean(dim=0)
            torch.testing.assert_close(value, mean, msg=name)


def test_refinement_returns_its_curve(images):
    _, curve = refined(images, 3, 2)
    assert [row["epoch"] for row in curve] == [1, 2, 3]
    assert {row["beta"] for row in curve} == {0.7}
    assert curve[-1]["loss"] < curve[0]["loss"]


@pytest.mark.parametrize(("moves", "moved"), [((0, 1.0), False), ((2, 1.0), True), ((0, 1.5), True)])
def test_refinement_trains_on_moved_images(images, monkeypatch, moves, moved):
    seen = []
    monkeypatch.setattr(
        vae_training, "negative_elbo", lambda vae, x, *rest: seen.append(x) or negative_elbo(vae, x, *rest)
    )
    refined(images, 1, 1, shift=moves[0], zoom=moves[1])
    given = {tuple(image.flatten().tolist()) for image in images}
    assert any(tuple(image.flatten().tolist()) not in given for image in torch.cat(seen)) == moved
