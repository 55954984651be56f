"""Presets of attacks: what a name, a list of names and a mapping with changes stand for."""

import pytest
import yaml
from configs import OWN, ROOT, SCHEMAS, plan, shipped

from absynth.attacks.registry import ATTACKS
from absynth.errors import InputError
from absynth.workflow.config_files import merged_config
from absynth.workflow.plan import Plan
from absynth.workflow.presets import PAPER_PRESET, main, preset_names, read_preset

NAMES = preset_names(SCHEMAS)
DEFAULTS = {"rounds": 3, "gain": 0.01, "tightness": 0.01}


def planned(attacks, **changes) -> Plan:
    """The plan of the paper's config with these attacks in place of its own."""
    return Plan({**shipped(), "attacks": attacks, **changes}, SCHEMAS)


def listed(made: Plan) -> set[str]:
    """The attacks of a plan outside of its relay."""
    return {name for name in made.attacks if name not in made.relay_rounds}


def test_the_paper_preset_is_what_the_papers_config_attacks_with():
    assert planned(PAPER_PRESET).config == plan().config


OWN_MODELS = {"smooth": OWN, "steps": {**OWN, "gradients": False}, "binary": {**OWN, "binarises": True}}
EACH = [({**dict.fromkeys(shipped()["models"]), name: entry}, ["l2", "linf", "l0"])
        for name, entry in OWN_MODELS.items()]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("models", "norms"), [*EACH, *((OWN_MODELS, [norm]) for norm in ("l2", "linf", "l0"))]
)
def test_every_preset_is_a_plan_for_every_model_in_any_norms(name, models, norms):
    if name == "autoattack" and norms == ["l0"]:
        with pytest.raises(InputError, match=r"attacks: none of apgd_ce, .* applies to .*; name other"):
            plan(attacks=name, norms=norms, models=models).check_run()
        return
    made = plan(attacks=name, norms=norms, models=models)
    if name != "autoattack":  # which is for l2 and linf, and for models with gradients
        assert all(made.attacks_on(model, norm) for model in made.models for norm in norms)
    assert name == PAPER_PRESET or not any(attack.substitute for attack in made.attacks.values())


def test_a_name_and_its_content_are_one_plan():
    content = read_preset("strong", SCHEMAS)
    assert planned("strong").config == planned(content["attacks"], relay=content["relay"]).config
    assert planned(["strong"]).config == planned({"preset": "strong"}).config == planned("strong").config


def test_a_list_joins_presets_and_attacks_and_the_last_presets_options_count():
    strong, standard = (read_preset(name, SCHEMAS) for name in ("strong", "standard"))
    assert strong["attacks"]["ddn"] != standard["attacks"]["ddn"]
    for order, ddn in ((["strong", "standard"], standard), (["standard", "strong"], strong)):
        made = planned([*order, "hop_skip_jump"])
        assert listed(made) == {*strong["attacks"], *standard["attacks"], "hop_skip_jump"}
        assert made.config["attacks"]["ddn"]["steps"] == ddn["attacks"]["ddn"]["steps"]
        assert made.config["relay"] == DEFAULTS | strong["relay"]
    assert planned(["fgm"]).config["attacks"] == planned({"fgm": {}}).config["attacks"]


def test_changes_are_laid_over_a_preset():
    own = {"kind": "ddn", "steps": 7}
    made = planned({"preset": "strong", "ddn": {"steps": 5}, "slow": own, "pointwise": None})
    content = read_preset("strong", SCHEMAS)
    assert listed(made) == {*content["attacks"], "slow"} - {"pointwise"}
    assert [made.config["attacks"][name]["steps"] for name in ("ddn", "slow", "fmn")] == [
        5, 7, content["attacks"]["fmn"]["steps"],
    ]  # fmt: skip
    assert "pointwise" not in made.config["attacks"]["sparse_l2"]["start_from"]


def test_what_is_left_out_of_a_preset_has_no_place_in_its_relay():
    relay = read_preset("strong", SCHEMAS)["relay"]
    made = planned({"preset": "strong", "brendel_bethge": None})
    assert made.config["relay"]["attacks"] == [name for name in relay["attacks"] if name != "brendel_bethge"]
    assert planned({"preset": "strong", **dict.fromkeys(relay["attacks"])}).config["relay"] is None


