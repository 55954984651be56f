"""Post-processing for models that binarise: the nearest image that the model sees alike, kept and recorded."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import nn

from absynth.attacks.best import BestAdversarial
from absynth.attacks.confirm import confirm
from absynth.attacks.gradient import fgm
from absynth.attacks.postprocessing import closest_equivalent
from absynth.attacks.run import AttackSettings, Samples, attack_images
from absynth.attacks.target import Target
from absynth.models.binarize import THRESHOLD, Binarized, binarize
from absynth.models.custom import Custom
from absynth.norms import NORMS, distance

JUST_BELOW = torch.nextafter(torch.tensor(0.5), torch.tensor(0.0)).item()
INTENSITIES = st.integers(0, 255).map(lambda value: np.float32(value / 255))
PIXELS = st.floats(0, 1, width=32) | st.sampled_from([0.5, JUST_BELOW])


def images(pixels):
    return arrays(np.float32, (2, 1, 3, 3), elements=pixels).map(torch.from_numpy)


@settings(deadline=None)
@given(images(INTENSITIES), images(PIXELS))
def test_the_model_sees_the_same_and_no_pixel_moves_away(x, found):
    alike = closest_equivalent(x, found, THRESHOLD)
    assert torch.equal(binarize(alike), binarize(found))
    assert ((alike - x).abs() <= (found - x).abs()).all()
    assert all((distance(x, alike, norm) <= distance(x, found, norm)).all() for norm in NORMS)
    assert torch.equal(closest_equivalent(x, alike, THRESHOLD), alike)
    assert ((alike == x) | (alike == 0.5) | (alike == JUST_BELOW)).all()


@pytest.mark.parametrize(
    ("clean", "found", "expected"),
    [
        (0.2, 0.1, 0.2),
        (0.2, JUST_BELOW, 0.2),
        (0.2, 0.5, 0.5),
        (0.2, 1.0, 0.5),
        (0.7, 1.0, 0.7),
        (0.7, 0.5, 0.7),
        (0.7, 0.3, JUST_BELOW),
        (0.5, 0.0, JUST_BELOW),
    ],
)
def test_pixel_goes_back_or_to_the_threshold(clean, found, expected):
    alike = closest_equivalent(torch.tensor([clean]), torch.tensor([found]), THRESHOLD)
    assert torch.equal(alike, torch.tensor([expected]))


def test_without_a_threshold_images_stay_as_they_are():
    x, found = torch.rand(2, 1, 28, 28), torch.rand(2, 1, 28, 28)
    assert closest_equivalent(x, found, None) is found


class White(nn.Module):
    """Class 1 where at least `least` pixels are white once binarised, else class 0."""

    input_threshold = THRESHOLD

    def __init__(self, least: int):
        super().__init__()
        self.least = least

    def forward(self, x):
        excess = binarize(x).flatten(1).sum(dim=1) - self.least + 0.5
        return torch.stack([torch.zeros_like(excess), excess], dim=1)


def dark(n: int) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.full((n, 1, 28, 28), 0.2), torch.zeros(n, dtype=torch.int64)


def with_pixels(values) -> torch.Tensor:
    """One image that is 0.2 but for its first pixels."""
    image = torch.full((1, 1, 28, 28), 0.2)
    image.view(-1)[: len(values)] = torch.tensor(values)
    return image


def test_nearest_after_post_processing_is_kept_for_the_record():
    target = Target(White(3), *dark(1), "l2")
    near = with_pixels([0.5] * 5)  # five flips, none farther than needed
    far = with_pixels([1.0] * 3)  # three flips, farther as it is
    for asked in (near, far, with_pixels([0.6] * 6)):
        assert target.adversarial(asked)
    assert torch.equal(target.best, near)
    assert target.best_distance.item() == pytest.approx(0.3 * 5**0.5)
    assert torch.equal(target.findings.recorded.best, far)
    assert target.findings.recorded.distance.item() == pytest.approx(0.3 * 3**0.5)


def test_other_models_have_one_record():
    target = Target(nn.Identity(), *dark(1), "l2")
    assert target.findings.recorded is target.findings.best


@pytest.mark.parametrize(("norm", "expected"), [("l0", 12), ("l2", 0.3 * 12**0.5), ("linf", 0.3)])
def test_confirmation_pushes_what_was_asked_for_and_shortens_what_it_records(norm, expected):
    """The reference wants 12 white pixels where the attacked inference was fooled by 10: a push finds two more."""
    values = [0.9] * 10 + [0.499 - 0.0005 * i for i in range(5)]
    x, y = dark(1)
    confirmation = confirm(White(12), x, y, with_pixels(values), norm)
    assert confirmation.prediction.tolist() == [1]
    assert torch.equal(confirmation.adversarial, with_pixels([0.5] * 12))
    assert confirmation.distance.item() == pytest.approx(expected)


def test_history_is_ranked_by_what_is_recorded():
    x, y = dark(1)
    far, near = with_pixels([1.0] * 12), with_pixels([0.5] * 14)
    confirmation = confirm(White(12), x, y, with_pixels([0.6]), "l2", torch.stack([near, far]))
    assert torch.equal(confirmation.adversarial, with_pixels([0.5] * 12))


@pytest.mark.parametrize("wrap", [lambda model: model, lambda model: Custom("mine", model)])
def test_every_attack_is_post_processed(wrap):
    """FGM by the straight-through gradient: its adversarials change every pixel, the recorded ones few."""

    class Linear(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.randn(784, 10, generator=torch.Generator().manual_seed(0))

        def forward(self, x):
            return (x.flatten(1) - 0.5) @ self.weight

    model = Binarized(Linear())
    model.input_threshold = THRESHOLD
    x = torch.rand(4, 1, 28, 28, generator=torch.Generator().manual_seed(1)).mul(255).round().div(255)
    y = model(x).argmax(dim=1)
    settings = AttackSettings(fgm("l2"), "fgm", "l2", seed=0, batch_size=4)
    columns = attack_images(settings, wrap(model), Samples(x, y, torch.arange(4)))
    found = columns["adversarial"]
    assert columns["distance"].isfinite().all()
    assert ((found == x) | (found == 0.5) | (found == JUST_BELOW)).all()
    assert torch.equal(columns["distance"], distance(x, found, "l2"))
    assert torch.equal(model(found).argmax(dim=1), columns["adversarial_prediction"])
    assert (distance(x, found, "l0") < 392).all()


def test_record_measures_what_would_be_recorded():
    x, _ = dark(2)
    images = torch.cat([with_pixels([0.9] * 4), with_pixels([0.4] * 4)])
    assert BestAdversarial(x, "l0", THRESHOLD).measure(torch.arange(2), images).tolist() == [4, 0]
    assert BestAdversarial(x, "l0").measure(torch.arange(2), images).tolist() == [4, 4]
