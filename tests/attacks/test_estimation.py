"""Estimated gradients against exact ones, and attacks that have no others."""

import pytest
import torch
from linear_models import Stepwise, draws, images, never_errs, smallest, target_of, ten_class, two_class
from torch import nn

from absynth.attacks.estimation import (
    EstimatingTarget,
    bim_ge,
    central_differences,
    deepfool_ge,
    fgm_ge,
    fgsm_ge,
    mim_ge,
    pixel_ends,
    rises,
)
from absynth.attacks.gradient import bim, deepfool, fgm, fgsm, mim
from absynth.attacks.target import Target
from absynth.errors import InputError
from absynth.models.abs.energy import Inferred
from absynth.models.abs.model import ABS
from absynth.models.abs.session import WarmStartSession
from absynth.models.abs.vae import VAE
from absynth.models.weights import load_weights
from absynth.norms import distance

NEIGHBOURS = 2 * 784
QUICK = dict(steps=8, step_sizes=(0.2,), doublings=4, bisections=6)
PAIRS = [  # exact, by estimate, budget, norm, model
    (fgm, fgm_ge, {}, "l2", two_class),
    (fgsm, fgsm_ge, {}, "linf", two_class),
    (deepfool, deepfool_ge, dict(steps=5), "l2", ten_class),
    (deepfool, deepfool_ge, dict(steps=5), "linf", ten_class),
    (bim, bim_ge, QUICK, "l2", two_class),
    (bim, bim_ge, QUICK, "linf", two_class),
    (mim, mim_ge, QUICK, "linf", two_class),
]
BY_ESTIMATE = [(build, dict(budget, differences=[0.1]), norm) for _, build, budget, norm, _ in PAIRS]
IDS = [f"{build.__name__} {norm}" for build, _, _, norm, _ in PAIRS]


class Masked(nn.Module):
    """A linear model whose autograd gradient is that of another one, times `factor`."""

    def __init__(self, factor: float):
        super().__init__()
        self.inner, self.factor = two_class(), factor

    def forward(self, x):
        logits = self.inner(x)
        return logits.detach() + self.factor * (logits - logits.detach())


class Refusing(nn.Module):
    """A model that must not be asked for a gradient."""

    def __init__(self):
        super().__init__()
        self.inner = two_class()

    def forward(self, x):
        assert not x.requires_grad
        assert not torch.is_grad_enabled()
        return self.inner(x)


def jacobian(logits, at):
    """Derivatives (m, C, 784) that a graph gives."""
    rows = [torch.autograd.grad(column.sum(), at, retain_graph=True)[0].flatten(1) for column in logits.T]
    return torch.stack(rows, dim=1)


def asked_alone(model):
    return lambda neighbours, near: model(neighbours).detach()


def estimated(logits_near, x, step):
    """Derivatives (m, C, 784) by central differences."""
    ends = pixel_ends(x, step)
    return central_differences(rises(logits_near, x, ends), ends)


def smooth_cnn() -> nn.Module:
    torch.manual_seed(0)
    layers = (
        nn.Conv2d(1, 4, 5, 3),
        nn.Tanh(),
        nn.Conv2d(4, 6, 4, 2),
        nn.Tanh(),
        nn.Flatten(),
        nn.Linear(54, 10),
    )
    return nn.Sequential(*layers).double().requires_grad_(False)


def test_estimate_is_exact_on_a_linear_model_at_any_step():
    model = ten_class()
    x = torch.rand(3, 1, 28, 28, generator=torch.Generator().manual_seed(1))
    for step in (0.05, 0.6, 1.0):  # the last two clip most neighbours
        estimate = estimated(asked_alone(model), x, step)
        torch.testing.assert_close(estimate, model.weight.detach().expand(3, -1, -1), atol=2e-4, rtol=0)


