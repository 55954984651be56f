"""Latent Descent on classifiers by prototypes, whose reconstructions and boundaries are known on paper."""

import pytest
import torch
from linear_models import draws
from torch import nn

from absynth.attacks.latent_descent import latent_descent
from absynth.attacks.target import Target
from absynth.errors import InputError
from absynth.models.abs.energy import Inferred
from absynth.models.abs.session import WarmStartSession
from absynth.models.binarize import THRESHOLD, binarize

GREYS = (0.2, 0.8, 0.45, 0.0)  # of the prototypes of classes 0 to 3


class Prototypes(nn.Module):
    """logit_c = −‖p_c + shift − x‖²: as if inference always found what differs from p_c by a common shift.

    Writes down how many images it was asked for, and which classes were left out of inference.
    """

    def __init__(self, greys=GREYS, binary: bool = False):
        super().__init__()
        self.images = torch.stack([torch.full((784,), grey) for grey in greys])
        self.input_threshold = THRESHOLD if binary else None
        self.gamma = torch.ones(len(greys))
        self.asked, self.left_out = 0, []

    def preprocess(self, x):
        return (binarize(x) if self.input_threshold else x).flatten(1)

    def start_session(self, images, labels):
        return WarmStartSession(self, images, labels)

    def infer(self, x, without=None, **_):
        self.asked += len(x)
        return Inferred(torch.zeros(len(x), len(self.images), 8), self.images.repeat(len(x), 1, 1))

    def infer_near(self, x, start, without=None, **_):
        if without is None:
            self.asked += len(x)
        else:
            self.left_out += without.tolist()
        return start

    def logits_at(self, x, inferred):
        return -inferred.energies(self.preprocess(x))


def clean(*greys: float):
    return torch.tensor(greys)[:, None, None, None].expand(-1, 1, 28, 28).clone()


def attacked(x, labels, model=None, **options) -> Target:
    target = Target(model or Prototypes(), x, torch.tensor(labels), "l2")
    latent_descent("l2", **options)(target, draws())
    return target


def test_it_ends_at_the_boundary_to_the_likeliest_other_class():
    target = attacked(clean(0.2, 0.8, 0.45), [0, 1, 2])
    boundaries = [0.1, 0.625, 0.325]  # half-way to 0.0, to 0.45, and to 0.2, the nearest greys
    expected = 28 * (torch.tensor([0.2, 0.8, 0.45]) - torch.tensor(boundaries)).double().abs()
    assert (target.best_distance >= expected - 1e-4).all()
    assert (target.best_distance <= expected * (1 + 1e-4)).all()


def test_a_step_is_that_share_of_the_way_still_to_go():
    """Equation 9: after t steps the rest is (1 − ε)^t; the boundary lies at half the way."""
    target = attacked(clean(0.8), [1], Prototypes((0.2, 0.8)), step=0.01, bisections=0, refine_steps=0)
    steps = 69  # 0.99^69 < ½ < 0.99^68
    assert target.queries.tolist() == [1 + steps]
    assert target.best_distance.item() == pytest.approx(28 * 0.6 * (1 - 0.99**steps), rel=1e-5)


def test_bisections_halve_the_last_step_and_then_the_way_back():
    options = dict(step=0.3, refine_steps=0)
    coarse, fine = (
        attacked(clean(0.8), [1], Prototypes((0.2, 0.8)), bisections=n, **options).best_distance
        for n in (0, 12)
    )
    assert coarse.item() == pytest.approx(28 * 0.6 * 0.51, rel=1e-5)
    assert fine.item() == pytest.approx(28 * 0.3, rel=1e-3)
    back = attacked(clean(0.8), [1], Prototypes((0.2, 0.8)), step=0.99, bisections=0, refine_steps=12)
    assert back.best_distance.item() == pytest.approx(28 * 0.3, rel=1e-3)


def test_rivals_are_inferred_without_the_label_at_each_step():
    model = Prototypes()
    target = attacked(clean(0.2, 0.8), [0, 1], model, bisections=4, refine_steps=3)
    descent = (target.queries - 4 - 3).tolist()
    assert [model.left_out.count(label) for label in (0, 1)] == descent
    predicted = target.queries.sum() - (model.asked - 2)  # the clean images are asked first of all
    assert 0 < predicted < 10


def test_only_images_still_correctly_classified_go_on():
    target = attacked(clean(0.15, 0.8), [0, 1], bisections=0, refine_steps=0)
    assert 1 < target.queries[0] < target.queries[1]


def test_who_never_gets_there_stays_at_infinity_and_stops_nobody():
    target = attacked(clean(0.2, 0.8), [0, 1], steps=70)  # the way of the second is 0.175 of 0.35
    assert target.best_distance.isfinite().all()
    target = attacked(clean(0.11, 0.8), [0, 1], steps=20)
    assert target.best_distance.isinf().tolist() == [False, True]
    assert torch.equal(target.best[1], target.x[1])
    assert target.queries[1] == 21


def test_only_active_images_are_asked():
    target = Target(Prototypes(), clean(0.2, 0.8, 0.45), torch.tensor([0, 1, 2]), "l2")
    with target.only(torch.tensor([1])):
        latent_descent("l2")(target, draws())
    assert (target.queries > 0).tolist() == [False, True, False]
    assert target.best_distance.isfinite().tolist() == [False, True, False]


def test_clean_image_that_the_attacked_inference_misclassifies_still_moves():
    target = attacked(clean(0.25), [1])
    assert 0 < target.best_distance.item() < 28 * 0.01


def test_binary_model_is_fooled_by_pixels_at_the_threshold():
    """Pixels turn white brightest rival first; the k-th takes 2 p_k from the margin Σ p²."""
    model = Prototypes((0.0, 1.0), binary=True)
    model.images[1] = torch.linspace(0.6, 1.0, 784)
    target = attacked(clean(0.0), [0], model)
    ramp = model.images[1]
    gain = 2 * ramp.sort(descending=True).values.cumsum(0)
    least = int((gain <= ramp.square().sum()).sum()) + 1
    flips = round(target.findings.recorded.distance.item() ** 2 / 0.25)
    assert least <= flips <= least + 2
    assert target.findings.recorded.distance.item() == pytest.approx(0.5 * flips**0.5)
    assert target.findings.recorded.distance < target.best_distance


@pytest.mark.parametrize("norm", ["l0", "linf"])
def test_other_norms_are_refused(norm):
    with pytest.raises(InputError, match=f"norm '{norm}'"):
        latent_descent(norm)


def test_an_image_s_companions_change_nothing():
    together = attacked(clean(0.11, 0.8), [0, 1]).best_distance
    alone = [attacked(clean(value), [label]).best_distance[0] for value, label in ((0.11, 0), (0.8, 1))]
    assert together.isfinite().all()
    torch.testing.assert_close(together, torch.stack(alone))
