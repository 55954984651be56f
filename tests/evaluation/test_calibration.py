"""Confidences and the constants α, η and γ, against answers known on paper."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from absynth.errors import InputError
from absynth.evaluation.calibration import (
    calibrate,
    classes,
    fit_alpha,
    fit_eta,
    fit_gamma,
    log_confidence,
    median_confidence,
    predict,
)

LOGITS = st.lists(st.floats(-300, 300), min_size=2, max_size=10).map(lambda row: torch.tensor([row]).double())


def noisy(n: int = 400, scale: float = 1.0) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits of which four in five predict the label, with different confidence."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(n) % 10
    logits = torch.randn(n, 10, generator=generator, dtype=torch.float64)
    logits[torch.arange(n), labels] += 3
    return scale * logits, labels


def test_confidence_on_paper():
    """e^{αℓ} = 8, 2 and η = 1: (8 + 1) / 12 and (2 + 1) / 12."""
    logits = torch.tensor([[3.0, 1.0]], dtype=torch.float64) * math.log(2) / 5
    torch.testing.assert_close(
        log_confidence(logits, 5.0, 1.0).exp(), torch.tensor([[0.75, 0.25]], dtype=torch.float64)
    )


@given(LOGITS, st.floats(0.01, 10), st.floats(0, 1e6))
def test_confidence_is_a_distribution_that_keeps_the_order(logits, alpha, eta):
    confidence = log_confidence(logits, alpha, eta)
    assert confidence.isfinite().all() or eta == 0
    assert confidence.exp().sum().item() == pytest.approx(1)
    assert confidence.max() == confidence[0, logits.argmax()]


def test_confidence_without_offset_is_softmax():
    logits, _ = noisy()
    torch.testing.assert_close(log_confidence(logits, 2.0, 0.0), (2 * logits).log_softmax(dim=1))


def test_confidence_far_from_every_class_is_uniform():
    confidence = log_confidence(torch.tensor([[-1e4, -2e4, -3e4, -4e4]]), 440.0, 1e-30).exp()
    torch.testing.assert_close(confidence, torch.full((1, 4), 0.25))


def test_gradient_of_confidence_is_finite_without_offset():
    logits = torch.tensor([[-900.0, -1000.0]], requires_grad=True)
    log_confidence(logits, 1.0, 0.0)[0, 0].backward()
    assert logits.grad.isfinite().all()


def test_median_confidence_on_paper():
    odds = torch.tensor([1.0, 3.0, 4.0])  # of the first class: ½, ¾, ⅘
    logits = torch.stack([odds.log(), torch.zeros(3)], dim=1)
    assert median_confidence(logits, 1.0, 0.0) == pytest.approx(0.75)


def test_alpha_on_paper():
    """Right in 4 of 5, by a margin of 2: the entropy is least where softmax says 4 : 1, at α = ln 4 / 2."""
    logits = torch.tensor([[1.0, -1.0]]).repeat(5, 1)
    assert fit_alpha(logits, torch.tensor([0, 0, 0, 0, 1])) == pytest.approx(math.log(4) / 2, rel=1e-4)


@pytest.mark.parametrize("scale", [1e-4, 1 / 784, 1.0, 1e3])
def test_alpha_compensates_the_scale_of_the_logits(scale):
    alpha = fit_alpha(*noisy())
    assert fit_alpha(*noisy(scale=scale)) * scale == pytest.approx(alpha, rel=1e-3)


def test_eta_reaches_the_target():
    logits, labels = noisy()
    logits = 4 * logits
    alpha = fit_alpha(logits, labels) * 3
    eta = fit_eta(logits, alpha)
    assert eta > 0
    assert median_confidence(logits, alpha, eta) == pytest.approx(0.9, abs=1e-9)
    assert median_confidence(logits, alpha, fit_eta(logits, alpha, 0.5)) == pytest.approx(0.5, abs=1e-9)


def test_eta_on_paper():
    """Evidence 99 : 0 of two classes (in effect) and η: (99 + η) / (99 + 2η) = 0.9 at η = 12.375."""
    logits = torch.tensor([[math.log(99), -600.0]], dtype=torch.float64)
    assert fit_eta(logits, 1.0) == pytest.approx(12.375, rel=1e-6)


def test_eta_is_zero_where_confidence_is_low_without_it():
    assert fit_eta(torch.tensor([[0.1, 0.0]]), 1.0) == 0.0


@pytest.mark.parametrize("scale", [1.0, 1e-3, 1e3])
@pytest.mark.parametrize("offset", [0.0, -50.0])
def test_all_labels_predicted_still_gives_finite_constants(scale, offset):
    """The entropy then has no minimum: α must stay where e^{αℓ} is a number."""
    logits, labels = noisy()
    rivals = logits.scatter(1, labels[:, None], -math.inf).amax(dim=1)
    logits[torch.arange(len(labels)), labels] = rivals + torch.linspace(0.05, 8, len(labels)).double()
    found = calibrate(scale * (logits + offset), labels)
    assert found["accuracy"] == 1
    assert all(math.isfinite(value) and value >= 0 for value in found.values())
    assert found["median_confidence"] <= 0.9 + 1e-6
    if offset == 0:
        assert found["median_confidence"] == pytest.approx(0.9, abs=1e-6)


def test_gamma_on_paper():
    """Energies 1 (right) and 1.06 (wrong), the second class's 8 % too large. Images of that class are misclassified
    until γ_0 > 1.08 / 1.06 ≈ 1.0189: the next candidate, in steps of 0.0025, is 1.02."""
    labels = torch.tensor([0, 1])
    logits = torch.tensor([[-1.0, -1.06 * 1.08], [-1.06, -1.08]])
    assert fit_gamma(logits, labels) == [1.02, 1.0]


def test_gamma_stays_at_one_where_nothing_is_gained():
    logits, labels = noisy()
    logits[torch.arange(len(labels)), labels] = 10
    assert fit_gamma(logits - 20, labels) == [1.0] * 10


def test_gamma_never_loses_accuracy():
    logits, labels = noisy()
    logits -= logits.max() + 1
    gamma = torch.tensor(fit_gamma(logits, labels))
    before, after = ((factor * logits).argmax(dim=1) == labels for factor in (1, gamma))
    assert after.sum() > before.sum()


def test_calibration_reports_confidence_and_accuracy():
    logits, labels = noisy(scale=5)
    found = calibrate(logits, labels)
    assert found["n"] == 400
    assert found["accuracy"] == (logits.argmax(dim=1) == labels).double().mean().item()
    assert found["median_confidence"] == median_confidence(logits, found["alpha"], found["eta"])


def test_predictions_are_made_in_batches():
    images = torch.rand(7, 1, 28, 28)
    weight = torch.rand(784, 10)
    sizes = []

    class Model(torch.nn.Module):
        def forward(self, x):
            sizes.append(len(x))
            assert not torch.is_grad_enabled()
            return x.flatten(1) @ weight

    logits = predict(Model(), images, 3, torch.device("cpu"))
    torch.testing.assert_close(logits, images.flatten(1) @ weight)
    assert sizes == [3, 3, 1]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_images_without_finite_logits_are_left_out(value):
    logits, labels = noisy()
    whole = calibrate(logits, labels)
    broken = torch.cat([logits, logits[:5].index_fill(1, torch.tensor([3]), value)])
    found = calibrate(broken, torch.cat([labels, labels[:5]]))
    assert {name: found[name] for name in ("alpha", "eta", "median_confidence")} == {
        name: whole[name] for name in ("alpha", "eta", "median_confidence")
    }
    assert (found["n"], found["nonfinite"]) == (405, 5)
    assert found["accuracy"] == pytest.approx(whole["accuracy"] * 400 / 405)
    assert "nonfinite" not in whole


def test_a_model_without_any_finite_logits_is_refused():
    with pytest.raises(InputError, match="none of 20 calibration images has finite logits"):
        calibrate(torch.full((20, 10), math.nan), torch.zeros(20, dtype=torch.int64))


class Scored(torch.nn.Module):
    """Gives images (n, 1, 1, 3) their pixels as logits."""

    def forward(self, x):
        return x.flatten(1)


class Deciding(Scored):
    def decide(self, x, factors):
        return (self(x) * factors).argmax(dim=1)


def test_classes_are_those_of_the_factored_logits_and_neither_where_they_are_not_finite():
    images = torch.rand(7, 1, 1, 3, generator=torch.Generator().manual_seed(0))
    factors = torch.tensor([1.0, 2.0, 0.5])
    expected = (images.flatten(1) * factors).argmax(dim=1)
    for model in (Scored(), Deciding()):
        found = classes(model, images, factors, 3, torch.device("cpu"))
        assert torch.equal(found, expected)
    images[2, 0, 0, 1] = torch.inf
    assert classes(Scored(), images, torch.tensor(1.0), 3, torch.device("cpu"))[2] == -1
