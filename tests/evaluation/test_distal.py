"""Ascents from noise: their objective, when they end, and what the published models classify with high confidence."""

import math
from copy import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from linear_models import Linear
from torch import nn
from users_models import IN_PLACE, NONFINITE, NONFINITE_GRADIENTS

from absynth.data.format import PAPER
from absynth.evaluation.calibration import calibrate, log_confidence, predict
from absynth.evaluation.distal import Goal, ascend, nearest_distance, noise_images
from absynth.models.abs.model import build_abs
from absynth.models.base import predict_labels
from absynth.models.building import ModelFiles
from absynth.models.cnn import build_cnn
from absynth.models.custom import Custom

LOGITS = st.lists(st.floats(-300, 300), min_size=10, max_size=10)
OPTIONS = {"steps": 30, "step_size": 0.1, "momentum": 0.9}


@settings(deadline=None)
@given(LOGITS, st.floats(1e-3, 2), st.floats(-60, 60))
def test_the_objective_lies_below_the_log_confidence_and_close_to_it_where_that_is_high(
    values, alpha, log_eta
):
    logits = torch.tensor([values], dtype=torch.float64)
    goal = Goal(alpha, math.exp(log_eta), 0.9)
    label = logits.argmax(dim=1)
    objective = goal.objective(logits, label).item()
    log_p = log_confidence(logits, alpha, goal.eta)[0, label].item()
    assert objective <= log_p + 1e-9
    if log_p >= math.log(0.9):
        assert objective >= log_p - math.log(81 / 80) - 1e-9
    assert goal.confidence_in(logits, label).item() == pytest.approx(math.exp(log_p))


def test_the_gradient_does_not_vanish_far_from_the_data():
    logits = torch.full((1, 10), -0.8, requires_grad=True)
    goal = Goal(400.0, 1e-3, 0.9)  # e^{αℓ} is e^-320, which is 0 in float32
    (flat,) = torch.autograd.grad(log_confidence(logits, goal.alpha, goal.eta)[0, 3], logits)
    assert flat.abs().max() == 0
    (gradient,) = torch.autograd.grad(goal.objective(logits, torch.tensor([3])).sum(), logits)
    assert gradient[0].tolist() == [0] * 3 + [400.0] + [0] * 6


