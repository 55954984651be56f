"""Training of classifiers, and the adversary of Madry et al."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from absynth.training.classifier import Adversary, ClassifierSettings, projected_gradient, train_classifier


def linear() -> torch.nn.Sequential:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, 2))


def images(n: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(n, 1, 28, 28, generator=generator), torch.arange(n) % 2


def noise(x: torch.Tensor, seed: int = 1) -> torch.Tensor:
    return 2 * torch.rand(x.shape, generator=torch.Generator().manual_seed(seed)) - 1


@settings(max_examples=25, deadline=None)
@given(st.floats(0.001, 1), st.integers(0, 3), st.floats(0.001, 1), st.integers(0, 9))
def test_pgd_stays_in_the_ball_and_the_box(epsilon, steps, step_size, seed):
    x, y = images()
    moved = projected_gradient(linear(), x, y, Adversary(epsilon, steps, step_size), noise(x, seed))
    assert ((moved - x).abs() <= epsilon + 1e-6).all()
    assert (moved >= 0).all()
    assert (moved <= 1).all()
    assert not moved.requires_grad


def test_pgd_on_paper():
    """For a linear classifier of two classes the worst image is x + ε sign(w_other - w_y), cut to the box."""
    model, (x, y) = linear(), images()
    weight = model[1].weight.detach()
    direction = torch.sign(weight[1 - y] - weight[y]).view_as(x)
    moved = projected_gradient(model, x, y, Adversary(0.2, 5, 0.1), noise(x))
    torch.testing.assert_close(moved, (x + 0.2 * direction).clamp(0, 1))


@pytest.mark.parametrize("steps", [1, 4])
def test_pgd_raises_the_loss_of_every_image(steps):
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(784, 20), torch.nn.Tanh(), torch.nn.Linear(20, 10)
    )
    x, y = images()
    start = (x + 0.1 * noise(x)).clamp((x - 0.1).clamp(min=0), (x + 0.1).clamp(max=1))
    moved = projected_gradient(model, x, y, Adversary(0.1, steps, 0.05), noise(x))
    losses = [functional.cross_entropy(model(at), y, reduction="none") for at in (x, start, moved)]
    assert (losses[2] > losses[0]).all()
    assert (losses[2] > losses[1]).all()


def test_pgd_without_steps_is_the_random_start():
    x, y = images()
    x = 0.3 + 0.4 * x
    moved = projected_gradient(linear(), x, y, Adversary(0.2, 0, 0.1), noise(x))
    torch.testing.assert_close(moved, x + 0.2 * noise(x))


def test_pgd_leaves_no_gradient_on_the_weights():
    model, (x, y) = linear(), images()
    with torch.no_grad():
        projected_gradient(model, x, y, Adversary(0.2, 2, 0.1), noise(x))
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize(("epoch", "share"), [(0, 0.25), (1, 0.5), (2, 0.75), (3, 1), (9, 1)])
def test_ball_grows_over_the_warmup(epoch, share):
    now = Adversary(0.3, 40, 0.01, warmup_epochs=3).at_epoch(epoch)
    assert (now.epsilon, now.step_size, now.steps) == pytest.approx((0.3 * share, 0.01 * share, 40))


def test_without_warmup_the_ball_is_whole_at_once():
    assert Adversary(0.3, 40, 0.01).at_epoch(0).epsilon == 0.3


def train(adversary=None, epochs=8) -> tuple[torch.nn.Module, list[dict[str, float]]]:
    """Two classes: bright above, or bright below, by a faint margin in many pixels and a wide one in few."""
    y = torch.arange(40) % 2
    x = 0.5 + 0.02 * noise(torch.zeros(40, 1, 28, 28))
    sign = (2 * y - 1)[:, None, None, None]
    x[:, :, :14] += 0.05 * sign
    x[:, :, 20:22, 10:12] += 0.4 * sign
    model = linear()
    curve = train_classifier(
        model,
        x,
        y,
        # A last batch of one image joins the one before it.
        ClassifierSettings(epochs, batch_size=13, learning_rate=0.01, seed=0, adversary=adversary),
        device=torch.device("cpu"),
    )
    return model, curve


def test_training_lowers_the_loss_and_returns_its_curve():
    model, curve = train()
    assert [row["epoch"] for row in curve] == list(range(1, 9))
    assert curve[-1]["loss"] < 0.5 * curve[0]["loss"]
    assert curve[-1]["accuracy"] == 1
    assert not model.training


def test_shift_moves_the_training_images():
    seen = []

    class Watched(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = linear()

        def forward(self, x):
            seen.append(x.detach().clone())
            return self.inner(x)

    x = torch.zeros(6, 1, 28, 28)
    x[:, :, 14, 14] = 1
    settings = ClassifierSettings(epochs=4, batch_size=6, learning_rate=0.01, shift=1, seed=0)
    train_classifier(Watched(), x, torch.arange(6) % 2, settings, device=torch.device("cpu"))
    places = {tuple(place.tolist()) for image in torch.cat(seen) for place in image[0].nonzero()}
    assert len(places) > 4
    assert places <= {(row, column) for row in (13, 14, 15) for column in (13, 14, 15)}


def test_adversarial_training_relies_on_pixels_that_differ_by_more_than_epsilon():
    """Pixels that differ by less than ε between the classes are useless against the adversary."""

    def share_of_wide(model) -> float:
        weight = (model[1].weight[1] - model[1].weight[0]).detach().view(28, 28).abs()
        return (weight[20:22, 10:12].mean() / weight[:14].mean()).item()

    natural, _ = train(epochs=30)
    robust, curve = train(Adversary(0.2, 3, 0.1), epochs=30)
    assert share_of_wide(robust) > 2 * share_of_wide(natural)
    assert 0 <= curve[-1]["accuracy"] <= 1
