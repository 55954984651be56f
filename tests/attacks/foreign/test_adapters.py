"""Attacks of torchattacks, adv-lib and ART, on stand-ins: what they are given, what counts, what is refused."""

import math
import re
import sys

import pytest
import torch
from foreign_libraries import Bypass
from linear_models import N, draws, smallest, target_of, ten_class, two_class

from absynth.attacks.foreign.build import ADAPTERS, check_library, library_attack
from absynth.errors import InputError


def run(path, norm="l2", model=None, **options):
    target = target_of(model or two_class(), norm)
    kind = "function_path" if path.startswith("adv_lib") else "class_path"
    library_attack(norm, **{kind: path}, **options)(target, draws())
    return target, None if norm == "l0" else smallest(target.model, target.x, target.y, norm)


def test_epsilon_is_searched_and_the_step_keeps_its_ratio(stand_ins, capsys):
    target, optimum = run("torchattacks.PGDL2", arguments={"steps": 8}, bisections=10)
    torch.testing.assert_close(target.best_distance, optimum, rtol=1e-2, atol=0)
    assert len({call["eps"] for call in stand_ins}) > 5
    assert all(math.isclose(call["alpha"], 0.2 * call["eps"]) for call in stand_ins)
    assert {call["steps"] for call in stand_ins} == {8}
    assert capsys.readouterr().out == ""


def test_a_step_may_be_given_in_multiples_of_epsilon_or_as_it_is(stand_ins):
    run("torchattacks.PGDL2", relative={"alpha": 0.5}, bisections=1)
    assert all(call["alpha"] == 0.5 * call["eps"] for call in stand_ins)
    stand_ins.clear()
    run("torchattacks.PGDL2", arguments={"alpha": 0.01}, bisections=1)
    assert {call["alpha"] for call in stand_ins} == {0.01}


def test_classes_norm_and_seed_are_those_of_the_run(stand_ins):
    target, _ = run("torchattacks.APGDT", model=ten_class(), bisections=1)
    assert {(call["norm"], call["n_classes"]) for call in stand_ins} == {("L2", 10)}
    assert len({call["seed"] for call in stand_ins}) > 1, "the same random numbers at every ε"
    assert target.best_distance.isfinite().any()


def test_a_deepfool_that_stops_at_the_boundary_is_pushed_across(stand_ins):
    target, optimum = run("torchattacks.DeepFool")
    assert len(stand_ins) == N, "one image at a time"
    torch.testing.assert_close(target.best_distance, optimum, rtol=2e-3, atol=0)


def test_an_attack_that_cannot_move_black_or_white_is_handed_nearly_black_and_white(stand_ins):
    target = target_of(two_class(), "l2")
    target.x.copy_(target.x.round())
    library_attack("l2", class_path="torchattacks.CW")(target, draws())
    seen = stand_ins[0]["images"]
    assert seen.min() > 0
    assert seen.max() < 1
    torch.testing.assert_close(seen, target.x, rtol=0, atol=2e-3)
    assert set(target.x.unique().tolist()) == {0, 1}


def test_adv_lib_is_untargeted_and_without_grey_levels(stand_ins):
    target, optimum = run("adv_lib.attacks.ddn", arguments={"steps": 7})
    assert stand_ins == [{"targeted": False, "steps": 7, "levels": None}]
    torch.testing.assert_close(target.best_distance, optimum, rtol=2e-3, atol=0)
    run("adv_lib.attacks.fmn", "linf")
    run("adv_lib.attacks.fmn", "l0")
    assert [call["norm"] for call in stand_ins[1:]] == [math.inf, 0]


def test_art_is_untargeted_silent_and_may_ask_in_float64(stand_ins):
    target, _ = run("art.attacks.evasion.HopSkipJump", "linf", arguments={"max_iter": 3})
    assert {call["targeted"] for call in stand_ins if "targeted" in call} == {False}
    assert {(call["norm"], call["batch_size"]) for call in stand_ins if "norm" in call} == {(math.inf, 1)}
    assert {(call["shape"], call["classes"]) for call in stand_ins if "shape" in call} == {((1, 28, 28), 10)}
    assert target.best_distance.isfinite().all()


def test_an_attack_that_bypasses_the_model_is_refused(stand_ins, monkeypatch):
    monkeypatch.setattr(sys.modules["torchattacks"], "PGDL2", Bypass)
    with pytest.raises(InputError, match=r"^torchattacks.PGDL2: asked the model nothing"):
        run("torchattacks.PGDL2")


