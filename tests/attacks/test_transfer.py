"""Transfer attacks on classifiers whose smallest perturbations are known in closed form."""

import pytest
import torch
from linear_models import Linear, N, draws, never_errs, smallest, target_of, ten_class, two_class
from torch import nn
from torch.nn import functional

from absynth.attacks.gradient import fgm, fgsm
from absynth.attacks.target import Target
from absynth.attacks.transfer import transfer
from absynth.errors import InputError
from absynth.norms import distance

QUICK = dict(steps=5, epsilons=(0.1,), step_sizes=(0.3,))
every_norm = pytest.mark.parametrize("norm", ["l2", "linf"])


class Opaque(Linear):
    """Linear, and no gradient may be asked of it."""

    def forward(self, x):
        assert not x.requires_grad
        return super().forward(x)


@every_norm
def test_substitute_equal_to_the_target_leads_to_the_optimum(norm):
    target = target_of(Opaque(n_classes=2), norm)
    transfer(norm, substitute=two_class(), **QUICK)(target, draws())
    optimum = smallest(target.model, target.x, target.y, norm)
    assert (target.best_distance >= optimum * (1 - 1e-4)).all()
    assert (target.best_distance <= optimum * 1.005).all()
    assert (target.model(target.best).argmax(dim=1) != target.y).all()
    assert target.gradients.tolist() == [0] * N


class Bent(nn.Module):
    """Class 1 where s + 2st > 3, with s and t the components of x − ½ along two orthogonal directions.

    At grey the gradient leads along s alone, to a distance of 3; what is nearest lies along both.
    """

    def __init__(self):
        super().__init__()
        half = torch.ones(392) / 28
        self.axes = torch.stack([torch.cat([half, half]), torch.cat([half, -half])], dim=1)  # (784, 2)

    def forward(self, x):
        s, t = ((x.flatten(1) - 0.5) @ self.axes).unbind(dim=1)
        return torch.stack([torch.full_like(s, 3.0), s + 2 * s * t], dim=1)


T = torch.linspace(0, 2, 2001)
BENT_L2 = (T.square() + (3 / (1 + 2 * T)).square()).min().sqrt().item()  # over the boundary s = 3 / (1 + 2t)
BENT_LINF = (24**0.5 - 1) / 56  # one half of the pixels at ε, the other at 1/56


@pytest.mark.parametrize(("norm", "straight", "bent"), [("l2", 3.0, BENT_L2), ("linf", 3 / 28, BENT_LINF)])
def test_iterations_find_what_one_step_does_not(norm, straight, bent):
    x = torch.full((1, 1, 28, 28), 0.5)
    single, iterated = (Target(Bent(), x, torch.tensor([0]), norm) for _ in range(2))
    attacks = (transfer(norm, substitute=Bent(), epsilons=epsilons) for epsilons in ((), (0.05, 0.1)))
    for attack, target in zip(attacks, (single, iterated), strict=True):
        attack(target, draws())
    assert single.best_distance.item() == pytest.approx(straight, rel=0.005)
    assert bent * 0.999 <= iterated.best_distance.item() <= bent * 1.05


@every_norm
def test_without_iterations_it_is_the_single_step(norm):
    single, transferred = target_of(ten_class(), norm), target_of(ten_class(), norm)
    {"l2": fgm, "linf": fgsm}[norm](norm)(single, draws())
    transfer(norm, substitute=ten_class(), epsilons=())(transferred, draws())
    assert torch.equal(transferred.best, single.best)
    # the same queries but for FGM's own gradient and the look at the clean image's margin
    assert torch.equal(transferred.queries, single.queries - 1)


def test_distance_is_that_along_the_substitutes_direction():
    """An l2 line search on one hyperplane along the normal of another: margin / (d · normal)."""
    target = target_of(two_class(), "l2")
    other = two_class()
    turn = torch.randn(784, generator=torch.Generator().manual_seed(5)) / 28
    other.weight.data[0] += turn
    transfer("l2", substitute=other, epsilons=())(target, draws())
    with torch.no_grad():
        sign = (1 - 2 * target.y.double())[:, None]  # towards class 1 from 0, towards 0 from 1
        away = functional.normalize((other.weight[1] - other.weight[0]).double(), dim=0) * sign
        logits = target.model(target.x).double()
        margin = (logits[:, 0] - logits[:, 1]).abs()
        slope = (away * (target.model.weight[1] - target.model.weight[0]).double() * sign).sum(dim=1)
    expected = margin / slope
    inside = (target.x.flatten(1) + expected[:, None] * away - 0.5).abs().amax(dim=1) < 0.5
    assert inside.any()
    assert (slope > 0).all()
    torch.testing.assert_close(target.best_distance[inside], expected[inside], rtol=2e-3, atol=0)


@every_norm
def test_only_the_targets_queries_count_and_only_of_active_images(norm):
    target, substitute = target_of(ten_class(), norm), ten_class()
    substitute.asked = 0
    with target.only(torch.tensor([1, 3])):
        transfer(norm, substitute=substitute, **QUICK)(target, draws())
    assert target.queries.sum() == target.model.asked
    assert (target.queries > 0).tolist() == [False, True, False, True, False]
    assert target.best_distance.isfinite().tolist() == [False, True, False, True, False]
    # one step: gradient; BIM: its steps and the clean image's margin, at most once a run
    assert 2 * (1 + 5) <= substitute.asked <= 2 * (2 + 5 + 1)


@every_norm
def test_an_image_gets_the_same_in_any_batch(norm):
    together, alone = target_of(ten_class(), norm), target_of(ten_class(), norm)
    attack = transfer(norm, substitute=ten_class(), **QUICK)
    attack(together, draws())
    with alone.only(torch.tensor([2])):
        attack(alone, draws(seed=7))
    torch.testing.assert_close(alone.best[2], together.best[2], rtol=0, atol=1e-4)


@every_norm
def test_what_cannot_be_fooled_and_what_shows_no_way(norm):
    sure = target_of(never_errs(), norm)
    transfer(norm, substitute=two_class(), **QUICK)(sure, draws())
    flat = two_class()
    flat.weight.data[:] = 0
    lost = target_of(two_class(), norm)
    transfer(norm, substitute=flat, **QUICK)(lost, draws())
    for target in (sure, lost):
        assert target.best_distance.isinf().all()
        assert torch.equal(target.best, target.x)


@every_norm
def test_perturbations_stay_in_the_box_and_are_measured_there(norm):
    model = ten_class()
    x = torch.rand(
        N, 1, 28, 28, generator=torch.Generator().manual_seed(3)
    ).round()  # any step would leave it
    target = Target(model, x, model(x).argmax(dim=1), norm)
    transfer(norm, substitute=ten_class(), **QUICK)(target, draws())
    assert target.best.aminmax() == (0, 1)
    assert torch.equal(target.best_distance, distance(x, target.best, norm))


def test_other_norms_are_refused():
    with pytest.raises(InputError, match="norm 'l0'"):
        transfer("l0", substitute=two_class())
