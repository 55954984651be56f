"""Any Foolbox attack on a Target: what is refused, what is kept, and what one image may do to another."""

import logging
import warnings

import numpy as np
import pytest
import torch
from foolbox.attacks.base import MinimizationAttack
from foolbox.distances import l2
from linear_models import N, draws, smallest, target_of, ten_class, two_class
from torch.nn import functional

import foolbox_classes
from absynth.attacks.foolbox.bridge import FoolboxMinimization, check_foolbox, foolbox_attack
from absynth.attacks.foolbox.view import CLEAN_MARGIN, FoolboxView
from absynth.errors import InputError

REFUSED = [  # class, arguments, norm, what the message names
    ("foolbox.attacks.DNNAttack", {}, "l2", "foolbox.attacks.DNNAttack: no such class"),
    ("foolbax.attacks.DDNAttack", {}, "l2", "foolbax.attacks.DDNAttack: no such class"),
    ("DDNAttack", {}, "l2", "DDNAttack: no such class"),
    ("", {}, "l2", "no such class"),
    ("foolbox.attacks.base.MinimizationAttack", {}, "l2", "a base class"),
    ("foolbox.attacks.SpatialAttack", {}, "l2", "SpatialAttack: not a Foolbox attack"),
    ("torch.nn.Linear", {}, "l2", "Linear: not a Foolbox attack"),
    ("foolbox.attacks.DDNAttack", {"step": 3}, "l2", "unknown argument 'step'; .*steps"),
    ("foolbox.attacks.GaussianBlurAttack", {"distance": "l2"}, "l2", "unknown argument 'distance'"),
    ("foolbox.attacks.VirtualAdversarialAttack", {}, "l2", "argument 'steps' is missing"),
    ("foolbox.attacks.LinearSearchBlendedUniformNoiseAttack", {"directions": 0}, "l2", "directions"),
    ("foolbox.attacks.DDNAttack", {}, "linf", "DDNAttack: minimises the L2 distance, .*'linf'"),
    ("foolbox.attacks.EADAttack", {}, "l2", "EADAttack: minimises the L1 distance, .*'l2'"),
    ("foolbox.attacks.HopSkipJumpAttack", {"constraint": "linf"}, "l2", "minimises the Linf distance"),
    ("foolbox.attacks.DDNAttack", {}, "l1", "norm 'l1'; l0, l2, linf"),
    ("foolbox.attacks.DatasetAttack", {}, "l2", "DatasetAttack: would never ask the model: .* `feed`"),
    ("foolbox.attacks.GenAttack", {}, "linf", "GenAttack: would never ask the model: .* target class"),
    (
        "foolbox.attacks.BinarizationRefinementAttack",
        {},
        "l0",
        "would never ask the model: .* another attack",
    ),
]
ACCEPTED = [
    ("foolbox.attacks.DDNAttack", {"steps": 5}, "l2"),
    ("foolbox.attacks.HopSkipJumpAttack", {"constraint": "linf"}, "linf"),
    ("foolbox.attacks.LinearSearchContrastReductionAttack", {"steps": 5}, "linf"),
    ("foolbox.attacks.L2RepeatedAdditiveGaussianNoiseAttack", {"repeats": 2}, "l2"),
    ("foolbox.attacks.L0BrendelBethgeAttack", {}, "l0"),
]


@pytest.mark.parametrize(("class_path", "arguments", "norm", "message"), REFUSED)
def test_refused(class_path, arguments, norm, message):
    with pytest.raises(InputError, match=message):
        check_foolbox(class_path, arguments, norm)
    with pytest.raises(InputError, match=message):
        foolbox_attack(norm, class_path=class_path, arguments=arguments)


@pytest.mark.parametrize(("class_path", "arguments", "norm"), ACCEPTED)
def test_accepted(class_path, arguments, norm):
    assert type(check_foolbox(class_path, arguments, norm)).__name__ == class_path.rpartition(".")[2]