def test_what_a_library_raises_is_told_in_one_line(stand_ins, monkeypatch):
    def broken(model, inputs, labels, targeted=False, callback=None):
        model(inputs)
        raise TypeError("only 0-dimensional arrays can be converted")

    monkeypatch.setattr(sys.modules["adv_lib.attacks"], "ddn", broken)
    with pytest.raises(
        InputError, match=r"^adv_lib.attacks.ddn: fails \(TypeError: only 0-dim.*, test_adapters.py"
    ):
        run("adv_lib.attacks.ddn")


REFUSED = [
    ("torchattacks.VANILA", "l2", {}, {}, "VANILA: asks the model nothing"),
    ("torchattacks.GN", "linf", {}, {}, "GN: asks the model nothing"),
    ("torchattacks.JSMA", "l0", {}, {}, r"JSMA: aims at the class \(label \+ 1\) mod 10"),
    ("torchattacks.LGV", "linf", {}, {}, "LGV: trains models of its own"),
    ("torchattacks.MultiAttack", "linf", {}, {}, "MultiAttack: is made of other attacks"),
    ("torchattacks.EADL1", "l2", {}, {}, "EADL1: minimises L1"),
    (
        "torchattacks.PGDL3",
        "l2",
        {},
        {},
        "PGDL3: no attack that the adapter of torchattacks knows; allowed are APGD, ",
    ),
    ("torchattacks.PGDL2", "linf", {}, {}, "PGDL2: does not minimise the norm 'linf'; allowed are l2"),
    ("torchattacks.PGDRSL2", "l2", {}, {}, "PGDRSL2: not in torchattacks of torchattacks "),
    ("torchattacks.PGDL2", "l2", {"eps": 1}, {}, "argument 'eps' is ε, which is searched"),
    (
        "torchattacks.PGDL2",
        "l2",
        {"stepz": 1},
        {},
        "unknown argument 'stepz'; allowed are alpha, steps, random_start",
    ),
    ("torchattacks.PGDL2", "l2", {"model": 1}, {}, "unknown argument 'model'"),
    ("torchattacks.APGDT", "l2", {"norm": "Linf"}, {}, "unknown argument 'norm'"),
    ("torchattacks.PGDL2", "l2", {"alpha": 1}, {"alpha": 1}, "alpha stands in both arguments and relative"),
    ("torchattacks.DeepFool", "l2", {}, {"overshoot": 1}, "has no ε that overshoot could be relative to"),
    ("adv_lib.attacks.fmn", "l2", {}, {}, "fmn in l2: scales perturbations to ε .*use adv_lib.attacks.ddn"),
    ("adv_lib.attacks.perc_al", "l2", {}, {}, "perc_al: minimises none of the norms"),
    ("adv_lib.attacks.ddn", "l2", {"targeted": True}, {}, "unknown argument 'targeted'"),
    ("art.attacks.evasion.ElasticNet", "l2", {}, {}, "ElasticNet: minimises L1"),
    ("art.attacks.evasion.UniversalPerturbation", "l2", {}, {}, "one perturbation of all images"),
    (
        "secmlt.adv.evasion.MinDistanceEnsemble",
        "l2",
        {},
        {},
        "there are adapters of torchattacks, adv_lib, art only",
    ),
]


@pytest.mark.parametrize(("path", "norm", "arguments", "relative", "message"), REFUSED)
def test_refused(stand_ins, path, norm, arguments, relative, message):
    with pytest.raises(InputError, match=message):
        check_library(path, arguments, relative, norm)
    with pytest.raises(InputError, match=message):
        library_attack(norm, class_path=path, arguments=arguments, relative=relative)


@pytest.mark.parametrize(
    ("path", "extra"),
    [
        (
            "torchattacks.PGDL2",
            "torchattacks is not installed; install it by `pip install '.[torchattacks]'`",
        ),
        ("adv_lib.attacks.ddn", "adv-lib is not installed; install it by `pip install '.[adv-lib]'`"),
        (
            "art.attacks.evasion.DeepFool",
            "adversarial-robustness-toolbox is not installed; install it by `pip install '.[art]'`",
        ),
    ],
)
def test_a_missing_library_is_named_with_what_to_install(monkeypatch, path, extra):
    for name in [name for name in sys.modules if name.split(".")[0] == path.split(".")[0]]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, path.split(".")[0], None)  # as where it is not installed
    with pytest.raises(InputError, match=rf"^{re.escape(extra)}$"):
        check_library(path, {}, {}, "l2")


def test_catalogues_know_norms_of_this_project_alone():
    for catalogue, _ in ADAPTERS.values():
        assert catalogue.known.keys().isdisjoint(catalogue.refused)
        for known in catalogue.known.values():
            assert {"l2", "linf", "l0"}.issuperset(known.norms)
            assert known.norms