def test_estimate_agrees_with_autograd_on_a_smooth_network():
    model = smooth_cnn()
    x = torch.rand(2, 1, 28, 28, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    leaf = x.clone().requires_grad_()
    exact = jacobian(model(leaf), leaf)
    inside = ((x > 1e-3) & (x < 1 - 1e-3)).flatten(1)[:, None]
    errors = [
        ((estimated(asked_alone(model), x, step) - exact) * inside).abs().max() for step in (1e-3, 1e-4)
    ]
    assert errors[1] < 1e-8 * exact.abs().max() + 1e-10
    assert errors[0] > 20 * errors[1]  # of second order in the step


def test_difference_at_the_edge_is_one_sided_and_divided_by_its_length():
    x = torch.full((1, 1, 28, 28), 0.5)
    x.view(-1)[:4] = torch.tensor([0.0, 1.0, 0.1, 0.8])
    asked = []

    def squares(neighbours, near):
        asked.append(neighbours)
        return neighbours.flatten(1).square()[:, :5]

    estimate = estimated(squares, x, 0.25)[0].diagonal()
    ends = torch.tensor([[0, 0.25], [0.75, 1], [0, 0.35], [0.55, 1], [0.25, 0.75]])
    torch.testing.assert_close(estimate, ends.sum(dim=1), atol=1e-5, rtol=0)  # of x²: the sum of the ends
    asked = torch.cat(asked)
    assert asked.min() >= 0
    assert asked.max() <= 1
    assert len(asked) == NEIGHBOURS - 2 + 1  # the image serves as two of them, and is asked for once
    assert ((asked != x).flatten(1).sum(dim=1) <= 1).all()


def test_one_pass_serves_all_logits_and_every_return_to_a_point():
    target = target_of(ten_class(), "l2")
    view = EstimatingTarget(target, 0.1)

    def ask(x):
        leaf = x.clone().requires_grad_()
        return jacobian(view(leaf), leaf)

    torch.testing.assert_close(ask(target.x), target.model.weight.expand(5, -1, -1), atol=1e-3, rtol=0)
    assert target.queries.tolist() == [1 + NEIGHBOURS] * 5
    moved = (target.x + 0.01).clamp(0, 1)
    ask(moved)
    ask(moved)
    ask(target.x)
    assert target.queries.tolist() == [4 + 2 * NEIGHBOURS] * 5
    moved[1] = (moved[1] + 0.01).clamp(0, 1)
    ask(moved)
    assert target.queries.tolist() == [5 + (2 + (row == 1)) * NEIGHBOURS for row in range(5)]
    assert target.gradients.tolist() == [0] * 5


class Thresholded(nn.Module):
    input_threshold = 0.5

    def __init__(self):
        super().__init__()
        self.inner = ten_class()

    def forward(self, x):
        return self.inner((x >= self.input_threshold).to(x.dtype))


@pytest.mark.parametrize(("step", "again"), [(0.6, 0), (0.1, 1)])
def test_points_that_a_model_sees_alike_with_their_neighbours_share_an_estimate(step, again):
    x = torch.full((2, 1, 28, 28), 0.1)
    target = Target(Thresholded(), x, torch.zeros(2, dtype=torch.int64), "l2")
    moved = x.clone()
    moved[1, 0, :4] = 0.45  # seen as 0.1 is; so are its neighbours at steps of 0.6, not the upper one at 0.1

    def ask(view, at):
        leaf = at.clone().requires_grad_()
        return jacobian(view(leaf), leaf)

    view = EstimatingTarget(target, step)
    ask(view, x)
    kept = ask(view, moved)
    assert target.queries.tolist() == [2 + NEIGHBOURS, 2 + (1 + again) * NEIGHBOURS]
    fresh = ask(EstimatingTarget(target, step), moved)
    assert fresh.abs().amax(dim=(1, 2)).gt(0).tolist() == [step > 0.4, True]
    torch.testing.assert_close(kept, fresh, rtol=0, atol=0)


def test_neighbours_that_a_model_sees_as_their_middle_are_asked_for_once():
    x = torch.full((2, 1, 28, 28), 0.1)
    x[1, 0, 0, :3] = 0.45  # at a step of 0.1 only these cross the threshold, upwards
    asked = []

    def near(neighbours, middle):
        asked.append(middle)
        return Thresholded()(neighbours)

    ends = pixel_ends(x, 0.1)
    sparing = rises(near, x, ends, Thresholded.input_threshold)
    assert torch.cat(asked).bincount().tolist() == [1, 3 + 1]
    torch.testing.assert_close(sparing, rises(near, x, ends), rtol=0, atol=0)
    assert sparing.abs().amax(dim=(1, 2)).gt(0).tolist() == [False, True]


def test_view_shares_what_is_found_and_counted():
    target = target_of(two_class(), "linf")
    view = EstimatingTarget(target, 0.1)
    with view.only(torch.tensor([1, 3])):
        assert view.adversarial(1 - target.x[[1, 3]]).all()
    assert target.best_distance.isfinite().tolist() == [False, True, False, True, False]
    assert torch.equal(target.best[1], 1 - target.x[1])
    assert target.queries.tolist() == [0, 1, 0, 1, 0]
    assert target.rows.tolist() == [0, 1, 2, 3, 4]


def test_gradients_are_of_one_query_an_image():
    view = EstimatingTarget(target_of(two_class(), "l2"), 0.1)
    with pytest.raises(ValueError, match="10 queries for 5 active images"):
        view(torch.cat([view.x, view.x]).requires_grad_())


def test_misclassified_neighbours_count_in_the_end():
    class Corner(nn.Module):
        def forward(self, x):
            bright = x.flatten(1)[:, :2].amax(dim=1) - 0.25
            return torch.stack([-bright, bright], dim=1)

    target = Target(Corner(), torch.zeros(2, 1, 28, 28), torch.zeros(2, dtype=torch.int64), "linf")
    target.x[1, 0, 0, 1] = 0.2
    view = EstimatingTarget(target, 0.3)
    with view.only(torch.tensor([1])):
        leaf = view.active[0].clone().requires_grad_()
        view(leaf).sum().backward()
    assert target.best_distance.isinf().all()
    view.offer_neighbours()
    assert target.best_distance.tolist() == [torch.inf, pytest.approx(0.3)]
    assert distance(target.x, target.best, "l0").tolist() == [0, 1]


@pytest.mark.parametrize(("exact", "by_estimate", "options", "norm", "model"), PAIRS, ids=IDS)
def test_attack_by_estimates_does_on_a_linear_model_what_the_exact_one_does(
    exact, by_estimate, options, norm, model
):
    target, expected = target_of(model(), norm), target_of(model(), norm)
    exact(norm, **options)(expected, draws())
    by_estimate(norm, differences=[0.1], **options)(target, draws())
    assert (target.model(target.best).argmax(dim=1) != target.y).all()
    optimum = smallest(target.model, target.x, target.y, norm)
    assert (target.best_distance >= optimum * (1 - 1e-4)).all()
    torch.testing.assert_close(target.best_distance, expected.best_distance, rtol=2e-3, atol=0)
    assert target.gradients.tolist() == [0] * 5


@pytest.mark.parametrize(("attack", "options", "norm"), BY_ESTIMATE, ids=IDS)
def test_every_neighbour_is_counted(attack, options, norm):
    target = target_of(two_class(), norm)
    with target.only(torch.tensor([1])):
        attack(norm, **options)(target, draws())
    at_edges = (
        target.queries.sum() - target.model.asked
    )  # neighbours that are the point itself, asked for once
    assert 0 <= at_edges < NEIGHBOURS
    assert target.queries[[0, 2, 3, 4]].sum() == 0


@pytest.mark.parametrize(("attack", "options", "norm"), BY_ESTIMATE, ids=IDS)
def test_model_is_never_asked_for_a_gradient(attack, options, norm):
    x, y = images(two_class())
    target = Target(Refusing(), x, y, norm)
    attack(norm, **options)(target, draws())
    assert target.best_distance.isfinite().all()


@pytest.mark.parametrize(
    ("exact", "by_estimate", "norm", "options"),
    [
        (fgm, fgm_ge, "l2", {}),
        (fgsm, fgsm_ge, "linf", {}),
        (deepfool, deepfool_ge, "l2", dict(steps=5)),
        (bim, bim_ge, "linf", dict(steps=5, step_sizes=(0.3,), bisections=6)),
    ],
)
@pytest.mark.parametrize("factor", [0.0, -1.0], ids=["zero", "reversed"])
def test_estimates_succeed_where_exact_gradients_are_masked(exact, by_estimate, norm, options, factor):
    model = Masked(factor)
    x, y = images(model.inner)
    misled, seeing = Target(model, x, y, norm), Target(model, x, y, norm)
    exact(norm, **options)(misled, draws())
    by_estimate(norm, **options)(seeing, draws())
    optimum = smallest(model.inner, x, y, norm)
    assert (misled.best_distance > 1.5 * optimum).all()
    assert (seeing.best_distance < 1.05 * optimum).all()


@pytest.mark.parametrize(("difference", "found"), [(0.1, False), (0.6, True)])
def test_a_threshold_is_seen_by_differences_that_cross_it(difference, found):
    target = target_of(Stepwise(connected=False), "linf")
    fgsm_ge("linf", differences=[difference])(target, draws())
    assert target.best_distance.isfinite().tolist() == [found] * 5


def test_the_best_difference_counts_for_each_image():
    def run(differences):
        target = target_of(Stepwise(connected=False), "linf")
        fgsm_ge("linf", differences=differences)(target, draws())
        return target.best_distance, target.queries

    (small, _), (large, cost), (both, cost_of_both) = run([0.1]), run([0.6]), run([0.1, 0.6])
    assert torch.equal(both, torch.minimum(small, large))
    assert (cost_of_both > cost + NEIGHBOURS).all()


@pytest.mark.parametrize("attack", [fgm_ge, deepfool_ge])
def test_model_that_never_errs_is_not_fooled(attack):
    target = target_of(never_errs(), "l2")
    attack("l2", differences=[0.1], **({"steps": 2} if attack is deepfool_ge else {}))(target, draws())
    assert target.best_distance.isinf().all()


def test_other_norms_are_refused():
    with pytest.raises(InputError, match="norm 'l0'"):
        fgm_ge("l0", differences=[0.1])


class Remembering(nn.Module):
    """Stands in for ABS: its latents are means of images; it says from where each inference started."""

    def __init__(self):
        super().__init__()
        self.cold, self.started = 0, []

    def preprocess(self, x):
        return x.flatten(1)

    def start_session(self, images, labels):
        return WarmStartSession(self, images, labels)

    def infer(self, x, without=None, **_):
        self.cold += len(x)
        means = x.flatten(1).mean(dim=1).view(-1, 1, 1)
        return Inferred(means, x.new_zeros(len(x), 1, 784))

    def infer_near(self, x, start, without=None, **_):
        self.started.append(start.latents.flatten())
        means = x.flatten(1).mean(dim=1).view(-1, 1, 1)
        return Inferred(means, start.images)

    def logits_at(self, x, inferred):
        mean = inferred.latents.flatten()
        return torch.stack([mean, -mean], dim=1)


def test_neighbours_are_inferred_from_the_latents_of_their_middle():
    model = Remembering()
    x = torch.stack([torch.full((1, 28, 28), value) for value in (0.2, 0.4, 0.7)])
    view = EstimatingTarget(Target(model, x, torch.zeros(3, dtype=torch.int64), "l2"), 0.1)
    with view.only(torch.tensor([0, 2])):
        leaf = x[[0, 2]].requires_grad_()
        logits = view(leaf)
        view(torch.rand(2, 1, 28, 28))  # another query in between changes nothing
        model.started.clear()
        derivatives = jacobian(logits, leaf)
    torch.testing.assert_close(derivatives[:, 0], torch.full((2, 784), 1 / 784), atol=1e-5, rtol=0)
    started = torch.cat(model.started)
    torch.testing.assert_close(started, torch.tensor([0.2, 0.7]).repeat_interleave(NEIGHBOURS))
    assert model.cold == 3 + 4  # the clean images first of all


@pytest.mark.published
@pytest.mark.mnist
@pytest.mark.slow
def test_warm_estimates_agree_with_the_reference_inference(published, mnist_test):
    """Near the boundary, at the pixels that matter most and some others; every neighbour from a cold start."""
    model = ABS([load_vae(published / f"ABS_{label}.net") for label in range(10)])
    x, y = (part[:2] for part in mnist_test)
    reference, target = model.with_inference("reference"), Target(model, x, y, "l2")
    fgm("l2", per_doubling=2)(target, draws())
    near = torch.lerp(x, target.best, 0.9)
    for step in (0.1, 0.6):
        view = EstimatingTarget(target, step)
        leaf = near.clone().requires_grad_()
        logits = view(leaf)
        rival = logits.detach().scatter(1, y[:, None], -torch.inf).argmax(dim=1)
        derivatives = jacobian(logits, leaf)
        for i in range(len(x)):
            slope = derivatives[i, rival[i]] - derivatives[i, y[i]]  # of the margin, (784,)
            pixels = torch.cat([slope.abs().topk(5).indices, torch.tensor([200, 400, 600])])
            change = step * nn.functional.one_hot(pixels, 784).view(-1, 1, 28, 28)
            up, down = (near[i] + change).clamp(0, 1), (near[i] - change).clamp(0, 1)
            with torch.no_grad():
                rise = reference(up) - reference(down)
            by_reference = (rise[:, rival[i]] - rise[:, y[i]]) / (up - down).flatten(1).sum(dim=1)
            assert (slope[pixels] - by_reference).abs().max() < 0.05 * slope.abs().max()


def load_vae(path) -> VAE:
    vae = VAE()
    load_weights(path, vae)
    return vae
