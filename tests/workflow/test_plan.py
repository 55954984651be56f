"""What a run consists of: shards, models, and which attack applies where."""

import subprocess
import sys

import pytest
from configs import OWN, ROOT, plan, shipped

from absynth.certificates.settings import SearchSettings
from absynth.errors import InputError
from absynth.models.abs.enumeration import PrototypeSettings


def test_attacks_apply_where_norm_model_and_config_allow():
    made = plan(
        models={"mine": {**OWN, "gradients": False}},
        attacks={"bim": {"models": ["cnn"], "norms": ["l2"]}, "boundary": None},
    )
    assert "boundary" not in made.attacks
    for model, norm, attack, applies in [
        ("cnn", "l2", "bim", True),
        ("cnn", "linf", "bim", False),
        ("abs", "l2", "bim", False),
        ("abs", "linf", "fgsm", True),
        ("abs", "l2", "fgsm", False),
        ("mine", "linf", "fgsm", False),
        ("mine", "l2", "gaussian_noise", True),
    ]:
        assert made.applies(attack, model, norm) is applies, (model, norm, attack)
        assert (attack in made.attacks_on(model, norm)) is applies


def test_gradient_attacks_do_not_apply_to_a_model_without_gradients():
    made = plan(models={"mine": {**OWN, "gradients": False}})
    on_mine = {attack for norm in made.norms for attack in made.attacks_on("mine", norm)}
    assert on_mine
    assert not any(made.attacks[attack].gradients for attack in on_mine)


def test_latent_descent_is_for_models_with_latents():
    made = plan(models={"mine": {**OWN}, "second": {"kind": "abs"}})
    with_latents = {name for name in made.models if "latent_descent" in made.attacks_on(name, "l2")}
    assert with_latents == {"abs", "binary_abs", "second"}


def test_every_attack_has_a_norm_and_a_model_to_attack():
    made = plan()
    everywhere = {
        name for model in made.models for norm in made.norms for name in made.attacks_on(model, norm)
    }
    assert everywhere == set(made.attacks)


def test_substitute_goes_to_the_attacks_that_need_it():
    made = plan()
    assert made.substitute_spec("transfer") == made.model_spec("substitute")
    needing = {name for name in made.attacks if made.substitute_spec(name) is not None}
    assert needing == {name for name, entry in made.attacks.items() if entry.substitute}
    assert "fgm" not in needing


def test_options_are_what_the_builder_takes():
    made = plan(attacks={"bim": {"steps": 7, "models": ["cnn"], "norms": ["l2"], "batch_size": 5}})
    assert made.options("bim", "cnn")["steps"] == 7
    assert not {"models", "norms", "batch_size"} & made.options("bim", "cnn").keys()
    assert made.config["attacks"]["bim"]["batch_size"] == 5


def test_a_job_of_an_attack_is_fully_described():
    made = plan(n_samples=10, shards=2, attacks={"transfer": {"batch_size": 5}})
    job = made.attack_job(model="abs", norm="l2", attack="transfer", shard="1")
    assert job["span"] == (5, 10)
    assert job["batch_size"] == 5
    assert job["options"] == made.options("transfer", "abs")
    assert job["spec"] == made.model_spec("abs")
    assert job["substitute"] == made.model_spec("substitute")
    assert job["builder"] == made.attacks["transfer"].builder
    assert (job["model"], job["norm"], job["attack"]) == ("abs", "l2", "transfer")


def test_a_model_may_have_options_of_its_own():
    per_model = {"cnn": {"steps": 9}, "madry": {"restarts": 3}, "abs": None}
    made = plan(attacks={"bim": {"steps": 7, "restarts": 2, "per_model": per_model}})
    steps = {model: made.options("bim", model)["steps"] for model in made.models}
    assert steps == dict.fromkeys(made.models, 7) | {"cnn": 9}
    restarts = {model: made.options("bim", model)["restarts"] for model in made.models}
    assert restarts == dict.fromkeys(made.models, 2) | {"madry": 3}
    assert all("per_model" not in made.options(name, "cnn") for name in made.attacks)


@pytest.mark.parametrize(
    ("per_model", "message"),
    [
        ({"nnc": {"steps": 9}}, "attacks.bim.per_model: found nnc; allowed are cnn, "),
        ({"mine": {"steps": 9}}, "per_model: found mine, which has no gradients; allowed are cnn, "),
        ({"cnn": {"steps": 0}}, "config key attacks.bim.per_model.cnn.steps: found 0"),
        ({"cnn": {"batch_size": 5}}, "config key attacks.bim.per_model.cnn.batch_size: unknown"),
        ({"cnn": 5}, "config key attacks.bim.per_model.cnn: found 5"),
    ],
)
def test_a_models_own_options_are_checked_like_any(per_model, message):
    with pytest.raises(InputError, match=message):
        plan(attacks={"bim": {"per_model": per_model}}, models={"mine": {**OWN, "gradients": False}})


