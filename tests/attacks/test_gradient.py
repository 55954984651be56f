"""Gradient and minimum-norm attacks on classifiers whose smallest perturbations are known in closed form."""

import eagerpy
import pytest
import torch
from foolbox.attacks import LinfMomentumIterativeFastGradientMethod
from foolbox.criteria import Misclassification
from linear_models import N, Stepwise, draws, images, never_errs, smallest, target_of, ten_class, two_class
from torch import nn
from torch.nn import functional

from absynth.attacks.brendel_bethge import brendel_bethge
from absynth.attacks.descent import L2Iterations, LinfIterations, MomentumIterations, misclassification_loss
from absynth.attacks.foolbox.bridge import as_foolbox
from absynth.attacks.foolbox.minimum_norm import carlini_wagner, hop_skip_jump
from absynth.attacks.foolbox.view import CLEAN_MARGIN
from absynth.attacks.gradient import bim, deepfool, fgm, fgsm, mim
from absynth.attacks.minimum_norm import ddn, fmn, keep_largest
from absynth.attacks.target import Target
from absynth.errors import InputError
from absynth.norms import distance

QUICK = dict(steps=10, step_sizes=(0.1, 0.4), bisections=6)
NEAR_OPTIMUM = [  # attack, norm, model, how far beyond the optimum it may end
    (fgm, {}, "l2", two_class, 0.005),
    (fgsm, {}, "linf", two_class, 0.005),
    (bim, QUICK, "l2", two_class, 0.05),
    (bim, QUICK, "linf", two_class, 0.05),
    (bim, {**QUICK, "steps": 40}, "l2", ten_class, 0.05),
    (bim, {**QUICK, "restarts": 2}, "linf", two_class, 0.05),
    (mim, QUICK, "linf", two_class, 0.05),
    (deepfool, {}, "l2", ten_class, 0.01),
    (deepfool, {}, "linf", ten_class, 0.01),
    (ddn, dict(steps=50), "l2", ten_class, 0.02),
    (carlini_wagner, dict(steps=60, stepsize=0.02), "l2", ten_class, 0.05),
    (fmn, dict(steps=60), "linf", two_class, 0.05),
    (brendel_bethge, dict(steps=100), "l2", two_class, 0.001),
    (brendel_bethge, dict(steps=100), "linf", two_class, 0.001),
    (hop_skip_jump, dict(steps=8), "l2", two_class, 0.5),
    (hop_skip_jump, dict(steps=8), "linf", two_class, 1.0),
]
COUNTING = [(fmn, dict(steps=150)), (brendel_bethge, dict(steps=100))]
ALL = [row[:3] for row in NEAR_OPTIMUM] + [(attack, options, "l0") for attack, options in COUNTING]
BY_GRADIENT = [row for row in ALL if row[0] not in (ddn, brendel_bethge, hop_skip_jump)]


def attack_name(value):
    return getattr(value, "__name__", None)


def check_promises(target):
    """What is kept is in the box, misclassified, and as far away as it says."""
    assert target.best.min() >= 0
    assert target.best.max() <= 1
    assert (target.model(target.best).argmax(dim=1) != target.y).all()
    assert torch.equal(distance(target.x, target.best, target.norm), target.best_distance)


@pytest.mark.parametrize(("attack", "options", "norm", "model", "slack"), NEAR_OPTIMUM, ids=attack_name)
def test_attack_comes_near_the_optimum(attack, options, norm, model, slack):
    target = target_of(model(), norm)
    attack(norm, **options)(target, draws())
    check_promises(target)
    optimum = smallest(target.model, target.x, target.y, norm)
    assert (target.best_distance >= optimum * (1 - 1e-4)).all()
    assert (target.best_distance <= optimum * (1 + slack)).all()


@pytest.mark.parametrize(("attack", "options"), COUNTING, ids=attack_name)
def test_l0_attack_comes_near_the_smallest_count(attack, options):
    target = target_of(two_class(), "l0")
    attack("l0", **options)(target, draws())
    check_promises(target)
    optimum = smallest_count(target.model, target.x, target.y)
    assert (target.best_distance >= optimum).all()
    assert (target.best_distance <= 1.3 * optimum + 1).all()


