"""The real torchattacks, adv-lib and ART on linear models: versions that were tested, and their traps.

Skipped where a library is not installed: pip install 'absynth[peers]'.
"""

import dataclasses
import importlib
import inspect
from importlib.metadata import PackageNotFoundError, version

import pytest
import torch
from linear_models import draws, smallest, target_of, ten_class, two_class

from absynth.attacks.foreign.build import ADAPTERS, library_attack
from absynth.attacks.foreign.library import import_library
from absynth.attacks.outside import LIBRARIES
from absynth.errors import InputError

pytestmark = pytest.mark.peers
TESTED = {"torchattacks": "3.5.1", "adv_lib": "0.2.8", "art": "1.20.1"}


def needs(path):
    package = path.split(".")[0]
    try:
        found = version(LIBRARIES[package])
        import_library(package, ADAPTERS[package][0].folder)
    except (PackageNotFoundError, InputError) as error:
        pytest.skip(f"{LIBRARIES[package]} {TESTED[package]} cannot be used here: {error}")
    if found != TESTED[package]:
        pytest.skip(f"{LIBRARIES[package]} {found}; the tests are for {TESTED[package]}")


def run(path, norm, model=None, **options):
    needs(path)
    target = target_of(model or two_class(), norm)
    kind = "function_path" if path.startswith("adv_lib") else "class_path"
    library_attack(norm, **{kind: path}, **options)(target, draws())
    return target, None if norm == "l0" else smallest(target.model, target.x, target.y, norm)


NEAR = [  # path, norm, options, by how much it may miss the optimum
    ("torchattacks.PGDL2", "l2", {"arguments": {"steps": 20}}, 0.05),
    ("torchattacks.PGD", "linf", {"arguments": {"steps": 20}}, 0.05),
    ("torchattacks.DeepFool", "l2", {}, 0.03),
    ("torchattacks.FAB", "l2", {}, 0.02),
    ("torchattacks.FAB", "linf", {}, 0.02),
    ("torchattacks.CW", "l2", {"arguments": {"c": 10, "steps": 200, "lr": 0.01}}, 1.0),
    ("adv_lib.attacks.ddn", "l2", {}, 0.05),
    ("adv_lib.attacks.fmn", "linf", {"arguments": {"steps": 100}}, 0.1),
    ("adv_lib.attacks.fab", "l2", {}, 0.02),
    ("adv_lib.attacks.pgd_linf", "linf", {}, 0.25),
    ("art.attacks.evasion.DeepFool", "l2", {}, 0.03),
    ("art.attacks.evasion.FastGradientMethod", "l2", {}, 0.03),
    ("art.attacks.evasion.ProjectedGradientDescent", "linf", {"arguments": {"max_iter": 20}}, 0.05),
]


@pytest.mark.parametrize(("path", "norm", "options", "excess"), NEAR)
def test_an_attack_comes_near_the_optimum(path, norm, options, excess):
    target, optimum = run(path, norm, **options)
    assert (target.best_distance >= optimum * (1 - 1e-4)).all()
    assert (target.best_distance <= optimum * (1 + excess)).all()


@pytest.mark.parametrize("path", ["art.attacks.evasion.HopSkipJump", "art.attacks.evasion.BoundaryAttack"])
def test_decision_attacks_of_art_that_ask_in_float64_run(path):
    target, optimum = run(path, "l2", arguments={"max_iter": 5})
    assert (target.best_distance >= optimum * (1 - 1e-4)).all()
    assert target.best_distance.isfinite().all()
    assert not target.gradients.any()


def test_the_carlini_wagner_of_torchattacks_moves_black_and_white_pixels():
    needs("torchattacks.CW")
    target = target_of(two_class(), "l2")
    target.x.copy_((target.x > 0.5).float())
    target.y.copy_(target.model(target.x).argmax(dim=1))
    arguments = {"c": 10, "steps": 200, "lr": 0.1}
    library_attack("l2", class_path="torchattacks.CW", arguments=arguments)(target, draws())
    assert target.best_distance.isfinite().all()


def test_the_carlini_wagner_of_torchattacks_needs_no_positive_logits():
    needs("torchattacks.CW")
    distances = []
    for shift in (0, -100):
        target = target_of(ten_class(), "l2")
        with torch.no_grad():
            target.model.bias.add_(shift)
        arguments = {"c": 10, "steps": 200, "lr": 0.01}
        library_attack("l2", class_path="torchattacks.CW", arguments=arguments)(target, draws())
        distances.append(target.best_distance)
    assert distances[1].isfinite().all()
    torch.testing.assert_close(*distances, rtol=0.01, atol=0)


def test_the_deepfool_of_torchattacks_is_not_left_at_the_boundary_where_it_clips():
    needs("torchattacks.DeepFool")
    arguments = {"overshoot": 0.0}
    attack = library_attack("l2", class_path="torchattacks.DeepFool", arguments=arguments)
    for push, stalled in ((False, True), (True, False)):
        target = target_of(ten_class(), "l2")
        target.x.copy_((target.x > 0.5).float())
        target.y.copy_(target.model(target.x).argmax(dim=1))
        dataclasses.replace(attack, push=push)(target, draws())
        assert target.best_distance.isinf().any().item() is stalled


def test_every_known_attack_is_there_with_the_arguments_that_are_set():
    for package, (catalogue, _) in ADAPTERS.items():
        needs(package)
        module = importlib.import_module(catalogue.folder)
        for name, known in catalogue.known.items():
            assert hasattr(module, name)
            for norm in known.norms:
                catalogue.arguments(f"{catalogue.folder}.{name}", norm, {}, {})


def test_epsilon_is_an_argument_of_every_attack_that_is_given_it():
    for package, (catalogue, _) in ADAPTERS.items():
        needs(package)
        for name, known in catalogue.known.items():
            found, _ = catalogue.find(f"{catalogue.folder}.{name}", known.norms[0])
            assert known.epsilon is None or known.epsilon in inspect.signature(found).parameters


def test_the_global_generator_is_left_alone_by_an_attack_that_seeds_it():
    needs("torchattacks.APGD")
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    run("torchattacks.APGD", "l2", bisections=0, doublings=1, arguments={"steps": 2})
    assert torch.equal(torch.rand(2), expected)