def test_an_attack_of_foolbox_may_have_options_for_a_model():
    entry = {"class": "foolbox.attacks.NewtonFoolAttack", "norms": ["l2"], "arguments": {"steps": 5}}
    made = plan(attacks={"newton": {**entry, "per_model": {"cnn": {"arguments": {"steps": 9}}}}})
    assert made.options("newton", "cnn")["arguments"] == {"steps": 9}
    assert made.options("newton", "madry")["arguments"] == {"steps": 5}
    with pytest.raises(InputError, match=r"attacks\.newton\.per_model\.cnn"):
        plan(attacks={"newton": {**entry, "per_model": {"cnn": {"arguments": {"paces": 9}}}}})
    with pytest.raises(InputError, match=r"per_model\.cnn\.class: unknown"):
        plan(attacks={"newton": {**entry, "per_model": {"cnn": {"class": entry["class"]}}}})


def test_models_left_out_are_gone():
    assert list(plan(models={"cnn": None, "abs": None}).models) == [
        "binary_cnn",
        "nearest_neighbor",
        "madry",
        "binary_abs",
    ]


def test_second_model_of_a_kind_has_files_of_its_own():
    made = plan(models={"wide": {"kind": "cnn", "epochs": 3, "label": "Wide CNN"}})
    wide = made.models["wide"]
    assert (wide.label, wide.network) == ("Wide CNN", "cnn")
    assert wide.training == {"epochs": 3, "batch_size": 128, "learning_rate": 0.001, "shift": 0}
    assert made.model_spec("wide")["weights"] == ["models/wide/weights.pt"]
    assert made.models["cnn"].label == "CNN"


def test_the_probe_builds_models_with_latents_from_few_prior_samples():
    made = plan(models={"mine": OWN, "prototype_abs": {}}, inference={"prior_samples": 8000})
    for name in made.models:
        probed, spec = made.probe_spec(name), made.model_spec(name)
        samples = [options.pop("prior_samples", None) for options in (probed["options"], spec["options"])]
        assert samples == ([500, 8000] if name in ("abs", "binary_abs") else [None, None])
        assert probed == spec
    assert plan(inference={"prior_samples": 40}).probe_spec("abs")["options"]["prior_samples"] == 40
    asked = {
        name: made.probe_images(name) for name in ("cnn", "mine", "nearest_neighbor", "prototype_abs", "abs")
    }
    assert asked == {"cnn": 100, "mine": 100, "nearest_neighbor": 30, "prototype_abs": 30, "abs": 8}


def test_model_specs_say_what_to_build():
    made = plan(inference={"steps": 7}, models={"mine": {**OWN, "arguments": {"width": 3}}})
    both = [made.model_spec(name) for name in ("abs", "binary_abs")]
    assert both[0]["weights"] == both[1]["weights"] == [f"models/abs/vae_{label}.pt" for label in range(10)]
    assert both[0]["options"] == both[1]["options"] == made.config["inference"]
    assert [spec["calibration"] for spec in both] == [None, "models/binary_abs/calibration.json"]
    assert made.model_spec("nearest_neighbor")["train"] == "data/train.h5"
    assert made.model_spec("mine")["options"] == {
        **OWN,
        "arguments": {"width": 3},
        "name": "mine",
        "nonfinite": False,
        "random": False,
        "draws": 16,
    }
    assert made.models["mine"].label == "mine"
    assert made.model_spec("substitute")["weights"] == ["models/substitute/weights.pt"]
    assert "substitute" not in made.models


@pytest.mark.parametrize(
    "module", ["workflow.plan", "workflow.config", "workflow.imports", "attacks.registry", "models.registry"]
)
def test_start_of_a_workflow_does_without_torch(module):
    # eagerpy: what Foolbox imports; a placeholder of Foolbox itself is there
    code = f"import sys, absynth.{module}; sys.exit('torch' in sys.modules or 'eagerpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT / "src").returncode == 0


def test_lower_bounds_are_for_the_models_that_have_them():
    made = plan(models={"mine": OWN, "second": {"kind": "abs"}, "binary_abs": None})
    assert made.with_lower_bounds == ["nearest_neighbor", "abs", "second"]
    assert made.check_lower_bounds("second") is None
    with pytest.raises(
        InputError, match=r"bounds of cnn: .*models nearest_neighbor, abs, second have them \(kinds"
    ):
        made.check_lower_bounds("cnn")
    for norm in made.norms:
        assert made.applies("certificate", "abs", norm)
        assert made.applies("certificate", "nearest_neighbor", norm)
        assert not made.applies("certificate", "cnn", norm)
        assert not made.applies("certificate", "mine", norm)


