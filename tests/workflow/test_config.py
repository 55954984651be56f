"""The configs that ship are valid; whatever is wrong with one is named in one line."""

import re
from copy import deepcopy
from datetime import date, datetime

import pytest
import yaml
from configs import OWN, ROOT, SCHEMAS, overlaid, plan, shipped

from absynth.attacks.outside import BUILDERS
from absynth.attacks.registry import ATTACKS
from absynth.data.sources import DATASETS
from absynth.errors import InputError
from absynth.models.registry import KINDS
from absynth.workflow.config import RENAMED, read_schema
from absynth.workflow.plan import Plan

NAMES = sorted(path.stem for path in (ROOT / "config").glob("*.yaml"))


@pytest.mark.parametrize("name", [name for name in NAMES if name != "own-model"])  # which test_only reads
def test_shipped_configs_are_valid(name):
    checked = Plan(overlaid(shipped(), {} if name == "config" else shipped(name)), SCHEMAS)
    assert checked.config["run"] == (
        "mnist" if name in ("config", "strong") else name
    )  # strong lies over another
    left_out = {model for model, entry in shipped(name).get("models", {}).items() if entry is None}
    papers = {"cnn", "binary_cnn", "nearest_neighbor", "madry", "binary_abs", "abs"}
    added = {key: {"prototype_abs"} for key in ("digits", "mnist-bracket", "mnist-1000")}
    added["quickstart"] = {"small_cnn", "prototype_abs"}
    assert set(checked.models) == papers - left_out | added.get(name, set())
    slow = name in ("mnist-1000", "mnist-cnns")  # on whose 1,000 images ABS takes days
    assert ("abs" in checked.models) != slow
    assert all(checked.attacks_on(model, norm) for model in checked.models for norm in checked.norms)


@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "config" / "gpu").glob("*.yaml")))
def test_batch_sizes_for_a_gpu_change_nothing_else(name):
    with (ROOT / "config" / "gpu" / f"{name}.yaml").open() as file:
        laid = yaml.safe_load(file)
    below = Plan(overlaid(shipped(), shipped(name)), SCHEMAS).config
    with_sizes = Plan(overlaid(overlaid(shipped(), shipped(name)), laid), SCHEMAS).config
    assert with_sizes != below
    for part in (with_sizes["certificates"], *with_sizes["attacks"].values()):
        del part["batch_size"]
    for part in (below["certificates"], *below["attacks"].values()):
        del part["batch_size"]
    assert with_sizes == below


def test_registries_and_schemas_know_the_same_names():
    assert set(read_schema(SCHEMAS, "models")) == set(KINDS)
    assert set(read_schema(SCHEMAS, "attacks")) == {*ATTACKS, *BUILDERS}


@pytest.mark.parametrize("kind", ["models", "attacks"])
def test_entries_reject_unknown_keys_and_state_valid_defaults(monkeypatch, kind):
    own = {
        "custom": OWN,
        "foolbox": {"class": "foolbox.attacks.DDNAttack", "norms": ["l2"]},
        "library": {"class": "torchattacks.PGDL2", "norms": ["l2"]},
        "function": {"function": "mine:attack", "norms": ["l2"]},
    }
    monkeypatch.setattr("absynth.attacks.foreign.build.check_library", lambda *_: None)  # needs no library
    for name, schema in read_schema(SCHEMAS, kind).items():
        assert schema["additionalProperties"] is False, name
        if name == "substitute":
            filled = plan(substitute={}).config["substitute"]
        else:
            key = "mine" if name in own else name
            filled = plan(**{kind: {key: dict(own.get(name, {}))}}).config[kind][key]
        assert filled.keys() >= {key for key, part in schema["properties"].items() if "default" in part}


