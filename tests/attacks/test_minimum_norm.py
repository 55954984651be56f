"""DDN and FMN take Foolbox's steps, to the bit; where DDN draws noise, each image its own."""

import pytest
import torch
from foolbox.attacks import DDNAttack, L0FMNAttack, LInfFMNAttack
from linear_models import Stepwise, draws, images, never_errs, target_of, ten_class

from absynth.attacks.foolbox.bridge import FoolboxMinimization
from absynth.attacks.minimum_norm import ddn, fmn, keep_largest
from absynth.attacks.randomness import SampleRandom
from absynth.attacks.target import Target

STEPS = 30


class Curved(torch.nn.Module):
    """A network of two layers, the gradient of which changes from step to step."""

    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(3)
        self.first = torch.randn(784, 12, generator=generator) / 4
        self.last = torch.randn(12, 5, generator=generator)

    def forward(self, x):
        return (x.flatten(1) @ self.first).tanh() @ self.last


class AsMany(L0FMNAttack):
    """Foolbox's, but of pixels as many as asked."""

    def project(self, x, x0, epsilon):
        import eagerpy

        return x0 + eagerpy.astensor(keep_largest((x - x0).raw, epsilon.raw))


OURS = {
    "l2": (lambda: ddn("l2", steps=STEPS, refine_steps=3), lambda: DDNAttack(steps=STEPS)),
    "linf": (
        lambda: fmn("linf", steps=STEPS, refine_steps=3),
        lambda: LInfFMNAttack(steps=STEPS, max_stepsize=10.0),
    ),
    "l0": (lambda: fmn("l0", steps=STEPS, refine_steps=3), lambda: AsMany(steps=STEPS, max_stepsize=1.0)),
}


def curved_target(norm):
    model = Curved()
    x, _ = images(ten_class())
    return Target(model, x, model(x).argmax(dim=1), norm)


TARGETS = {
    "curved": curved_target,
    "linear": lambda norm: target_of(ten_class(), norm),
    "without gradient": lambda norm: target_of(Stepwise(connected=True), norm),
    "unconnected": lambda norm: target_of(Stepwise(connected=False), norm),
    "never errs": lambda norm: target_of(never_errs(), norm),
}


FLAT = ("without gradient", "unconnected")  # where DDN goes by noise
SAME = [
    (name, norm) for name in TARGETS for norm in OURS if (name, norm) not in [(flat, "l2") for flat in FLAT]
]


@pytest.mark.parametrize(("name", "norm"), SAME)
def test_the_steps_are_foolboxs(name, norm):
    """The same queries, in the same order."""
    make = TARGETS[name]
    asked = []
    for attack in (OURS[norm][0](), FoolboxMinimization(OURS[norm][1](), refine_steps=3)):
        target, queries = make(norm), []
        target.register_forward_pre_hook(
            lambda module, inputs, queries=queries: queries.append(inputs[0].detach().clone())
        )
        attack(target, draws())
        asked.append(
            (torch.stack(queries), target.best, target.best_distance, target.queries, target.gradients)
        )
    assert (asked[0][4] == STEPS).all() or name == "unconnected"
    for ours, theirs in zip(*asked, strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("name", FLAT)
def test_noise_in_place_of_a_gradient_of_0_is_an_image_s_own(name):
    """The queries of an image are the same in any batch."""

    def asked(target: Target, places: list[int]) -> torch.Tensor:
        queries = []
        target.register_forward_pre_hook(lambda _, inputs: queries.append(inputs[0].detach().clone()))
        ddn("l2", steps=4, refine_steps=0)(target, SampleRandom(0, "test", places, target.x.device))
        return torch.stack(queries)  # (steps, n, 1, 28, 28)

    whole = TARGETS[name]("l2")
    queries = asked(whole, list(range(len(whole.x))))
    for row in range(len(whole.x)):
        alone = Target(whole.model, whole.x[row : row + 1], whole.y[row : row + 1], "l2")
        assert torch.equal(asked(alone, [row])[:, 0], queries[:, row])
    assert not torch.equal(queries[1, 0] - queries[0, 0], queries[1, 1] - queries[0, 1])


def test_the_length_in_l0_counts_a_pixel_once_however_many_channels_change():
    delta = torch.zeros(2, 3, 4, 4)
    delta[0, :, 0, :2] = 0.5
    delta[1, 1, 0, 0] = 0.5
    assert fmn("l0").length(delta).tolist() == [2, 1]


def test_nothing_to_attack():
    target = target_of(ten_class(), "l2")
    with target.only(torch.zeros(len(target.x), dtype=torch.bool)):
        ddn("l2", steps=3)(target, draws())
    assert not target.queries.any()
