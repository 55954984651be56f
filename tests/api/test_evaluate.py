"""A model at hand evaluated by attacks of a preset: a table per image."""

import logging

import numpy as np
import pytest
import torch
from torch import nn

import absynth
from absynth.data.format import DataFormat
from absynth.errors import InputError
from absynth.models.nearest_neighbor import NearestNeighbor
from absynth.workflow.at_hand import MODEL, plan_at_hand

N, SHAPE, CLASSES = 5, (1, 4, 4), 3
ATTACKS = {
    "fgm": {"doublings": 4, "bisections": 4},
    "ddn": {"steps": 10},
    "salt_pepper": {"repetitions": 2},
    "beam": {"width": 1, "candidates": 4, "removals": 1, "start_from": ["salt_pepper"]},
}


@pytest.fixture
def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(16, CLASSES))


@pytest.fixture
def data(model):
    x = torch.rand(N, *SHAPE, generator=torch.Generator().manual_seed(1))
    y = model(x).argmax(dim=1)
    y[1] = (y[1] + 1) % CLASSES
    return x, y


def test_the_table_holds_the_least_of_what_each_attack_finds(model, data):
    table = absynth.evaluate(
        model, *data, ATTACKS, ["l2", "l0"], epsilons={"l2": 0.1}, seed=3, progress=False
    )
    assert list(table) == ["image", "label", "prediction", "l2", "l2_attack", "l2_robust", "l0", "l0_attack"]
    assert table["image"].tolist() == list(range(N))
    assert table["label"].tolist() == data[1].tolist()
    assert ((table["prediction"] == table["label"]) == (np.arange(N) != 1)).all()
    alone = {
        name: absynth.attack(model, *data, name, "l2", seed=3, **ATTACKS[name]).distance.numpy()
        for name in ("fgm", "ddn")
    }
    least = np.minimum(alone["fgm"], alone["ddn"])
    np.testing.assert_array_equal(table["l2"], least)
    for row, name in enumerate(table["l2_attack"]):
        assert name == "" if least[row] == 0 else alone[name][row] == least[row]
    assert table.loc[1, ["l2", "l2_attack", "l0", "l0_attack"]].tolist() == [0, "", 0, ""]
    assert (table["l2_robust"] == (least > 0.1)).all()
    noise = absynth.attack(model, *data, "salt_pepper", "l0", seed=3, repetitions=2)
    assert (table["l0"] <= noise.distance.numpy()).all()


def test_an_attack_that_finds_nothing_leaves_inf_and_no_name(data):
    constant = nn.Sequential(nn.Flatten(), nn.Linear(16, CLASSES))
    nn.init.zeros_(constant[1].weight)
    table = absynth.evaluate(
        constant, data[0], constant(data[0]).argmax(dim=1), {"salt_pepper": {}}, ["l0"], progress=False
    )
    assert np.isinf(table["l0"]).all()
    assert (table["l0_attack"] == "").all()


def test_presets_are_those_of_the_workflow_relay_included():
    plan = plan_at_hand("strong", ["l0"], {"gradients": True})
    names = plan.in_order(MODEL, "l0")
    assert "relay5_sparse_rs" in names
    assert plan.relay_leg("relay2_beam", MODEL, "l0")["gain"] == 0.005
    assert plan_at_hand("quick", ["l2"], {}).config["relay"] is None


def test_a_relay_goes_on_where_attacks_gained_and_bounds_end_it(data):
    """On a nearest neighbour model, whose proved bounds show some distances to be tight."""
    x, y = data
    train = torch.rand(9, *SHAPE, generator=torch.Generator().manual_seed(2))
    model = NearestNeighbor(train.flatten(1), torch.arange(9) % CLASSES, DataFormat(SHAPE, CLASSES))
    y = model(x).argmax(dim=1)
    attacks = {**ATTACKS, "fgm": {}, "certificate": {"steps": 5}}
    preset = {"attacks": attacks, "relay": {"attacks": ["beam"], "rounds": 2, "gain": 0.001}}
    table = absynth.evaluate(model, x, y, preset, ["l0", "l2"], progress=False)
    for norm in ("l0", "l2"):
        assert (table[f"{norm}_basis"] == "proved").all()
        assert (table[f"{norm}_lower"] > 0).all()
        assert (table[f"{norm}_lower"] <= table[norm] * (1 + 1e-6)).all()
    assert set(table["l0_attack"]) <= {"salt_pepper", "beam", "certificate", "relay1_beam", "relay2_beam"}


def test_transfer_attacks_are_left_out_with_a_warning(model, data, caplog):
    with caplog.at_level(logging.WARNING, logger="absynth"):
        table = absynth.evaluate(model, *data, ["transfer", "fgm"], ["l2"], progress=False)
    assert set(table["l2_attack"]) <= {"fgm", ""}
    assert "transfer attacks are left out" in caplog.text
    started = {
        "transfer": {},
        "fgm": {},
        "boundary_descent": {"walks": 1, "steps": 2, "start_from": ["transfer", "fgm"]},
    }
    assert len(absynth.evaluate(model, *data, started, ["l2"], progress=False)) == len(data[0])


def test_a_model_without_gradients_meets_the_attacks_that_need_none(model, data):
    table = absynth.evaluate(lambda x: model(x).detach(), *data, ATTACKS, "l0", progress=False)
    assert set(table["l0_attack"]) <= {"salt_pepper", "beam", ""}


def test_progress_is_a_bar_on_stderr(model, data, capsys):
    absynth.evaluate(model, *data, {"fgm": {}}, ["l2"])
    assert "1/1" in capsys.readouterr().err
    absynth.evaluate(model, *data, {"fgm": {}}, ["l2"], progress=False)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"preset": "quik"}, r"^preset: found 'quik', which is no preset .*; did you mean quick\?"),
        ({"preset": {"ddn": {"stepz": 1}}}, r"^attacks\.ddn\.stepz: unknown; did you mean steps\?"),
        ({"preset": {"ddn": {}}, "norms": ["l0"]}, "no attack of it applies to this model in l0"),
        ({"preset": {"preset": "quik", "ddn": {}}}, r"^preset: found 'quik', which is no preset"),
        ({"norms": ["L0"]}, r"^norms: found 'L0'; did you mean 'l0'\? allowed are l2, linf, l0$"),
        ({"norms": 2}, "^norms: found 2, expected a list of l2, linf, l0$"),
        ({"epsilons": 0.3}, "^epsilons: found 0.3, expected a size for each norm, as {'linf': 0.3}$"),
        ({"norms": ["l2"], "epsilons": {"linf": 0.1}}, "^epsilons: found linf, allowed are .* l2$"),
        ({"epsilons": {"l2": -1}}, r"^epsilons\.l2: found -1, allowed is more than 0$"),
    ],
)
def test_what_cannot_be_evaluated_is_refused_in_one_line(model, data, change, said):
    with pytest.raises(InputError, match=said):
        absynth.evaluate(model, *data, **{"preset": "quick", "progress": False, **change})
