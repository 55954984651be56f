"""Names become folders and files, labels rows and columns of tables: none is too long or stands for two things."""

import pytest
from configs import OWN, plan

from absynth.errors import InputError

NEWTON = {"class": "foolbox.attacks.NewtonFoolAttack", "norms": ["l2"]}


@pytest.mark.parametrize("run", ["x" * 65, "x" * 260])
def test_a_run_s_name_that_is_too_long_is_refused_with_the_length_allowed(run):
    with pytest.raises(InputError, match=rf"run: found {len(run)} characters .*, allowed are 64 or fewer"):
        plan(run=run)
    plan(run="x" * 64)


@pytest.mark.parametrize("run", ["", ".", "..", "a/b", "a b", "-x", "~", "a\n", "é", "a\\b", "../x", "$HOME"])
def test_a_run_s_name_that_is_no_plain_name_is_refused(run):
    with pytest.raises(InputError, match=r"config key run: found .*allowed is such as my_run"):
        plan(run=run)


@pytest.mark.parametrize("key", ["models", "attacks"])
def test_other_names_that_are_too_long_are_refused(key):
    entry = {"models": OWN, "attacks": NEWTON}[key]
    with pytest.raises(
        InputError, match=rf"config key {key}: found 65 characters .*, allowed are 64 or fewer"
    ):
        plan(**{key: {"x" * 65: entry}})
    with pytest.raises(InputError, match=rf"config key {key}: found 'x\\n'"):
        plan(**{key: {"x\n": entry}})


@pytest.mark.parametrize(
    ("models", "both"),
    [
        (
            {"one": {**OWN, "label": "Mine"}, "two": {**OWN, "label": "Mine"}},
            ("models.two.label", "models.one"),
        ),
        (
            {"one": {**OWN, "label": "Mine"}, "two": {**OWN, "label": "  mine "}},
            ("models.two.label", "models.one"),
        ),
        ({"mine": {**OWN, "label": "CNN"}}, ("models.mine.label", "models.cnn")),
        ({"mine": {**OWN, "label": "Ｍadry"}}, ("models.mine.label", "models.madry")),
        ({"mine": {**OWN, "label": "binary_abs"}}, ("models.mine.label", "models.binary_abs")),
        ({"second": {"kind": "cnn", "label": "CNN"}}, ("models.second.label", "models.cnn")),
        ({"mine": {**OWN, "label": "norm"}}, ("models.mine.label", "the tables' own 'norm'")),
    ],
)
def test_two_models_with_one_label_are_refused_and_both_named(models, both):
    with pytest.raises(InputError) as refused:
        plan(models=models)
    assert all(name in str(refused.value) for name in both)
    assert "allowed is a label that no other has" in str(refused.value)


def test_a_model_of_a_known_kind_under_another_name_is_titled_by_its_name():
    assert plan(models={"second": {"kind": "cnn"}}).labels["second"] == "second"
    assert plan().labels["cnn"] == "CNN"


def test_a_label_may_be_that_of_a_model_left_out_or_the_model_s_own_name():
    plan(models={"mine": {**OWN, "label": "mine"}, "second": {"kind": "cnn"}, "cnn": None})


@pytest.mark.parametrize(
    ("attacks", "both"),
    [
        ({"newton": {**NEWTON, "label": "DDN"}}, ("attacks.newton.label", "attacks.ddn")),
        (
            {"one": {**NEWTON, "label": "N"}, "two": {**NEWTON, "label": "n"}},
            ("attacks.two.label", "attacks.one"),
        ),
        ({"newton": {**NEWTON, "label": "All L2 attacks"}}, ("attacks.newton.label", "the tables' own")),
        ({"all": NEWTON}, ("attacks.all", "the tables' own 'all'")),
    ],
)
def test_two_attacks_with_one_label_are_refused_and_both_named(attacks, both):
    with pytest.raises(InputError) as refused:
        plan(attacks=attacks)
    assert all(name in str(refused.value) for name in both)


def test_attacks_in_different_norms_may_share_a_label():
    other = {"class": "foolbox.attacks.LinfPGD", "norms": ["linf"]}
    plan(attacks={"one": {**NEWTON, "label": "N"}, "two": {**other, "label": "N"}})


@pytest.mark.parametrize("label", ["", " ", "\t", "a\nb", "a\0"])
def test_a_label_is_one_line_that_can_be_seen(label):
    with pytest.raises(InputError, match=r"config key models\.mine\.label: found"):
        plan(models={"mine": {**OWN, "label": label}})
