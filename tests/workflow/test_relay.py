"""Attacks under other names, and relays of attacks that start from one another's best."""

import pytest
from configs import plan

from absynth.errors import InputError
from absynth.workflow.outputs import Outputs

RELAY = {"attacks": ["pointwise", "brendel_bethge"], "rounds": 2}


def test_an_attack_under_another_name_has_options_and_a_title_of_its_own():
    made = plan(
        attacks={"longer": {"kind": "ddn", "steps": 900}, "other": {"kind": "ddn", "label": "Long DDN"}}
    )
    assert made.attacks["longer"].builder == made.attacks["ddn"].builder
    assert made.options("longer", "cnn")["steps"] == 900
    assert not {"kind", "label"} & made.options("longer", "cnn").keys()
    titles = made.attack_titles["l2"]
    assert (titles["ddn"], titles["longer"], titles["other"]) == ("DDN", "DDN (longer)", "Long DDN")
    assert {"ddn", "longer", "other"} <= set(made.attacks_on("cnn", "l2"))
    assert "longer" not in made.attacks_on("cnn", "linf")


@pytest.mark.parametrize(
    ("attacks", "message"),
    [
        ({"mine": {"kind": "ddm"}}, r"attacks\.mine\.kind: unknown; did you mean ddn"),
        (
            {"fmn": {"kind": "ddn"}},
            r"attacks\.fmn\.kind: fmn is an attack of this project; name yours otherwise",
        ),
        ({"mine": {"kind": 3}}, r"attacks\.mine\.kind: found 3"),
        ({"mine": {"kind": "ddn", "restarts": 2}}, r"attacks\.mine\.restarts: unknown"),
        (
            {"mine": {"kind": "ddn", "per_model": {"cnn": {"restarts": 2}}}},
            r"per_model\.cnn\.restarts: unknown",
        ),
        (
            {"mine": {"kind": "ddn", "class": "foolbox.attacks.DDNAttack", "norms": ["l2"]}},
            "found class and kind",
        ),
        ({"a": {"kind": "ddn", "label": "DDN"}}, r"attacks\.a\.label: 'DDN' stands for attacks\.ddn already"),
        ({"paper": {"kind": "ddn"}}, "is the name of the tables' own 'paper'"),
    ],
)
def test_what_an_attack_under_another_name_may_not_say(attacks, message):
    with pytest.raises(InputError, match=message):
        plan(attacks=attacks)


def test_a_relay_runs_in_rounds_from_all_that_is_before():
    made = plan(relay=RELAY, attacks={"brendel_bethge": {"steps": 7}})
    names = [f"relay{number}_{attack}" for number in (1, 2) for attack in RELAY["attacks"]]
    assert made.relay_rounds == dict(zip(names, (1, 1, 2, 2), strict=True))
    outside = [name for name in made.attacks_on("cnn", "l2") if name not in names]
    assert sorted(made.starts(names[0], "cnn", "l2")) == sorted(outside)
    assert sorted(made.starts(names[3], "cnn", "l2")) == sorted([*outside, *names[:3]])
    assert made.options(names[3], "cnn") == made.options("brendel_bethge", "cnn")
    assert made.options(names[3], "cnn")["steps"] == 7
    assert made.attack_titles["l2"][names[3]] == "Brendel & Bethge, round 2"
    assert [made.audit_roles[name]["round"] for name in ("ddn", *names)] == [0, 1, 1, 2, 2]
    assert not {*names} & {*made.paper_attacks_on("cnn", "l2")}


def test_only_attacks_that_minimise_the_norm_take_part():
    made = plan(relay=RELAY)
    assert "relay1_pointwise" not in made.attacks_on("cnn", "linf")
    assert "relay1_pointwise" not in made.starts("relay1_brendel_bethge", "cnn", "linf")
    assert "fgsm" in made.starts("relay1_brendel_bethge", "cnn", "linf")


def test_later_rounds_know_what_the_rounds_before_them_were():
    made = plan(relay={**RELAY, "gain": 0.02})
    job = made.attack_job(model="cnn", norm="l2", attack="relay2_pointwise", shard="0")
    assert (job["relay"]["round"], job["relay"]["gain"]) == (2, 0.02)
    assert job["relay"]["rounds"]["relay1_brendel_bethge"] == 1
    assert job["relay"]["rounds"]["ddn"] == 0
    for attack in ("ddn", "relay1_pointwise"):
        assert made.attack_job(model="cnn", norm="l2", attack=attack, shard="0")["relay"] is None