def test_without_an_offset_the_objective_is_the_log_softmax():
    logits = torch.randn(4, 10, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    labels = torch.tensor([0, 3, 9, 5])
    expected = torch.log_softmax(2 * logits, dim=1).gather(1, labels[:, None])[:, 0]
    torch.testing.assert_close(Goal(2.0, 0.0, 0.9).objective(logits, labels), expected)


def test_ascents_of_a_linear_model_end_at_the_goal():
    model, goal = Linear(), Goal(8.0, 0.5, 0.9)
    labels = torch.arange(10)
    start = noise_images([7], PAPER.shape).repeat(10, 1, 1, 1)
    found = ascend(model, start, labels, goal, **OPTIONS)
    assert found.reached.all()
    assert (found.final_confidence >= 0.9).all()
    assert (found.image - start).flatten(1).norm(dim=1).max() < start[0].norm()
    assert found.image.min() >= 0
    assert found.image.max() <= 1
    torch.testing.assert_close(
        goal.confidence_in(model(found.image).detach(), labels), found.final_confidence
    )
    for row, steps in enumerate(found.steps.tolist()):
        trace = found.confidence[row]
        assert trace[: steps + 1].isfinite().all()
        assert trace[steps + 1 :].isnan().all()
        assert trace[steps] >= 0.9
        assert (trace[:steps] < 0.9).all()
    assert found.steps.max() > 0


def test_an_unreachable_goal_costs_all_steps():
    bias = torch.tensor([0.0] * 9 + [-1e4])
    found = ascend(
        Linear(bias=bias), noise_images([0], PAPER.shape), torch.tensor([9]), Goal(8.0, 0.5, 0.9), **OPTIONS
    )
    assert not found.reached.any()
    assert found.steps.tolist() == [30]
    assert found.confidence.isfinite().all()


def test_without_steps_the_noise_stays_as_it_is():
    start = noise_images([1, 2], PAPER.shape)
    found = ascend(Linear(), start, torch.tensor([0, 1]), Goal(1.0, 1e9, 0.9), **{**OPTIONS, "steps": 0})
    assert torch.equal(found.image, start)
    assert found.confidence.shape == (2, 1)
    assert found.steps.tolist() == [0, 0]


class TwoInferences(Linear):
    """Its reference gives all classes the same confidence."""

    inference = "fast"

    def with_inference(self, inference: str) -> nn.Module:
        view = copy(self)
        view.inference = inference
        return view

    def forward(self, x):
        return super().forward(x) * (self.inference == "fast")


def test_the_reference_decides_whether_the_goal_is_reached():
    model = TwoInferences()
    found = ascend(model, noise_images([7], PAPER.shape), torch.tensor([4]), Goal(8.0, 0.5, 0.9), **OPTIONS)
    assert found.confidence[0, -1] >= 0.9
    assert found.final_confidence.tolist() == pytest.approx([0.1])
    assert not found.reached.any()
    assert model.inference == "fast"  # not switched


def test_noise_is_determined_by_its_seed():
    noise = noise_images([3, 4, 3], PAPER.shape)
    assert torch.equal(noise[0], noise[2])
    assert not torch.equal(noise[0], noise[1])
    assert noise.mean().item() == pytest.approx(0.5, abs=0.03)


def test_distance_to_the_nearest():
    rng = torch.Generator().manual_seed(0)
    images = torch.rand(60, 1, 28, 28, generator=rng)
    others = torch.rand(5, 1, 28, 28, generator=rng)
    expected = np.linalg.norm((images[:, None] - others[None]).flatten(2).numpy(), axis=2).min(axis=1)
    np.testing.assert_allclose(nearest_distance(images, others), expected, rtol=1e-5)
    assert nearest_distance(others, others).max() == 0


@pytest.mark.published
@pytest.mark.mnist
def test_the_cnn_has_high_confidence_in_noise_and_abs_only_in_digits(published, mnist_test):
    """Figure 4, in numbers: if the confidence is high, is the image nearer to its noise or to the data?"""
    images, labels = mnist_test
    cnn = build_cnn(ModelFiles((published / "vanilla_cnn.net",))).eval().requires_grad_(False)
    weights = tuple(published / f"ABS_{label}.net" for label in range(10))
    abs_ = build_abs(ModelFiles(weights), prior_samples=2000).eval().requires_grad_(False)
    classes = torch.tensor([0, 3, 8])
    start = noise_images([0], PAPER.shape).repeat(3, 1, 1, 1)
    found, of_noise = {}, {}
    for name, model in (("cnn", cnn), ("abs", abs_)):
        constants = calibrate(predict(model, images[:200], 100, torch.device("cpu")), labels[:200])
        goal = Goal(constants["alpha"], constants["eta"], 0.9)
        ended = found[name] = ascend(model, start, classes, goal, steps=30, step_size=0.1, momentum=0.9)
        moved = (ended.image - start).flatten(1).norm(dim=1)
        of_noise[name] = ended.reached & (moved < nearest_distance(ended.image, images))
    assert found["cnn"].reached.all()
    assert of_noise["cnn"].all()
    assert not of_noise["abs"].any()
    assert found["cnn"].steps.max() < found["abs"].steps.min()


@pytest.mark.parametrize("kind", [*NONFINITE, *NONFINITE_GRADIENTS])
def test_an_ascent_of_a_model_that_may_not_answer_in_numbers_ends_without_it(kind):
    model = Custom("mine", kind(), nonfinite=True).eval().requires_grad_(False)
    start = noise_images([1], PAPER.shape).repeat(10, 1, 1, 1)
    found = ascend(model, start, torch.arange(10), Goal(8.0, 0.5, 0.9), steps=10, step_size=2.0, momentum=0.9)
    assert found.final_confidence.isfinite().all()
    assert found.image.isfinite().all()
    silent = predict_labels(model, found.image) < 0
    assert not found.reached[silent].any()


@pytest.mark.parametrize(("in_place", "pure"), IN_PLACE)
def test_an_ascent_is_that_of_the_pure_twin_of_a_model_that_writes_into_its_input(in_place, pure):
    start, labels, goal = (
        noise_images([1], PAPER.shape).repeat(3, 1, 1, 1),
        torch.arange(3),
        Goal(8.0, 0.5, 0.9),
    )
    found, expected = (
        ascend(Custom("mine", kind()).eval().requires_grad_(False), start, labels, goal, **OPTIONS)
        for kind in (in_place, pure)
    )
    torch.testing.assert_close(found.image, expected.image)
    torch.testing.assert_close(found.confidence, expected.confidence, equal_nan=True)