@pytest.mark.parametrize(
    ("class_path", "arguments", "norm"),
    [
        ("foolbox.attacks.L2DeepFoolAttack", {}, "l2"),
        ("foolbox.attacks.LinfFastGradientAttack", {}, "linf"),
        ("foolbox.attacks.L2PGD", {"steps": 20, "rel_stepsize": 0.1, "random_start": False}, "l2"),
        ("foolbox.attacks.LinfPGD", {"steps": 20, "rel_stepsize": 0.1}, "linf"),
    ],
)
def test_attack_by_import_path_comes_near_the_optimum(class_path, arguments, norm):
    target = target_of(two_class(), norm)
    attack = foolbox_attack(norm, class_path=class_path, arguments=arguments, bisections=7, refine_steps=8)
    attack(target, draws())
    optimum = smallest(target.model, target.x, target.y, norm)
    assert (target.best_distance >= optimum * (1 - 1e-4)).all()
    assert (target.best_distance <= optimum * 1.05).all()


def test_random_attacks_repeat_themselves_and_leave_the_generators_alone():
    def run(seed):
        target = target_of(ten_class(), "l2")
        path = "foolbox.attacks.L2RepeatedAdditiveGaussianNoiseAttack"
        attack = foolbox_attack("l2", class_path=path, arguments={"repeats": 2}, doublings=1, bisections=2)
        attack(target, draws(seed))
        assert target.best_distance.isfinite().any()
        return target.best

    torch.manual_seed(5)
    np.random.seed(5)
    first = run(0)
    after = torch.rand(1), np.random.rand()
    torch.manual_seed(5)
    np.random.seed(5)
    assert (torch.rand(1), np.random.rand()) == after
    assert torch.equal(run(0), first)
    assert not torch.equal(run(1), first)


class Scripted(MinimizationAttack):
    """Asks what it is told to; refuses a batch with an image brighter than the limit in its first pixel."""

    distance = l2

    def __init__(self, query, brightest=1.0, refusal=None):
        self.query, self.brightest = query, brightest
        self.refusal = refusal or ValueError("too bright")

    def run(self, model, inputs, criterion, *, early_stop=None):
        if (inputs[:, 0, 0, 0] > self.brightest).any():
            raise self.refusal
        warnings.warn("compiling", stacklevel=1)  # fatal unless silenced
        model(self.query(inputs))
        return self.query(inputs)


@pytest.mark.parametrize(("refusal", "told"), [(None, "too bright"), (AssertionError(), "AssertionError")])
def test_one_image_refused_does_not_harm_the_others(caplog, refusal, told):
    target = target_of(two_class(), "l2")
    brightness = target.x[:, 0, 0, 0]
    attack = Scripted(lambda x: 1 - x, brightest=brightness.sort().values[-2].item(), refusal=refusal)
    with caplog.at_level(logging.WARNING, logger="absynth"):
        logging.getLogger("absynth").propagate = True
        FoolboxMinimization(attack, refine_steps=0)(target, draws())
    assert target.best_distance.isinf().tolist() == (brightness == brightness.max()).tolist()
    assert f"image {brightness.argmax().item()} of the batch left out: {told}" in caplog.text


def test_errors_that_are_no_refusals_are_raised():
    target = target_of(two_class(), "l2")
    with pytest.raises(TypeError):
        FoolboxMinimization(Scripted(lambda x: x + None), refine_steps=0)(target, draws())


def test_queries_are_kept_in_the_box():
    target, asked = target_of(two_class(), "l2"), []
    target.model.register_forward_pre_hook(lambda module, inputs: asked.append(inputs[0]))
    FoolboxMinimization(Scripted(lambda x: 0.5 - 20 * (x - 0.5)), refine_steps=0)(target, draws())
    assert [(images.min(), images.max()) for images in asked] == [(0, 1)] * 2


def test_an_image_lost_to_nan_does_not_harm_the_others():
    target = target_of(two_class(), "l2")
    lost = target.x[2].clone()

    def query(x):
        same = (x == lost).flatten(1).all(dim=1)[:, None, None, None]
        return torch.where(same, torch.nan, 1 - x)

    FoolboxMinimization(Scripted(query), refine_steps=3)(target, draws())
    assert target.best_distance.isinf().tolist() == [i == 2 for i in range(N)]


def test_l0_does_not_count_rounding():
    target = target_of(two_class(), "l0")

    def query(x):
        changed = torch.arange(28)[:, None] < 26
        return torch.where(changed, (x < 0.5).to(x.dtype), x + 1e-7)

    FoolboxMinimization(Scripted(query), refine_steps=0)(target, draws())
    assert target.best_distance.tolist() == [26 * 28] * N


