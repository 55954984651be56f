"""The key `only` of `models`: what is evaluated, and what is left out with the rest."""

from pathlib import Path

import pytest
import yaml
from configs import OWN, ROOT, SCHEMAS, overlaid, plan, shipped

from absynth.errors import InputError
from absynth.workflow.config_files import merged_config
from absynth.workflow.outputs import Outputs
from absynth.workflow.plan import Plan


def test_true_keeps_the_users_models_and_nothing_that_is_trained_or_generated_besides():
    made = plan(models={"mine": OWN, "only": True}, dataset="digits", n_samples=10)
    assert [*made.models] == ["mine"]
    assert not made.transfers
    assert "transfer" not in made.attacks
    assert made.splits == ["test"]
    assert made.differentiable == made.bounded == made.generative == made.classifier_curves == []
    assert made.vae_curves == []
    outputs = Outputs(made)
    assert outputs.weights == []
    assert not [path for path in outputs.records if "distal" in path or "bounds" in path]
    assert {figure.figure for figure in outputs.figures} == {
        *("accuracy_distortion", "distribution", "adversarials", "quantiles", "attacks"),
    }


def test_the_user_is_told_which_attacks_are_left_out():
    made = plan(models={"mine": OWN, "only": True})
    assert made.notes == [
        "models.only: true leaves out transfer, which would train a substitute network; "
        "models.only: [NAME, …] keeps such attacks"
    ]
    assert plan(models={"mine": OWN, "only": True}, attacks={"transfer": None}).notes == []


def test_attacks_do_not_start_from_those_left_out():
    made = plan(
        models={"mine": OWN, "only": True}, attacks={"boundary": {"start_from": ["transfer", "pointwise"]}}
    )
    assert made.starts("boundary", "mine", "l2") == ["pointwise"]


def test_a_further_model_of_a_known_kind_is_the_users_own_and_is_trained():
    made = plan(models={"wide": {"kind": "cnn", "epochs": 1}, "only": True})
    assert [*made.models] == made.trained_classifiers[:1] == ["wide"]
    assert made.splits == ["train", "calibration", "test"]
    assert made.differentiable == []


def test_a_list_keeps_the_models_named_with_their_settings_and_all_else():
    made = plan(models={"mine": OWN, "only": ["abs", "mine"]})
    assert [*made.models] == ["abs", "mine"]
    assert made.transfers
    assert made.differentiable == ["abs", "mine"]
    assert (
        plan(models={"only": ["cnn"]}).planned("cnn").entry["epochs"] == shipped()["models"]["cnn"]["epochs"]
    )


def test_false_and_no_key_keep_everything():
    assert [*plan(models={"only": False}).models] == [*plan().models]


def test_attacks_restricted_to_models_left_out_are_not_refused():
    assert plan(models={"only": ["abs"]}, attacks={"fgm": {"models": ["cnn"]}}).attacks_on("abs", "l2")


@pytest.mark.parametrize(
    ("models", "message"),
    [
        ({"only": True}, r"models\.only: found true, but no model of your own; describe it beside it"),
        ({"only": ["lost"]}, r"models\.only: found lost, allowed are cnn, binary_cnn, "),
        ({"only": ["cnn"], "cnn": None}, r"models\.only: found cnn, allowed are binary_cnn, "),
        ({"only": []}, r"models\.only: found \[\], allowed are 1 items or more"),
        ({"only": "mine"}, r"models\.only: found 'mine', allowed is true or false or a list"),
        ({"only": None}, r"models\.only: found None, allowed is true or false or a list"),
    ],
)
def test_what_cannot_be_kept_is_refused(models, message):
    with pytest.raises(InputError, match=rf"^config key {message}"):
        plan(models=models)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ({"models": {"cnn": {}}}, r"models\.cnn: .* write only: \[cnn, mine\]$"),
        ({"attacks": {"transfer": {}}}, r"attacks\.transfer: found beside models\.only: true"),
        ({"attacks": {"mine": {"kind": "transfer"}}}, r"attacks\.mine: found beside"),
        ({"distal": {"seeds": 1}}, r"distal: found beside models\.only: true, which leaves it out"),
    ],
)
def test_a_file_that_asks_for_what_it_leaves_out_is_refused(tmp_path, layer, message):
    path = tmp_path / "own.yaml"
    path.write_text(yaml.safe_dump(overlaid({"models": {"mine": OWN, "only": True}}, layer)))
    with pytest.raises(InputError, match=rf"^config key {message}"):
        merged_config([ROOT / "config" / "config.yaml", path], [])


def test_what_another_file_has_is_left_out_without_a_word(tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text(yaml.safe_dump({"models": {"mine": OWN, "only": True, "cnn": None}, "distal": None}))
    merged = merged_config([ROOT / "config" / "config.yaml", path], ["n_samples=3", "shards=1"])
    assert [*Plan(merged, SCHEMAS).models] == ["mine"]


def test_distal_adversarials_alone_can_be_left_out():
    made = plan(distal=None)
    assert made.differentiable == []
    assert made.splits == ["train", "calibration", "test"]  # for what is trained
    assert [*made.models] == [*plan().models]


def test_the_config_to_copy_plans_the_users_model_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("my_data.npz").touch()
    merged = merged_config([ROOT / "config" / name for name in ("config.yaml", "own-model.yaml")], [])
    made = Plan(merged, SCHEMAS)
    assert [*made.models] == ["mine"]
    assert made.splits == ["test"]
    assert "ddn" in made.attacks_on("mine", "l2")
