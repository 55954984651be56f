"""A random model as the classifier of its expected probabilities: the same for every image, batch and call."""

import pytest
import torch
import users_models
from torch import nn

from absynth.models.expectation import Expectation


class Noisy(nn.Module):
    """Logits of four pixels, plus noise that is drawn for each image of the batch; counts its calls."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.linspace(-1, 1, 40).reshape(4, 10))
        self.shapes = []

    def forward(self, x):
        self.shapes.append(tuple(x.shape))
        return x.flatten(1)[:, :4] @ self.weight + torch.randn(len(x), 10)


class WritesInPlace(Noisy):
    def forward(self, x):
        x = x.clone()
        x[x < 0.3] = 0  # torch.func.vmap cannot follow what depends on values
        return super().forward(x)


def images(n):
    return torch.rand(n, 1, 28, 28, generator=torch.Generator().manual_seed(0))


def by_hand(model, x, seeds):
    answers = []
    for image in x:
        probabilities = torch.zeros(10, dtype=torch.float64)
        for seed in seeds:
            torch.manual_seed(seed)
            probabilities += model(image[None])[0].double().softmax(0)
        answers.append((probabilities / len(seeds)).log())
    return torch.stack(answers)


@pytest.mark.parametrize("kind", [Noisy, WritesInPlace])
def test_it_is_the_mean_of_probabilities_over_seeded_draws_of_each_image_alone(kind):
    x, model = images(5), kind()
    expected = by_hand(model, x, range(2, 9)).float()
    torch.testing.assert_close(Expectation(model, 7, first=2)(x), expected)


@pytest.mark.parametrize("kind", [Noisy, WritesInPlace])
def test_an_answer_depends_neither_on_the_batch_nor_on_the_generator_which_is_left_alone(kind):
    x, model = images(6), Expectation(kind(), 3)
    torch.manual_seed(5)
    state, whole = torch.random.get_rng_state(), model(x)
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.manual_seed(6)
    torch.testing.assert_close(torch.cat([model(image) for image in x.split(1)]), whole)
    torch.testing.assert_close(model(x.flip(0)).flip(0), whole)


def test_writes_into_the_input_do_not_add_up_over_draws():
    x = users_models.drawn(6)[0]
    before = x.clone()
    answers = [
        Expectation(kind(), 5)(x)
        for kind in (users_models.AddsNoiseInPlace, users_models.AddsNoiseOutOfPlace)
    ]
    assert torch.equal(x, before)
    torch.testing.assert_close(*answers)


def test_writes_into_the_input_of_a_model_that_is_asked_image_by_image():
    class Branches(users_models.AddsNoiseInPlace):
        def prepare(self, x):
            return super().prepare(x) if x.max().item() < 9 else x

    x = users_models.drawn(6)[0]
    torch.testing.assert_close(
        Expectation(Branches(), 5)(x), Expectation(users_models.AddsNoiseOutOfPlace(), 5)(x)
    )


def test_whole_batches_are_asked_where_vmap_can():
    model = Noisy()
    Expectation(model, 3)(images(6))
    assert len(model.shapes) == 3
    slow = WritesInPlace()
    Expectation(slow, 3)(images(6))
    assert len(slow.shapes) == 18


@pytest.mark.parametrize("kind", [Noisy, WritesInPlace])
def test_its_gradient_is_that_of_the_mean(kind):
    x = images(3).requires_grad_()
    model = kind()
    (found,) = torch.autograd.grad(Expectation(model, 4)(x)[:, 2].sum(), x)
    (expected,) = torch.autograd.grad(by_hand(model, x, range(4))[:, 2].sum(), x)
    torch.testing.assert_close(found, expected.float(), rtol=1e-4, atol=1e-6)


def test_improbable_classes_do_not_underflow():
    class Certain(nn.Module):
        def forward(self, x):
            return 500 * torch.eye(10)[0].expand(len(x), 10) + 0 * torch.randn(10)

    answer = Expectation(Certain(), 2)(images(2))
    torch.testing.assert_close(answer[:, 1], torch.full((2,), -500.0))


def test_what_is_no_tensor_of_logits_is_handed_on():
    class Pair(nn.Module):
        def forward(self, x):
            return x.flatten(1)[:, :10], x

    assert isinstance(Expectation(Pair(), 2)(images(2)), tuple)


def test_a_threshold_is_known_outside():
    model = Noisy()
    model.input_threshold = 0.4
    assert Expectation(model, 2).input_threshold == 0.4