def test_forward_passes_are_shared_between_gradients_at_the_same_images():
    target = target_of(ten_class(), "l2")
    view = FoolboxView(target)
    gradients = []
    for c in range(3):
        x = target.x.clone().requires_grad_()
        view(x)[:, c].sum().backward()
        gradients.append(functional.normalize(x.grad[0].flatten(), dim=0))
    torch.testing.assert_close(torch.stack(gradients), functional.normalize(target.model.weight[:3].detach()))
    assert target.queries.tolist() == [1] * N
    assert target.gradients.tolist() == [3] * N
    assert target.model.weight.grad is None
    moved = (target.x + 0.01).requires_grad_()
    assert not torch.equal(view(moved), view(target.x.clone().requires_grad_()))


@pytest.mark.parametrize("shift", [0, 0.01])
def test_logits_are_scaled_to_the_clean_margin(shift):
    target = target_of(ten_class(), "l2")
    view = FoolboxView(target)
    logits = view((target.x + shift).requires_grad_())
    assert target.queries.tolist() == [2 if shift else 1] * N  # the clean image, unless that is asked anyway
    with torch.no_grad():
        top = target.model(target.x).sort(dim=1).values
        expected = target.model(target.x + shift) * (CLEAN_MARGIN / (top[:, -1:] - top[:, -2:-1]))
    torch.testing.assert_close(logits.detach(), expected)


def test_logits_have_one_scale_with_and_without_gradients():
    """Virtual adversarial training compares the two: with two scales Foolbox's attack follows their difference."""
    target = target_of(ten_class(), "l2")
    view = FoolboxView(target)
    with torch.no_grad():
        clean = view(target.x)
        moved = view(target.x + 0.01)
    assert target.queries.tolist() == [2] * N  # no query for the scale
    torch.testing.assert_close(view(target.x.clone().requires_grad_()).detach(), clean)
    torch.testing.assert_close(view((target.x + 0.01).requires_grad_()).detach(), moved)


def test_gradients_pass_where_queries_leave_the_box():
    target = target_of(ten_class(), "l2")
    x = (target.x + 2).requires_grad_()
    FoolboxView(target)(x)[:, 4].sum().backward()
    gradient = functional.normalize(x.grad.flatten(1))
    torch.testing.assert_close(gradient, functional.normalize(target.model.weight[[4] * N].detach()))


def test_attacks_that_do_not_end_are_stopped():
    target = target_of(two_class(), "l2")
    view = FoolboxView(target, max_calls=2)
    view(target.x)
    view(target.x)
    with pytest.raises(ValueError, match="does not end"):
        view(target.x)


def test_no_active_images():
    target = target_of(two_class(), "l2")
    attack = foolbox_attack(
        "l2", class_path="foolbox.attacks.L2FastGradientAttack", arguments={}, refine_steps=3
    )
    with target.only(torch.zeros(N, dtype=torch.bool)):
        attack(target, draws())
    assert target.queries.sum() == 0


@pytest.mark.parametrize(
    ("class_path", "arguments"), [*foolbox_classes.every_class().items()], ids=lambda value: str(value)[16:]
)
def test_every_class_of_foolbox_does_what_the_documentation_says(class_path, arguments):
    """None ends in a row of infinite distances that no query stands behind."""
    found = foolbox_classes.outcome(class_path, arguments)
    assert found.found is None or found.queries > 0
    assert found.norms or found.reasons
    assert foolbox_classes.row(class_path, found) == foolbox_classes.rows_on_page()[class_path]


def test_the_documentation_names_the_classes_that_there_are():
    assert foolbox_classes.rows_on_page().keys() == foolbox_classes.every_class().keys()


class Silent(MinimizationAttack):
    """Raises before it asks anything, as Foolbox's DatasetAttack does; a class that no list here names."""

    distance = l2

    def run(self, model, inputs, criterion, *, early_stop=None):
        raise ValueError("not fed")


def test_an_attack_that_asked_nothing_is_an_error():
    target = target_of(two_class(), "l2")
    with pytest.raises(InputError, match=f"Silent: asked the model nothing on any of {N} images"):
        FoolboxMinimization(Silent(), refine_steps=3)(target, draws())
    with target.only(torch.zeros(N, dtype=torch.bool)):
        FoolboxMinimization(Silent(), refine_steps=3)(target, draws())
