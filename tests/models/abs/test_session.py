"""Warm inference under attack: which queries start from what, and for whom."""

import pytest
import torch
from torch import nn

from absynth.models.abs.energy import Inferred
from absynth.models.abs.first_order import FirstOrderPrediction
from absynth.models.abs.model import ABS, build_abs
from absynth.models.abs.session import MAX_PREDICTIONS, WARM_RADIUS, WarmStartSession
from absynth.models.base import latest
from absynth.models.building import ModelFiles


class Recorder(nn.Module):
    """A stand-in for ABS that writes down how each query was inferred; logits tell which start it had.

    Class 0 has the lowest energy for every image.
    """

    def __init__(self):
        super().__init__()
        self.cold, self.warm = [], []

    def preprocess(self, x):
        return x.flatten(1)

    def infer(self, x, without=None, **_):
        self.cold.append(len(x))
        mean = x.flatten(1).mean(dim=1)
        return Inferred(mean[:, None, None].repeat(1, 10, 8), mean[:, None, None].repeat(1, 10, 784))

    def logits_at(self, x, inferred):
        return inferred.latents[:, :, 0]

    def infer_near(self, x, start, without=None, **_):
        if without is not None:
            return Inferred(start.latents + 1, start.images)
        self.warm.append(len(x))
        return start


def made(model: Recorder, n: int) -> WarmStartSession:
    """Rows of white images, whose latents suit no darker query; what building the session asks is not counted."""
    session = WarmStartSession(model, torch.ones(n, 1, 28, 28), torch.zeros(n, dtype=torch.int64))
    model.cold.clear()
    return session


def test_near_queries_start_from_their_own_rows_last_inference():
    model = Recorder()
    session = made(model, 3)
    x = torch.stack([torch.full((1, 28, 28), value) for value in (0.2, 0.4, 0.6)])
    rows = torch.arange(3)
    torch.testing.assert_close(session.logits(x, rows)[:, 0], torch.tensor([0.2, 0.4, 0.6]))
    assert (model.cold, model.warm) == ([3], [])
    step = 0.9 * WARM_RADIUS / 28
    torch.testing.assert_close(session.logits(x[[2, 0]] + step, rows[[2, 0]])[:, 0], torch.tensor([0.6, 0.2]))
    assert (model.cold, model.warm) == ([3], [2])


def test_far_queries_are_inferred_anew_and_remembered():
    model = Recorder()
    session = made(model, 2)
    x = torch.full((2, 1, 28, 28), 0.2)
    session.logits(x, torch.arange(2))
    mixed = x + torch.tensor([0.0, 1.1 * WARM_RADIUS / 28])[:, None, None, None]
    torch.testing.assert_close(session.logits(mixed, torch.arange(2))[:, 0], mixed.flatten(1).mean(dim=1))
    assert (model.cold, model.warm) == ([2, 1], [1])
    session.logits(mixed, torch.arange(2))
    assert (model.cold, model.warm) == ([2, 1], [1, 2])


def test_rivals_refined_without_a_class_are_what_the_next_query_starts_from():
    session = made(Recorder(), 1)
    x, row = torch.full((1, 1, 28, 28), 0.2), torch.tensor([0])
    refined = session.infer(x, row, without=torch.tensor([3]))
    torch.testing.assert_close(refined.latents, torch.full((1, 10, 8), 1.2))
    torch.testing.assert_close(session.logits(x, row), torch.full((1, 10), 1.2))


def test_a_row_not_asked_for_yet_is_inferred_from_a_cold_start():
    model = Recorder()
    session = made(model, 2)
    x = torch.full((1, 1, 28, 28), 0.2)
    session.logits(x, torch.tensor([0]))
    session.logits(x, torch.tensor([1]))
    assert (model.cold, model.warm) == ([1, 1], [])


@pytest.mark.parametrize(
    ("rows", "expected"),
    [([0, 1, 2], [1, 1, 1]), ([2, 0, 2, 0], [0, 0, 1, 1]), ([1, 1, 1], [0, 0, 1]), ([], [])],
)
def test_of_a_row_s_queries_the_last_is_the_latest(rows, expected):
    found = latest(torch.tensor(rows, dtype=torch.int64), 3)
    assert found.tolist() == [bool(value) for value in expected]


def test_of_several_queries_of_a_row_the_last_is_remembered():
    session = made(Recorder(), 2)
    x = torch.stack([torch.full((1, 28, 28), value) for value in (0.1, 0.2, 0.6, 0.7)])
    session.logits(x, torch.tensor([0, 1, 0, 1]))
    torch.testing.assert_close(session.last, x[2:].flatten(1))
    torch.testing.assert_close(session.found.latents[:, 0, 0], torch.tensor([0.6, 0.7]))


@pytest.fixture(scope="module")
def model(published) -> ABS:
    files = ModelFiles(tuple(published / f"ABS_{label}.net" for label in range(10)))
    return build_abs(files, prior_samples=2000).eval()