def test_least_config_gets_defaults():
    least = {"run": "x", "dataset": "mnist", "n_samples": 3, "models": {"abs": {}}, "attacks": {}}
    config = Plan(least, SCHEMAS).config
    assert config["epsilons"] == {"l2": 1.5, "linf": 0.3, "l0": 12}
    assert config["substitute"]["epochs"] == 10
    assert (config["images_per_shard"], config["seed"], config["data_dir"]) == (100, 0, None)
    again = Plan({**deepcopy(least), "run": "y", "epsilons": {"l2": 2}}, SCHEMAS).config
    assert again["epsilons"] == {"l2": 2, "linf": 0.3, "l0": 12}


NEWTON = {"class": "foolbox.attacks.NewtonFoolAttack", "norms": ["l2"]}
MINE = {"function": "mine:attack", "norms": ["l2"]}
BAD = [
    ({"n_sample": 5}, "n_sample: unknown; did you mean n_samples? allowed are run, dataset, "),
    ({"zzz": 5}, "zzz: unknown; allowed are run, dataset, "),
    (
        {"vae": {"epoch": 5}},
        "vae.epoch: unknown; did you mean epochs? allowed are epochs, batch_size,",
    ),
    (
        {"threads": {"atack": 5}},
        "threads.atack: unknown; did you mean attack? allowed are train, ",
    ),
    (
        {"models": {"cnn": {"epoch": 5}}},
        "models.cnn.epoch: unknown; did you mean epochs? allowed are ",
    ),
    (
        {"attacks": {"bim": {"step": 5}}},
        "attacks.bim.step: unknown; did you mean steps? allowed are ",
    ),
    ({"substitute": {"epoch": 5}}, "substitute.epoch: unknown; did you mean epochs? allowed are "),
    (
        {"n_samples": "50"},
        "n_samples: found '50', allowed is a whole number; write 50, which YAML does not take for text",
    ),
    ({"n_samples": "5e1"}, "n_samples: found '5e1', allowed is a whole number"),
    ({"norms": "l2"}, "norms: found 'l2', allowed is a list; write a list, [l2]"),
    ({"run": False}, "run: found False, allowed is text; put it in quotes"),
    (
        {"run": date(2024, 1, 2)},
        "run: found datetime.date(2024, 1, 2), allowed is text; put",
    ),
    (
        {"vae": {"kl_start": "1e1"}},
        "vae.kl_start: found '1e1', allowed is a number; write 10.0, which YAML does not",
    ),
    ({"n_samples": 50.0}, "n_samples: found 50.0, allowed is a whole number"),
    ({"n_samples": True}, "n_samples: found True, allowed is a whole number"),
    ({"n_samples": 0}, "n_samples: found 0, allowed is 1 or more"),
    ({"data_dir": 5}, "data_dir: found 5, allowed is text or null"),
    (
        {"vae": {"learning_rate": float("nan")}},
        "vae.learning_rate: found nan, allowed is a number",
    ),
    (
        {"vae": {"kl_start": float("inf")}},
        "vae.kl_start: found inf, allowed is a number",
    ),
    (
        {"vae": {"learning_rate": "1e-3"}},
        "vae.learning_rate: found '1e-3', allowed is a",
    ),
    ({"vae": {"learning_rate": 0}}, "vae.learning_rate: found 0, allowed is more than 0"),
    ({"epsilons": {"linf": 2}}, "epsilons.linf: found 2, allowed is 1 or less"),
    (
        {"epsilons": {"linf": "8/255"}},
        "epsilons.linf: found '8/255', allowed is a number; write 0.0313725: YAML has no",
    ),
    ({"vae": [1]}, "vae: found [1], allowed is a mapping"),
    ({"run": "../x"}, "run: found '../x', allowed is such as my_run or mnist-2"),
    ({"norms": ["l3"]}, "norms.0: found 'l3', allowed are l2, linf, l0"),
    ({"norms": []}, "norms: found [], allowed are 1 items or more"),
    ({"norms": ["l2", "l2"]}, "norms: found ['l2', 'l2'], allowed are items that differ"),
    ({"dataset": "mnits"}, "dataset: 'mnits'; allowed are digits, mnist, fashion_mnist, kmnist, qmnist, or "),
    ({"models": {"madri": {}}}, "models.madri: unknown; did you mean madry? allowed are cnn, "),
    ({"models": {"wide": {"kind": "cn"}}}, "models.wide.kind: found cn, allowed are cnn, "),
    ({"models": {"mine": {"kind": "substitute"}}}, "models.mine.kind: found substitute, allowed are cnn, "),
    (
        {"models": {"wide": {"kind": 5}}},
        "models.wide.kind: found 5, allowed is text",
    ),
    (
        {"models": {"wide": {"kind": ["cnn"]}}},
        "models.wide.kind: found ['cnn'], allowed is text",
    ),
    ({"models": {1: {}}}, "models: found 1, allowed is text"),
    ({"models": {"a/b": {}}}, "models: found 'a/b', allowed is such as my_net or net_2"),
    ({"models": {"cnn": 3}}, "models.cnn: found 3, allowed is a mapping or null"),
    ({"models": {"mine": {"weights": "w.pt"}}}, "models.mine: class or program is missing"),
    (
        {"models": {"mine": {"class": "mine.Net", "state_dict_key": "model"}}},
        "models.mine.state_dict_key: found without weights",
    ),
    (
        {"models": {"mine": {"class": "mine.Net", "program": "net.pt"}}},
        "models.mine: found program and class; allowed are a program alone",
    ),
    (
        {"models": {"mine": {"program": "net.pt", "weights": "w.pt"}}},
        "models.mine: found program and weights",
    ),
    (
        {"models": {"mine": {"program": "net.pt", "arguments": {"width": 1}}}},
        "models.mine.arguments: found {'width': 1}, but a program takes none",
    ),
    (
        {"models": {"mine": {**OWN, "preprocessing": {"mean": 0.5}}}},
        "models.mine.preprocessing: 'std' is missing",
    ),
    (
        {"models": {"mine": {**OWN, "preprocessing": {"mean": [123.675], "std": [58.4]}}}},
        "models.mine.preprocessing.mean.0: found 123.675, allowed is 1 or less",
    ),
    (
        {"models": {"mine": {**OWN, "preprocessing": {"mean": 0, "std": 0}}}},
        "models.mine.preprocessing.std: found 0, allowed is more than 0",
    ),
    (
        {"models": {"mine": {**OWN, "preprocessing": "normalise"}}},
        "models.mine.preprocessing: found 'normalise', allowed is such as my_models.py:Preprocessing",
    ),
    ({"attacks": []}, "attacks: found an empty list, allowed are names of presets and attacks"),
    (
        {"models": {"mine": {**OWN, "class": "Net"}}},
        "models.mine.class: found 'Net', allowed is such as my_models.py:Net or my_models:Net",
    ),
    (
        {"models": dict.fromkeys(set(KINDS) - {"substitute"})},
        "models: none is left to attack; name at least one",
    ),
    ({"attacks": {"jsma": {}}}, "attacks.jsma: unknown; allowed are gaussian_noise, "),
    ({"attacks": {"fgmm": {}}}, "attacks.fgmm: unknown; did you mean fgm? allowed are "),
    ({"attacks": {1: {}}}, "attacks: found 1, allowed is text"),
    (
        {"attacks": {"bim": {"step_sizes": [0.1, 5]}}},
        "attacks.bim.step_sizes.1: found 5, allowed is 2 or",
    ),
    ({"attacks": {"fgsm": {"norms": ["l2"]}}}, "attacks.fgsm.norms: found l2, allowed are linf"),
    (
        {"attacks": {"fgsm": {"norms": ["l9"]}}},
        "attacks.fgsm.norms.0: found 'l9', allowed are l2, ",
    ),
    (
        {"attacks": {"fgm": {"models": ["vae"]}}},
        "attacks.fgm.models: found vae; allowed are cnn, ",
    ),
    *(
        (
            {"models": {"mine": {**OWN, "arguments": {"a": {"d": [found]}}}}},
            f"models.mine.arguments.a.d.0: {message}",
        )
        for found, message in (
            (
                date(2020, 1, 1),
                "found the date 2020-01-01, which is no text, number or list; put it in quotes",
            ),
            (datetime(2020, 1, 1, 5), "found the datetime 2020-01-01 05:00:00, which is no text"),
            (
                {"x"},
                "found {'x'} of type set, allowed are text, numbers, true, false, null, lists and mappings",
            ),
            (b"x", "found b'x' of type bytes, allowed are text, "),
            (("a", 1), "found ('a', 1) of type tuple, allowed are text, "),
            ({1: 2}, "its key 1 is no text; put it in quotes, '1'"),
        )
    ),
    (
        {"attacks": {"own": {**MINE, "class": "foolbox.attacks.DDNAttack"}}},
        "attacks.own: found class and function, allowed is one of them",
    ),
    (
        {"attacks": {"own": {**MINE, "kind": "ddn"}}},
        "attacks.own: found function and kind, allowed is one of them",
    ),
    ({"attacks": {"own": {"function": "mine:attack"}}}, "attacks.own: 'norms' is missing"),
    (
        {"attacks": {"own": {**MINE, "norms": ["l1"]}}},
        "attacks.own.norms.0: found 'l1', allowed are l2, linf, l0",
    ),
    ({"attacks": {"own": {**MINE, "step": 3}}}, "attacks.own.step: unknown; "),
    (
        {"attacks": {"own": {**MINE, "fixed_epsilon": 0.3}}},
        "attacks.own.fixed_epsilon: found 0.3, allowed is true or false",
    ),
    (
        {"attacks": {"own": {**MINE, "function": 5}}},
        "attacks.own.function: found 5, allowed is text",
    ),
    (
        {"attacks": {"ddn": MINE}},
        "attacks.ddn.function: ddn is an attack of this project; name yours otherwise",
    ),
    (
        {"attacks": {"own": {**MINE, "arguments": {"since": date(2020, 1, 1)}}}},
        "attacks.own.arguments.since: found the date 2020-01-01",
    ),
    (
        {"attacks": {"own": {"class": "torchattacks.VANILA", "norms": ["l2"]}}},
        "attacks.own: torchattacks.VANILA: asks the model nothing",
    ),
    (
        {"attacks": {"own": {"function": "adv_lib.attacks.fmn", "norms": ["l2"]}}},
        "attacks.own: adv_lib.attacks.fmn in l2: scales perturbations",
    ),
    (
        {"attacks": {"own": {"class": "torchattacks.PGDL2", "norms": ["l2"], "relative": {"alpha": "x"}}}},
        "attacks.own.relative.alpha: found 'x', allowed is a number",
    ),
    (
        {"attacks": {"nf": {**NEWTON, "arguments": {"steps": date(2020, 1, 1)}}}},
        "attacks.nf.arguments.steps: found the date 2020-01-01",
    ),
    (
        {"attacks": {"nf": {**NEWTON, "per_model": {"cnn": {"arguments": {"steps": b"5"}}}}}},
        "attacks.nf.per_model.cnn.arguments.steps: found b'5' of type bytes",
    ),
    (
        {"models": {"mine": {**OWN, "draws": 5}}},
        "models.mine.draws: found 5, allowed only for a model that draws random numbers; write random: true as well",
    ),
    (
        {"models": {"mine": {**OWN, "draws": 16, "random": False}}},
        "models.mine.draws: found 16, allowed only",
    ),
    ({"n_samples": 3, "shards": 4}, "shards: found 4, allowed is n_samples = 3 or less"),
    ({"images_per_shard": 0}, "images_per_shard: found 0, allowed is 1 or more"),
    (
        {"images_per_shard": 10, "shards": 4},
        "shards: found 4 beside images_per_shard: 10, allowed is one of them; set the other to null",
    ),
    ({"n_samples": 10_001}, "n_samples: found 10001, allowed are the 10000 test images of mnist"),
    (
        {"dataset": "digits", "n_samples": 361},
        "n_samples: found 361, allowed are the 360 test images of digits",
    ),
    (
        {
            "models": {"mine": {**OWN, "gradients": False}},
            "attacks": {"bim": {"models": ["cnn", "mine"]}},
        },
        "attacks.bim.models: found mine, which has no gradients; allowed are cnn, ",
    ),
]