def smallest_count(model, x, y):
    """How few pixels, each at its better end of [0, 1], undo the margin of a two-class classifier."""
    with torch.no_grad():
        away = model.weight[1 - y] - model.weight[y]
        room = torch.where(away > 0, 1 - x.flatten(1), x.flatten(1))
        gain = (away.abs() * room).sort(dim=1, descending=True).values.cumsum(dim=1)  # of k + 1 pixels
        logits = model(x)[:, :2]
        margin = (logits.gather(1, y[:, None]) - logits).amax(dim=1, keepdim=True)
        return (gain < margin).sum(dim=1) + 1


@pytest.mark.parametrize(("attack", "options", "norm"), ALL, ids=attack_name)
def test_model_that_never_errs_is_not_fooled(attack, options, norm):
    target = target_of(never_errs(), norm)
    attack(norm, **options)(target, draws())
    assert target.best_distance.isinf().all()
    assert torch.equal(target.best, target.x)
    assert (target.queries > 0).all()


@pytest.mark.parametrize("connected", [False, True])
@pytest.mark.parametrize(("attack", "options", "norm"), BY_GRADIENT, ids=attack_name)
def test_zero_gradient_leads_nowhere(attack, options, norm, connected):
    target = target_of(Stepwise(connected), norm)
    asked = []
    target.register_forward_pre_hook(lambda module, inputs: asked.append(inputs[0].detach()))
    attack(norm, **{**options, "restarts": 1} if "restarts" in options else options)(target, draws())
    assert target.best_distance.isinf().all()
    assert not torch.cat(asked).isnan().any()


@pytest.mark.parametrize(("attack", "options", "norm"), ALL, ids=attack_name)
def test_every_query_is_counted(attack, options, norm):
    target = target_of(two_class(), norm)
    with target.only(torch.tensor([1, 3])):
        attack(norm, **options)(target, draws())
    assert target.queries.sum() == target.model.asked
    assert target.queries[[0, 2, 4]].sum() == 0
    assert target.best_distance[[0, 2, 4]].isinf().all()
    assert target.best_distance[[1, 3]].isfinite().all()
    assert target.model.weight.grad is None


@pytest.mark.parametrize(("attack", "norm"), [(fgm, "l2"), (fgsm, "linf")], ids=attack_name)
def test_one_step_needs_one_gradient(attack, norm):
    target = target_of(ten_class(), norm)
    attack(norm)(target, draws())
    assert target.gradients.tolist() == [1] * N


def test_bim_budget():
    target = target_of(two_class(), "linf")
    bim("linf", steps=3, step_sizes=[0.5], doublings=2, bisections=1, refine_steps=0)(target, draws())
    # within 1/4 at once, then once between 0 and what that found: three gradients and the last image each
    assert target.gradients.tolist() == [6] * N
    assert target.queries.tolist() == [8] * N


