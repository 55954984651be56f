"""ABS on empty batches, and where gradients are off altogether."""

import pytest
import torch

from absynth.attacks.target import Target
from absynth.models.abs.model import ABS
from absynth.models.abs.vae import VAE
from absynth.models.base import INFERENCES, predict_labels

MODES = [torch.no_grad, torch.inference_mode, torch.enable_grad]


@pytest.fixture(scope="module", params=INFERENCES)
def model(request) -> ABS:
    torch.manual_seed(0)
    untrained = ABS([VAE() for _ in range(10)], prior_samples=50, steps=3).eval().requires_grad_(False)
    return untrained.with_inference(request.param)


@pytest.mark.parametrize("mode", MODES)
def test_the_answer_is_the_same_in_every_mode(model, mode):
    x = torch.rand(3, 1, 28, 28, generator=torch.Generator().manual_seed(1))
    expected = model(x).clone()
    with mode():
        found = model(x)
    torch.testing.assert_close(found.clone(), expected)


@pytest.mark.parametrize("mode", MODES)
def test_no_images_have_no_logits(model, mode):
    with mode():
        assert model(torch.empty(0, 1, 28, 28)).shape == (0, 10)


def test_a_target_of_no_images_asks_nothing(model):
    none = torch.empty(0, 1, 28, 28)
    target = Target(model, none, torch.empty(0, dtype=torch.int64), "l2")
    leaf = none.clone().requires_grad_()
    target(leaf).sum().backward()
    assert target.adversarial(none).shape == predict_labels(model, none).shape == (0,)
    assert leaf.grad.shape == none.shape
