"""DDN and FMN take Foolbox's steps, to the bit."""

import pytest
import torch
from foolbox.attacks import DDNAttack, L0FMNAttack, LInfFMNAttack
from linear_models import Stepwise, draws, images, never_errs, target_of, ten_class

from absynth.attacks.foolbox.bridge import FoolboxMinimization
from absynth.attacks.minimum_norm import ddn, fmn, keep_largest
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


@pytest.mark.parametrize("norm", OURS)
@pytest.mark.parametrize("make", TARGETS.values(), ids=TARGETS)
def test_the_steps_are_foolboxs(make, norm):
    """The same queries, in the same order: with a gradient of 0 the same noise too."""
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
    assert (asked[0][4] == STEPS).all() or make is TARGETS["unconnected"]
    for ours, theirs in zip(*asked, strict=True):
        assert torch.equal(ours, theirs)


def test_nothing_to_attack():
    target = target_of(ten_class(), "l2")
    with target.only(torch.zeros(len(target.x), dtype=torch.bool)):
        ddn("l2", steps=3)(target, draws())
    assert not target.queries.any()