def test_deepfool_asks_once_for_the_gradients_of_all_classes():
    target = target_of(ten_class(), "l2")
    deepfool("l2", refine_steps=0)(target, draws())
    assert (target.gradients >= 9).all()
    assert (target.queries <= 2 + (target.gradients + 8) // 9 + 1).all()


@pytest.mark.parametrize(
    ("attack", "options", "norm"),
    [
        (bim, {**QUICK, "restarts": 3}, "l2"),
        (hop_skip_jump, dict(steps=3), "l2"),
        *((brendel_bethge, dict(steps=20), norm) for norm in ("l2", "linf", "l0")),
    ],
)
def test_an_image_draws_the_same_in_any_batch(attack, options, norm):
    together, alone = target_of(ten_class(), norm), target_of(ten_class(), norm)
    attack(norm, **options)(together, draws())
    with alone.only(torch.tensor([2])):
        attack(norm, **options)(alone, draws())
    torch.testing.assert_close(alone.best[2], together.best[2], rtol=0, atol=1e-4)


@pytest.mark.parametrize(("kind", "norm"), [(L2Iterations, "l2"), (LinfIterations, "linf")])
def test_iterations_keep_within_each_images_epsilon(kind, norm):
    target = target_of(ten_class(), norm)
    epsilon = smallest(target.model, target.x, target.y, norm).float() * torch.linspace(0.2, 0.8, N)
    attack = kind(None, rel_stepsize=0.4, steps=5)
    reached = attack.run(
        as_foolbox(target),
        target.x,
        Misclassification(target.y),
        epsilon=eagerpy.astensor(epsilon.view(-1, 1, 1, 1)),
    )
    torch.testing.assert_close(distance(target.x, reached, norm).float(), epsilon, rtol=1e-3, atol=0)


def test_l0_projection_keeps_as_many_pixels_as_asked():
    x, _ = images(two_class())
    moved = x + torch.rand(x.shape, generator=torch.Generator().manual_seed(0))
    counts = torch.tensor([1.0, 2.0, 10.0, 783.0, 784.0])
    kept = x + keep_largest(moved - x, counts)
    assert torch.equal(distance(x, kept, "l0"), counts.double())
    assert (kept - x).flatten(1).amax(dim=1).equal((moved - x).flatten(1).amax(dim=1))


def test_misclassification_loss_rises_where_the_cross_entropy_does():
    logits = torch.tensor([[2.0, 1.0, -1.0], [0.0, 3.0, 0.5]], requires_grad=True)
    y = torch.tensor([0, 1])
    (ours,) = torch.autograd.grad(misclassification_loss(logits, y), logits)
    (theirs,) = torch.autograd.grad(functional.cross_entropy(logits, y, reduction="sum"), logits)
    torch.testing.assert_close(functional.normalize(ours), functional.normalize(theirs))
    sure = torch.tensor([[200.0, 1.0, 0.0]], requires_grad=True)
    (gradient,) = torch.autograd.grad(misclassification_loss(sure, torch.tensor([0])), sure)
    torch.testing.assert_close(gradient.sum().item(), 0.0)
    assert gradient[0, 0] == -1  # where the cross entropy's is 0


class Curved(nn.Module):
    """A small network whose gradient changes in size and direction from step to step."""

    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(1)
        self.first = torch.randn(784, 20, generator=generator) / 5
        self.last = torch.randn(20, 10, generator=generator)

    def forward(self, x):
        return torch.sin(x.flatten(1) @ self.first) @ self.last


def test_momentum_is_that_of_dong_and_not_of_signs():
    model = Curved()
    x, _ = images(two_class())
    y = model(x).argmax(dim=1)
    epsilon, rel_stepsize, steps, decay = 0.1, 0.2, 6, 0.9
    top = model(x).sort(dim=1).values
    scale = CLEAN_MARGIN / (top[:, -1:] - top[:, -2:-1])
    g, xt = torch.zeros_like(x), x
    for _ in range(steps):  # equations 6 and 7 of Dong et al. (2018)
        xt = xt.detach().requires_grad_()
        loss = functional.cross_entropy(scale * model(xt), y, reduction="sum")
        (gradient,) = torch.autograd.grad(loss, xt)
        g = decay * g + gradient / gradient.flatten(1).abs().sum(dim=1).view(-1, 1, 1, 1)
        xt = x + (xt + rel_stepsize * epsilon * g.sign() - x).clamp(-epsilon, epsilon)
    options = dict(rel_stepsize=rel_stepsize, steps=steps, momentum=decay)

    target = Target(model, x, y, "linf")
    ours = MomentumIterations(None, **options).run(
        as_foolbox(target),
        x,
        Misclassification(y),
        epsilon=eagerpy.astensor(torch.full((N, 1, 1, 1), epsilon)),
    )
    foolbox = LinfMomentumIterativeFastGradientMethod(**options).run(
        as_foolbox(target), x, Misclassification(y), epsilon=epsilon
    )
    torch.testing.assert_close(ours, xt)
    assert (foolbox - xt).abs().max() > epsilon / 10


@pytest.mark.parametrize(
    ("attack", "norm"),
    [(fgm, "linf"), (fgsm, "l2"), (mim, "l2"), (deepfool, "l0"), (ddn, "linf"), (fmn, "l2")],
)
def test_other_norms_are_refused(attack, norm):
    with pytest.raises(InputError, match=f"norm '{norm}'"):
        attack(norm)


def test_attacks_by_decisions_leave_misclassified_images_out():
    target = target_of(two_class(), "l2")
    target.y[1] = 1 - target.y[1]
    hop_skip_jump("l2", steps=2)(target, draws())
    assert target.queries[1] == 1
    assert target.best_distance[[0, 2, 3, 4]].isfinite().all()
