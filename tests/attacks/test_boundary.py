"""The Boundary Attack on a hyperplane, whose distance is known."""

import pytest
import torch
from threshold_models import SIZE, run, threshold

from absynth.attacks.boundary import boundary
from absynth.attacks.randomness import SampleRandom
from absynth.attacks.target import Target


def hyperplane() -> tuple[torch.nn.Module, torch.Tensor, torch.Tensor, float]:
    """Dark grey images at distance 2 from a hyperplane, beyond which it is brighter, and that distance."""
    weight = torch.rand(SIZE, generator=torch.Generator().manual_seed(1)) + 0.5
    x, y = torch.full((3, 1, 28, 28), 0.25), torch.zeros(3, dtype=torch.int64)
    return threshold(weight, weight.sum().item() / 4 + 2 * weight.norm().item()), x, y, 2.0


def test_it_comes_near_the_hyperplane():
    model, x, y, least = hyperplane()
    found = run(boundary("l2", steps=1500), model, x, y, "l2").best_distance
    assert (found >= least - 1e-5).all()
    assert (found <= 1.35 * least).all()


def test_more_steps_come_nearer():
    model, x, y, _ = hyperplane()
    few, more = (run(boundary("l2", steps=n), model, x, y, "l2").best_distance for n in (50, 300))
    assert (more < few).all()


def test_it_starts_from_an_adversarial_that_the_target_holds():
    """With one seeded at 1.05 times the least distance, few steps stay below it, and no start is searched."""
    model, x, y, least = hyperplane()
    target = Target(model, x, y, "l2")
    weight = model.weight[1].float()
    seeded = x[:1] + 1.05 * least * (weight / weight.norm()).view(1, 1, 28, 28)
    with target.only(torch.tensor([0])):
        assert target.adversarial(seeded).all()
    boundary("l2", steps=10)(target, SampleRandom(0, "test", range(3), x.device))
    assert target.best_distance[0] <= 1.05 * least + 1e-6
    assert target.queries[0] == 1 + 10 + 2  # the seed, ten steps, two of them with a trial on the sphere
    assert (target.queries[1:] > 20).all()
    assert (target.best_distance[1:] > 1.4 * least).all()


def test_images_that_converge_stop():
    model, x, y, _ = hyperplane()
    target = run(boundary("l2", steps=100, convergence=0.02, trials=1), model, x, y, "l2")
    assert (target.queries < 100).all()


@pytest.mark.parametrize("option", [{"source_step": 0.0001}, {"spherical_step": 1.0}])
def test_step_sizes_adapt(option):
    """Steps far too small or too large at first come near all the same."""
    model, x, y, least = hyperplane()
    adapted = run(boundary("l2", steps=1500, **option), model, x, y, "l2").best_distance
    fixed = run(boundary("l2", steps=1500, step_adaptation=1.0, **option), model, x, y, "l2").best_distance
    assert (adapted < 1.45 * least).all()
    assert (adapted < fixed).all()


class Hasty(torch.nn.Module):
    """Takes a hyperplane for half as far away in its first answers."""

    def __init__(self, model: torch.nn.Module, shift: float, answers: int):
        super().__init__()
        self.model, self.shift, self.answers = model, shift, answers

    def forward(self, x):
        self.answers -= 1
        logits = self.model(x)
        return logits + torch.tensor([0.0, self.shift if self.answers >= 0 else 0.0])


def test_a_walk_leaves_adversarials_that_are_none():
    model, x, y, least = hyperplane()
    hasty = Hasty(model, least / 2 * model.weight[1].norm().item(), answers=600)
    found = run(boundary("l2", steps=2500), hasty, x, y, "l2").best_distance
    assert (found >= least - 1e-5).all()
    assert (found <= 1.35 * least).all()