def test_later_rounds_read_proved_bounds_alone():
    outputs = Outputs(plan(relay=RELAY))

    def read(model, attack):
        return outputs.proved_bounds(model=model, norm="l2", attack=attack, shard="0")

    assert read("nearest_neighbor", "relay2_pointwise") == ["results/mnist/bounds/nearest_neighbor/l2/0.csv"]
    assert read("nearest_neighbor", "relay1_pointwise") == read("nearest_neighbor", "ddn") == []
    assert read("abs", "relay2_pointwise") == read("cnn", "relay2_pointwise") == []


def test_there_is_no_relay_unless_asked_for():
    assert plan().relay_rounds == {}
    assert not any(name.startswith("relay") for name in plan().attacks)


@pytest.mark.parametrize(
    ("relay", "attacks", "message"),
    [
        ({"attacks": ["fgm"]}, {}, "relay.attacks: found fgm, which takes no start; allowed are boundary"),
        ({"attacks": ["walk"]}, {}, "relay.attacks: found walk, which is no attack"),
        ({"attacks": []}, {}, "relay.attacks"),
        ({"attacks": ["pointwise"], "rounds": 0}, {}, "relay.rounds: found 0"),
        ({"attacks": ["pointwise"], "gain": 1}, {}, "relay.gain: found 1"),
        ({"round": 2, "attacks": ["pointwise"]}, {}, "relay.round: unknown; did you mean rounds"),
        (
            {"attacks": ["pointwise"]},
            {"relay1_pointwise": {"kind": "pointwise"}},
            "attacks.relay1_pointwise: is the name of an attack of the relay",
        ),
    ],
)
def test_what_a_relay_may_not_be(relay, attacks, message):
    with pytest.raises(InputError, match=message):
        plan(relay=relay, attacks=attacks)


def test_attacks_that_differ_in_their_names_alone_are_restarts_of_one():
    again = {"kind": "ddn", "steps": 300}
    made = plan(attacks={"again": {**again, "label": "x"}, "longer": {**again, "steps": 400},
                         "boundary_again": {"kind": "boundary", "start_from": ["ddn"]}})  # fmt: skip
    repeats = {name: role["repeats"] for name, role in made.audit_roles.items()}
    assert repeats["again"] == repeats["ddn"] == "ddn"
    assert [repeats[name] for name in ("longer", "boundary_again")] == ["longer", "boundary_again"]


def test_images_near_a_proved_bound_are_gone_on_with_unless_asked_for():
    made = plan(models={"nearest_neighbor": {}})
    assert "end" not in made.attack_job(model="nearest_neighbor", norm="l2", attack="ddn", shard="0")
    assert made.ends_on("nearest_neighbor", "l2") == {}
    outputs = Outputs(made)
    assert outputs.checked_bounds("nearest_neighbor", "l2") == []
    assert outputs.proved_bounds(model="nearest_neighbor", norm="l2", attack="ddn", shard="0") == []


def test_attacks_but_the_papers_are_done_near_a_proved_bound():
    made = plan(
        stop_when_tight=0.01, relay=RELAY, epsilons={"l2": 2.5}, attacks={"mine": {"kind": "pointwise"}}
    )
    read = Outputs(made)

    def end(attack, model="nearest_neighbor"):
        found = made.attack_job(model=model, norm="l2", attack=attack, shard="0").get("end")
        bounds = read.proved_bounds(model=model, norm="l2", attack=attack, shard="0")
        assert bounds == ([f"results/mnist/bounds/{model}/l2/0.csv"] if found else [])
        return found

    for attack in ("ddn", "mine", "relay1_pointwise", "relay2_pointwise"):
        assert end(attack) == {"tightness": 0.01, "epsilon": 2.5}
    for attack in ("pointwise", "boundary", "fgm"):  # rows that are compared with the paper's
        assert end(attack) is None
    assert end("ddn", "cnn") is None  # no bound
    assert end("ddn", "abs") is None  # none that is proved
    assert set(made.ends_on("nearest_neighbor", "l2")) & {"ddn", "pointwise"} == {"ddn"}
    assert read.checked_bounds("nearest_neighbor", "l2") == [
        f"results/mnist/bounds/nearest_neighbor/l2/{shard}.csv" for shard in read.shards
    ]


@pytest.mark.parametrize("value", [0, 0.004, 1.5, "yes", True])
def test_what_the_share_above_a_bound_may_not_be(value):
    with pytest.raises(InputError, match="stop_when_tight: found"):
        plan(stop_when_tight=value)
