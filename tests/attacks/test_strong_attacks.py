"""Attacks that linearise the boundary or a loss, on models whose smallest perturbations within the box are known."""

import math

import pytest
import torch
from linear_models import Linear, N, Stepwise, draws, never_errs, target_of, ten_class, two_class
from torch import nn
from torch.nn import functional

from absynth.attacks.apgd import _scaled_entropy, _targeted_dlr, apgd
from absynth.attacks.boundary_descent import boundary_descent
from absynth.attacks.fab import fab
from absynth.attacks.linearised import ask_linearised
from absynth.attacks.margins import margin
from absynth.attacks.target import Target
from absynth.errors import InputError
from absynth.norms import distance

ATTACKS = [  # attack, options, how far beyond the optimum it may end in l2 and in linf
    (boundary_descent, {"steps": 40, "walks": 4}, 0.005, 0.005),
    (apgd, {"steps": 40, "bisections": 8}, 0.1, 0.05),
    (fab, {"steps": 20, "targets": 9}, 0.01, 0.01),
]
NORMS = ("l2", "linf")
CASES = [(attack, options, norm) for attack, options, *_ in ATTACKS for norm in NORMS]


def attack_name(value):
    return getattr(value, "__name__", None)


def at_the_edge(model: Linear) -> tuple[torch.Tensor, torch.Tensor]:
    """Images of which most pixels are within 0.1 of 0 or 1, as digits are."""
    x = torch.rand(N, 784, generator=torch.Generator().manual_seed(3))
    x = torch.where(x < 0.6, x / 6, 1 - (1 - x) / 4).view(N, 1, 28, 28)
    return x, model(x).argmax(dim=1)


def smallest_in_box(model: Linear, x: torch.Tensor, y: torch.Tensor, norm: str) -> torch.Tensor:
    """Distance (n,) of each image to the nearest adversarial of [0, 1]: bisection over the multiplier or radius."""
    x, weight = x.flatten(1).double(), model.weight.detach().double()
    logits = (x - 0.5) @ weight.T + model.bias.double()
    found = torch.full((len(x),), torch.inf, dtype=torch.float64)
    for c in range(10):
        towards = weight[c] - weight[y]
        gap = logits.gather(1, y[:, None]).squeeze(1) - logits[:, c]
        low, high = torch.zeros(len(x), 1).double(), torch.full((len(x), 1), 1e6).double()
        for _ in range(200):
            middle = (low + high) / 2
            moved = (x + middle * (towards if norm == "l2" else towards.sign())).clamp(0, 1)
            enough = (towards * (moved - x)).sum(dim=1, keepdim=True) >= gap[:, None]
            low, high = torch.where(enough, low, middle), torch.where(enough, middle, high)
        reached = (towards * (moved - x)).sum(dim=1) >= gap - 1e-9
        found = torch.where(reached & (y != c), found.minimum(distance(x, moved, norm)), found)
    return found


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize(("attack", "options", "l2", "linf"), ATTACKS, ids=attack_name)
def test_the_distance_within_the_box_is_found(attack, options, l2, linf, norm):
    model = ten_class()
    x, y = at_the_edge(model)
    target = Target(model, x, y, norm)
    attack(norm, **options)(target, draws())
    assert target.best.min() >= 0
    assert target.best.max() <= 1
    assert (model(target.best).argmax(dim=1) != y).all()
    assert torch.equal(distance(x, target.best, norm), target.best_distance)
    optimum = smallest_in_box(model, x, y, norm)
    assert (target.best_distance >= optimum * (1 - 1e-4)).all()
    assert (target.best_distance <= optimum * (1 + {"l2": l2, "linf": linf}[norm])).all()


@pytest.mark.parametrize(("attack", "options", "norm"), CASES, ids=attack_name)
def test_model_that_never_errs_is_not_fooled(attack, options, norm):
    target = target_of(never_errs(), norm)
    attack(norm, **options)(target, draws())
    assert target.best_distance.isinf().all()
    assert torch.equal(target.best, target.x)
    assert (target.queries > 0).all()


@pytest.mark.parametrize(("attack", "options", "norm"), CASES, ids=attack_name)
def test_every_query_is_counted(attack, options, norm):
    target = target_of(two_class(), norm)
    with target.only(torch.tensor([1, 3])):
        attack(norm, **options)(target, draws())
    assert target.queries.sum() == target.model.asked
    assert target.queries[[0, 2, 4]].sum() == 0
    assert target.best_distance[[0, 2, 4]].isinf().all()
    assert target.best_distance[[1, 3]].isfinite().all()
    assert (target.gradients <= target.queries).all()
    assert target.model.weight.grad is None


class Undefined(Linear):
    """Answers NaN where the first pixel is dark."""

    def __init__(self):
        super().__init__(n_classes=2)

    def forward(self, x):
        return torch.where(x.flatten(1)[:, :1] < 0.45, torch.nan, super().forward(x))