def test_the_configs_own_relay_is_laid_over_a_presets():
    relay = read_preset("strong", SCHEMAS)["relay"]
    assert planned("strong", relay={"rounds": 1}).config["relay"] == DEFAULTS | relay | {"rounds": 1}
    assert planned("strong", relay=None).config["relay"] is None
    made = planned("standard", relay={"attacks": ["pointwise"]})
    assert made.config["relay"] == DEFAULTS | {"attacks": ["pointwise"]}


@pytest.mark.parametrize(
    ("attacks", "key", "message"),
    [
        ("strnog", "attacks", "found 'strnog', which is no preset (autoattack, "),
        (["strong", "fgmm"], "attacks", "no attack; did you mean fgm?"),
        ([3], "attacks", "found 3, which is no preset"),
        ({"preset": "fast", "ddn": {}}, "attacks.preset", "found 'fast', which is no preset"),
        ({"preset": {"ddn": {}}}, "attacks", "found {'ddn': {}}, which is no preset"),
        (7, "attacks", "found 7, allowed is a mapping or text or a list"),
        ({"preset": "strong", "ddn": {"step": 3}}, "attacks.ddn.step", "unknown; did you mean steps?"),
        ({"preset": "strong", "ddn": {"start_from": ["fgm"]}}, "attacks.ddn.start_from", "takes no start"),
    ],
)
def test_what_is_neither_preset_nor_attack_is_refused_in_one_line(attacks, key, message):
    if "autoattack" not in NAMES:
        message = message.replace("(autoattack, ", "(")
    with pytest.raises(InputError) as caught:
        planned(attacks)
    text = str(caught.value)
    assert text.startswith(f"config key {key}: ")
    assert message in text
    assert len(text.splitlines()) == 1


def test_a_users_own_starts_in_a_preset_are_checked_as_elsewhere():
    with pytest.raises(
        InputError, match=r"sparse_l2\.start_from: found beam, which shares no model and norm"
    ):
        planned({"preset": "strong", "sparse_l2": {"start_from": ["beam"]}})


@pytest.mark.parametrize(
    ("below", "over", "merged"),
    [
        ("ddn: {}", "attacks: strong", {"attacks": "strong"}),
        ("ddn: {}", "attacks: {preset: strong, fgm: {}}", {"attacks": {"preset": "strong", "fgm": {}}}),
        ("preset: strong", "attacks: {fgm: null}", {"attacks": {"preset": "strong", "fgm": None}}),
        ("preset: strong", "attacks: [fgm]", {"attacks": ["fgm"]}),
        ("preset: strong", "relay: {rounds: 2}", {"attacks": {"preset": "strong"}, "relay": {"rounds": 2}}),
    ],
)
def test_presets_in_configs_laid_over_one_another(tmp_path, below, over, merged):
    first, second = tmp_path / "first.yaml", tmp_path / "second.yaml"
    first.write_text(f"attacks: {{{below}}}\n")
    second.write_text(f"{over}\n")
    assert merged_config([first, second], []) == merged


def test_a_mapping_is_laid_over_presets_by_name_and_presets_bring_their_own_relay(tmp_path):
    first, second = tmp_path / "first.yaml", tmp_path / "second.yaml"
    first.write_text("attacks: [strong, fgm]\n")
    second.write_text("attacks: {fgm: null}\n")
    assert merged_config([first, second], []) == {"attacks": {"preset": ["strong", "fgm"], "fgm": None}}
    first.write_text("attacks: {ddn: {}}\nrelay: {attacks: [beam]}\nrun: a\n")
    assert merged_config([first], ["attacks=standard"]) == {"attacks": "standard", "run": "a"}


@pytest.mark.parametrize("name", NAMES)
def test_the_content_of_a_preset_is_printed_as_a_config_takes_it(name):
    content = read_preset(name, SCHEMAS)
    printed = yaml.safe_load(main([name]))
    assert printed == {key: value for key, value in content.items() if value is not None}
    assert set(printed) <= {"attacks", "relay"}
    assert set(printed["attacks"]) <= set(ATTACKS)


def test_without_a_name_the_presets_are_listed_and_another_is_refused():
    assert main([]).split() == NAMES
    with pytest.raises(InputError, match="preset 'stronk': unknown; did you mean strong"):
        main(["stronk"])


def test_the_config_that_adds_to_the_papers_attacks_has_the_options_of_the_preset():
    added = yaml.safe_load((ROOT / "config" / "strong.yaml").read_text(encoding="utf-8"))
    content = read_preset("strong", SCHEMAS)
    assert added["relay"] == content["relay"]
    for name, entry in added["attacks"].items():
        assert entry == content["attacks"][name], name