def test_certificate_attack_on_a_model_without_lower_bounds_is_refused():
    with pytest.raises(InputError, match="found cnn, which has no lower bound; allowed are nearest_neighbor"):
        plan(attacks={"certificate": {"models": ["cnn"]}})


def test_an_attack_may_name_models_that_are_left_out():
    made = plan(models={"cnn": None}, attacks={"fgm": {"models": ["cnn", "abs"]}})
    assert made.applies("fgm", "abs", "l2")
    with pytest.raises(InputError, match="found nnc; allowed are"):
        plan(models={"cnn": None}, attacks={"fgm": {"models": ["nnc"]}})


def test_settings_of_certificates_are_those_of_the_config():
    assert SearchSettings(**plan().config["certificates"]) == SearchSettings()


def test_released_weights_go_before_those_of_another_run():
    both = plan(published_weights="released", trained_weights="results/other/models")
    assert both.weight_sources("cnn") == {"models/cnn/weights.pt": "released/vanilla_cnn.net"}
    assert both.weight_sources("substitute") == {"models/substitute/weights.pt": "released/transfer_cnn.net"}
    assert both.weight_sources("madry") == {
        "models/madry/weights.pt": "results/other/models/madry/weights.pt"
    }
    assert both.weight_sources("binary_abs")["models/abs/vae_7.pt"] == "released/ABS_7.net"
    taken = plan(trained_weights="results/other/models")
    assert taken.weight_sources("abs")["models/abs/vae_7.pt"] == "results/other/models/abs/vae_7.pt"
    assert taken.weight_sources("nearest_neighbor") == {}
    assert plan().weight_sources("cnn") == {}


def test_prototypes_are_made_from_vaes_wherever_those_come_from():
    alone = {**dict.fromkeys(plan().models), "few": {"kind": "prototype_abs", "prior_samples": 7}}
    made = plan(models=alone)
    vaes = [f"models/abs/vae_{label}.pt" for label in range(10)]
    few = made.models["few"]
    assert (few.weights, few.learned) == (["models/few/prototypes.pt"], vaes)
    assert few.training == {
        "prior_samples": 7,
        "encoded_images": 5400,
        "moved_by": 0,
        "temperature": 1,
        "offsets": True,
        "seed": 3,
    }
    assert made.model_spec("few")["options"] == {}
    assert (made.with_prototypes, made.generative) == (["few"], [])
    assert made.vae_curves == list(range(10))
    assert made.with_lower_bounds == ["few"]
    released = plan(models=alone, published_weights="released", trained_weights="results/other/models")
    assert released.weight_sources("few") == {path: f"released/ABS_{c}.net" for c, path in enumerate(vaes)}
    taken = plan(models=alone, trained_weights="results/other/models")
    assert taken.weight_sources("few")["models/abs/vae_7.pt"] == "results/other/models/abs/vae_7.pt"
    assert taken.imported_vaes
    assert taken.vae_curves == []


def test_defaults_of_prototypes_are_those_of_the_library():
    made = plan(models={"prototype_abs": {}})
    assert PrototypeSettings(**made.models["prototype_abs"].training) == PrototypeSettings()


def test_a_prototype_model_without_prototypes_is_refused():
    with pytest.raises(
        InputError, match=r"models\.prototype_abs: prior_samples and encoded_images are both 0"
    ):
        plan(models={"prototype_abs": {"prior_samples": 0, "encoded_images": 0}})


@pytest.mark.parametrize(
    "folder", ["results/mine/models", "results/x/../mine/models/", ROOT / "results/mine/models"]
)
def test_a_run_cannot_take_its_own_weights(folder, monkeypatch):
    monkeypatch.chdir(ROOT)
    with pytest.raises(InputError, match="allowed is that of another run"):
        plan(run="mine", trained_weights=str(folder))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"attacks": {"beam": {}}, "norms": ["l2"]},
            r"none of beam applies to .* in l2 \(beam attacks in l0\)",
        ),
        (
            {"attacks": {"ddn": {}}, "models": {"mine": {**OWN, "gradients": False}}},
            r"ddn needs gradients, which mine",
        ),
        (
            {"attacks": {"ddn": {"models": ["cnn"]}}, "models": {"mine": OWN}},
            r"ddn is kept to other models and norms",
        ),
    ],
)
def test_attacks_that_apply_to_nothing_are_refused(changes, message):
    alone = dict.fromkeys(shipped()["models"])
    attacks = {**dict.fromkeys(shipped()["attacks"]), "preset": [], **changes["attacks"]}
    models = {**alone, **changes["models"]} if "models" in changes else {}
    with pytest.raises(InputError, match=message):
        plan(**{**changes, "attacks": attacks, "models": models}).check_run()