MODELS = [two_class(), Stepwise(True), Stepwise(False), Undefined()]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)
@pytest.mark.parametrize(("attack", "options", "norm"), CASES, ids=attack_name)
def test_what_is_asked_is_in_the_box(attack, options, norm, model):
    target = target_of(model, norm)
    asked = []
    target.register_forward_pre_hook(lambda module, inputs: asked.append(inputs[0].detach().clone()))
    attack(norm, **options)(target, draws())
    assert len(asked) > 1
    assert ((torch.cat(asked) >= 0) & (torch.cat(asked) <= 1)).all()


@pytest.mark.parametrize("attack", [attack for attack, *_ in ATTACKS], ids=attack_name)
def test_other_norms_are_refused(attack):
    with pytest.raises(InputError, match="norm 'l0'; this attack minimises l2, linf"):
        attack("l0")


class Corner(nn.Module):
    """Of class 1 where each of the first two pixels is above a bound of its own."""

    def forward(self, x):
        over = torch.stack([x[:, 0, 0, 0] - 0.8, x[:, 0, 0, 1] - 0.7], dim=1)
        return torch.stack([torch.zeros(len(x)), over.amin(dim=1)], dim=1)


@pytest.mark.parametrize(("norm", "optimum"), [("l2", math.hypot(0.3, 0.2)), ("linf", 0.3)])
def test_boundary_descent_comes_to_a_kink_of_the_boundary(norm, optimum):
    x = torch.full((2, 1, 28, 28), 0.5)
    target = Target(Corner(), x, torch.zeros(2, dtype=torch.int64), norm)
    start = x.clone()
    start[:, 0, 0, :2] = 1
    target.adversarial(start)
    boundary_descent(norm, walks=1)(target, draws())
    assert (target.best_distance >= optimum - 1e-6).all()
    assert (target.best_distance <= optimum * 1.01).all()


def test_boundary_descent_takes_the_gradients_that_it_is_given():
    target = target_of(two_class(), "l2")
    boundary_descent("l2", steps=7, walks=3, refine_steps=4)(target, draws())
    assert target.gradients.tolist() == [21] * N
    assert target.queries.tolist() == [1 + 21 + 3 + 4] * N  # the clean image, walks and their ends, bisection


def test_apgd_ends_at_the_first_success_within_epsilon():
    target = target_of(two_class(), "linf")
    apgd("linf", steps=30, doublings=0, bisections=0, refine_steps=0)(target, draws())
    # the clean image, then, within the whole box, the start and as many steps as the first success needs
    assert (target.gradients < 31).all()
    assert torch.equal(target.queries, target.gradients + 1)
    assert target.best_distance.isfinite().all()


def test_fab_starts_again_from_random_points():
    model = ten_class()
    x, y = at_the_edge(model)
    asked = {}
    for restarts in (1, 2):
        target = Target(model, x, y, "l2")
        seen = asked[restarts] = []
        target.register_forward_pre_hook(
            lambda module, inputs, seen=seen: seen.append(inputs[0].detach().clone())
        )
        fab("l2", steps=1, targets=2, restarts=restarts, refine_steps=0)(target, draws())
    once, twice = asked[1], asked[2]
    assert all(torch.equal(a, b) for a, b in zip(once, twice, strict=False))
    assert len(twice) == 2 * len(once) - 1  # the clean image is asked for its rivals once
    for start in twice[len(once) :]:
        assert (distance(x, start, "l2") > 0).all()


def test_losses_of_apgd_by_hand():
    logits = torch.tensor([[3.0, 1.0, 0.0, -1.0, -2.0]], requires_grad=True)
    rows, y = torch.tensor([0]), torch.tensor([0])
    (ratio,) = _targeted_dlr(torch.tensor([1]), rows)(logits, y).tolist()
    assert ratio == pytest.approx((1 - 3) / (3 - (0 - 1) / 2))
    (few,) = _targeted_dlr(torch.tensor([1]), rows)(logits[:, :2], y).tolist()
    assert few == 1 - 3  # the ratio would be -1, whatever the logits
    (three,) = _targeted_dlr(torch.tensor([1]), rows)(logits[:, :3], y).tolist()
    assert three == pytest.approx((1 - 3) / (3 - 0))
    odds = _scaled_entropy(logits.detach(), y, rows)(logits, y)
    (ours,) = torch.autograd.grad(odds, logits)
    entropy = functional.cross_entropy(5 * logits, y)  # margin 10
    assert odds.item() == pytest.approx(math.log(math.expm1(entropy.item())), rel=1e-3)
    (theirs,) = torch.autograd.grad(entropy, logits)
    torch.testing.assert_close(functional.normalize(ours), functional.normalize(theirs), rtol=1e-3, atol=1e-3)


def test_a_linearised_model_is_told_by_its_margin_and_gradient():
    target = target_of(two_class(), "l2")
    x, y = target.active
    value, gradient = ask_linearised(target, x.flatten(1).double(), margin)
    weight = target.model.weight.detach()
    torch.testing.assert_close(gradient.float(), weight[y] - weight[1 - y])
    torch.testing.assert_close(value, margin(target.model(x), y).double())
    assert target.gradients.tolist() == target.queries.tolist() == [1] * N
