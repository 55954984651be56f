"""Attacks of a plan in one process: what each starts from, and which images later rounds leave out."""

import pytest
import torch
from linear_models import images, ten_class

from absynth.attacks.boundary_descent import boundary_descent
from absynth.attacks.minimum_norm import ddn
from absynth.attacks.run import AttackSettings, Samples, attack_images
from absynth.attacks.sequence import Step, run_sequence


@pytest.fixture
def samples():
    model = ten_class()
    x, y = images(model)
    return model, Samples(x, y, torch.arange(len(x)))


def test_each_step_is_what_the_workflow_does_with_its_starts(samples):
    model, given = samples
    steps = [
        Step("ddn", ddn("l2", steps=20), 100, [], None),
        Step("walk", boundary_descent("l2", walks=1, steps=3), 2, ["ddn"], None),
    ]
    found = dict(run_sequence(steps, model, given, "l2", 7))
    alone = attack_images(AttackSettings(steps[0].attack, "ddn", "l2", 7, 100), model, given)
    started = Samples(given.images, given.labels, given.index, [alone["adversarial"]])
    walked = attack_images(AttackSettings(steps[1].attack, "walk", "l2", 7, 2), model, started)
    for name, expected in (("ddn", alone), ("walk", walked)):
        assert set(found[name]) == set(expected)
        assert all(torch.equal(found[name][key], expected[key]) for key in expected)


def test_a_later_round_leaves_out_what_gained_nothing(samples):
    model, given = samples
    rounds = {"ddn": 0, "relay1_ddn": 1}
    leg = {"round": 2, "rounds": rounds, "gain": 0.01, "tightness": 0.01}
    asked = []

    def idle(target, random):
        """Finds nothing new."""
        asked.append(target.rows.tolist())

    steps = [
        Step("ddn", ddn("l2", steps=20), 100, [], None),
        Step("relay1_ddn", idle, 100, ["ddn"], None),
        Step("relay2_ddn", idle, 100, ["ddn", "relay1_ddn"], leg),
    ]
    found = dict(run_sequence(steps, model, given, "l2", 0))
    assert asked == [list(range(len(given)))]
    assert "stopped" not in found["relay1_ddn"]
    assert (found["relay2_ddn"]["stopped"] == 1).all()
    assert torch.equal(found["relay2_ddn"]["distance"], found["ddn"]["distance"])


def test_a_later_round_leaves_out_what_a_proved_bound_shows_tight(samples):
    model, given = samples
    leg = {"round": 2, "rounds": {"ddn": 1}, "gain": 0.01, "tightness": 0.01}
    first = Step("ddn", ddn("l2", steps=20), 100, [], None)
    later = Step("relay2_ddn", ddn("l2", steps=20), 100, ["ddn"], leg)
    least = dict(run_sequence([first], model, given, "l2", 0))["ddn"]["distance"]
    bounds = least.clone()
    bounds[0] = least[0] / 2
    found = dict(run_sequence([first, later], model, given, "l2", 0, bounds))
    assert found["relay2_ddn"]["stopped"].tolist() == [0, *[2] * (len(given) - 1)]