@pytest.mark.parametrize(("changes", "message"), BAD, ids=[message.split(",")[0] for _, message in BAD])
def test_bad_input_is_named(changes, message):
    """With its key, what was found and what is allowed."""
    with pytest.raises(InputError) as caught:
        plan(**changes)
    assert str(caught.value).removeprefix("config key ").startswith(message)
    assert "\n" not in str(caught.value)


def test_a_home_folder_is_expanded(monkeypatch):
    monkeypatch.setenv("HOME", "/home/someone")
    checked = plan(
        models={"mine": {**OWN, "weights": "~/w.pt"}, "other": {**OWN, "weights": "./~w.pt"}},
        trained_weights="~/run/models", data_dir="~", published_weights="a~/b",
    )  # fmt: skip
    assert checked.model_spec("mine")["options"]["weights"] == "/home/someone/w.pt"
    assert checked.model_spec("other")["options"]["weights"] == "./~w.pt"
    assert checked.config["trained_weights"] == "/home/someone/run/models"
    assert (checked.config["data_dir"], checked.config["published_weights"]) == ("/home/someone", "a~/b")


CERTIFICATE = {"per_model": {"abs": {"duels": 2}}}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"thresholds": {"l2": 1}}, "thresholds: was renamed to epsilons"),
        ({"certificates": {"hops": 5}}, "certificates.hops: was renamed to perturbed_restarts"),
        ({"certificates": {"margin": 5}}, "certificates.margin: was renamed to pruning_share"),
        ({"attacks": {"certificate": {"duels": 2}}}, "attacks.certificate.duels: was renamed to class_pairs"),
        (
            {"attacks": {"certificate": CERTIFICATE}},
            "attacks.certificate.per_model.abs.duels: was renamed to class_pairs",
        ),
        ({"zzz": 5, "thresholds": {}}, "thresholds: was renamed to epsilons"),
    ],
    ids=lambda value: value.partition(":")[0] if isinstance(value, str) else "",
)
def test_an_old_key_is_refused_with_its_new_name(changes, message):
    with pytest.raises(InputError, match=f"^config key {re.escape(message)}$"):
        plan(**changes)


def test_renamed_keys_are_gone_and_their_new_names_are_known():
    """At the place of the old one."""
    whole = read_schema(SCHEMAS, "config")
    schema = {**whole["properties"], "attacks": {"properties": read_schema(SCHEMAS, "attacks")}}
    for old, new in RENAMED.items():
        *parents, key = old.split(".")
        place = schema
        for parent in parents:
            place = place[parent]["properties"]
        assert key not in place, old
        assert new in place, old


@pytest.mark.parametrize("key", ["run", "dataset", "n_samples", "models", "attacks"])
def test_missing_key_is_named(key):
    config = shipped()
    del config[key]
    with pytest.raises(InputError, match=f"^config: '{key}' is missing$"):
        Plan(config, SCHEMAS)


@pytest.mark.parametrize("name", DATASETS)
def test_every_test_image_may_be_attacked(name):
    n_test = DATASETS[name].n_test
    assert plan(dataset=name, n_samples=n_test, n_calibration=100).config["n_samples"] == n_test