@pytest.fixture(scope="module")
def boundary(model, mnist_test):
    """Images, their labels, and points just across the decision boundary on the way to the next image."""
    x, y = (part[:6] for part in mnist_test)
    ends, low, high = x.roll(1, dims=0), torch.zeros(6, 1, 1, 1), torch.ones(6, 1, 1, 1)
    for _ in range(8):
        middle = (low + high) / 2
        with torch.no_grad():
            misclassified = (model(torch.lerp(x, ends, middle)).argmax(dim=1) != y)[:, None, None, None]
        low, high = torch.where(misclassified, low, middle), torch.where(misclassified, middle, high)
    return x, y, torch.lerp(x, ends, high)


def test_decisions_near_the_boundary_are_predicted(model, boundary, monkeypatch):
    """Small steps about the boundary, where a cold start decides now for one class, now for the other."""
    x, y, middle = boundary
    session, rows = WarmStartSession(model, x, y), torch.arange(6)
    session.predict(middle, rows)
    generator = torch.Generator().manual_seed(0)
    steps = torch.randn(20, *middle.shape, generator=generator)
    queries = (middle + 0.3 * steps / steps.flatten(2).norm(dim=2)[..., None, None, None]).clamp(0, 1)
    with torch.no_grad():
        expected = model(queries.flatten(0, 1)).argmax(dim=1).view(20, 6)
    inferred = 0

    def counted(inference):
        def count(images, *arguments, **options):
            nonlocal inferred
            inferred += len(images)
            return inference(model, images, *arguments, **options)

        return count

    for name in ("infer", "infer_near"):
        monkeypatch.setattr(model, name, counted(getattr(ABS, name)))
    found = torch.stack([session.predict(step, rows) for step in queries])
    assert (found == expected).float().mean() > 0.95
    assert 0.1 < (expected == y).float().mean() < 0.9
    assert inferred < 60  # of 120


def forbidden(*arguments, **options):
    raise AssertionError("inferred")


def test_no_query_is_inferred_until_many_decisions_in_a_row_were_predicted(model, boundary, monkeypatch):
    x, y, _ = boundary
    session, rows = WarmStartSession(model, x, y), torch.arange(6)
    session.infer(x, rows)
    before = session.last.clone()
    with monkeypatch.context() as patched:
        for name in ("infer", "infer_near"):
            patched.setattr(model, name, forbidden)
        for _ in range(MAX_PREDICTIONS):
            assert torch.equal(session.predict((x + 0.001).clamp(0, 1), rows), y)
        assert torch.equal(session.last, before)
        with pytest.raises(AssertionError, match="inferred"):
            session.predict(x, rows)
    assert torch.equal(session.predict(x, rows), y)
    assert session.predictions.tolist() == [0] * 6


def test_the_decrease_of_a_linear_decoder_is_predicted_exactly():
    """E(z) = ‖z J - x‖² + ½‖z‖², from latents z to its minimum."""
    generator = torch.Generator().manual_seed(0)
    jacobian = torch.randn(2, 3, 8, 784, dtype=torch.float64, generator=generator)
    z = torch.randn(2, 3, 8, dtype=torch.float64, generator=generator)
    x = torch.rand(2, 784, dtype=torch.float64, generator=generator)
    predictor = FirstOrderPrediction(Inferred(z, z.new_zeros(2, 3, 784)))
    rows, classes = torch.tensor([1, 0]), torch.tensor([2, 1])
    predictor.watch(rows)(torch.tensor([0, 1]), classes, jacobian[rows, classes])

    def energy(latents):
        residual = torch.einsum("pk,pkd->pd", latents, jacobian[rows, classes]) - x[rows]
        return residual.square().sum(dim=1) + 0.5 * latents.square().sum(dim=1), residual

    start = z[rows, classes]
    hessian = 2 * jacobian[rows, classes] @ jacobian[rows, classes].mT + torch.eye(8, dtype=torch.float64)
    target = 2 * (jacobian[rows, classes] @ x[rows, :, None])
    least = torch.linalg.solve(hessian, target).squeeze(2)
    before, residual = energy(start)
    torch.testing.assert_close(
        predictor.decrease(rows, classes, residual, start), before - energy(least)[0], rtol=1e-9, atol=1e-6
    )
    assert predictor.decrease(rows, torch.tensor([0, 0]), residual, start).tolist() == [torch.inf] * 2
    predictor.forget(torch.tensor([1]))
    assert predictor.decrease(rows, classes, residual, start).isinf().tolist() == [True, False]


def test_lost_latents_of_the_label_are_taken_from_the_clean_image(model, boundary):
    x, y, _ = boundary
    session, rows = WarmStartSession(model, x, y), torch.arange(6)
    session.infer(x, rows)
    session.found.latents[rows, y] = 0.0
    session.found.images[rows, y] = 1.0  # a reconstruction that suits no image
    assert torch.equal(session.predict(x, rows), y)
    session.found.images[rows, y] = 1.0
    with torch.no_grad():
        assert torch.equal(session.logits(x, rows).argmax(dim=1), y)


def test_lost_latents_of_the_adversarial_class_are_taken_from_the_best_adversarial(model, boundary):
    x, y, points = boundary
    session, rows = WarmStartSession(model, x, y), torch.arange(6)
    won = session.predict(points, rows)
    assert (won != y).all()
    for again in (session.last, torch.full_like(session.last, torch.nan)):  # warm, and cold
        session.last = again
        session.found.latents[rows, won] = 0.0
        session.found.images[rows, won] = 1.0  # a reconstruction that suits no image
        assert torch.equal(session.predict(points, rows), won)
