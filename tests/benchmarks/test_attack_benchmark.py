"""The program that measures attacks on released weights: its table, and which attacks it does not run twice."""

import json

import pytest
import torch
import yaml
from attack_table import COLUMNS, table

import attacks
from absynth.errors import InputError
from absynth.models.cnn import CNN
from absynth.models.weights import save_weights

INF = None  # as JSON has it


def result(distance, queries, *, seconds=2.0, cpu=1.0):
    n = len(distance)
    return {
        "distance": distance,
        "queries": [queries] * n,
        "gradients": [1] * n,
        "seconds": seconds,
        "cpu_seconds": cpu,
    }


def cells(text):
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]


def test_table_on_paper():
    header, _, *rows = cells(
        table(
            {
                "ddn/l2": result([0, 1.0, 2.0, INF], 10),
                "fgm/l2": result([0, 1.0, 3.0, INF], 20, cpu=4.0),
                "fgsm/linf": result([0, INF, INF, 0.5], 30),
            }
        )
    )
    assert header == list(COLUMNS)
    # three images are attacked: queries are given for all four here, and shared by the three
    assert rows == [
        ["ddn", "l2", "1.5", "0.25", "0.5", "13", "1", "40", "2"],
        ["fgm", "l2", "2", "1", "0.5", "27", "1", "20", "1"],
        ["all", "l2", "1.5", "1.25", "1", "40", "3", "24", "2"],
        ["fgsm", "linf", "inf", "0.25", "0.5", "40", "1", "120", "1"],
        ["all", "linf", "inf", "0.25", "0.5", "40", "1", "120", "1"],
    ]


def test_table_of_images_that_are_all_misclassified():
    assert cells(table({"ddn/l2": result([0, 0], 0)}))[2][2:] == ["0", "0.5", "1", "nan", "nan", "0", "0"]


@pytest.fixture
def run(tmp_path):
    """Run the program on digits with an untrained CNN and the given attacks."""
    torch.manual_seed(0)
    save_weights(tmp_path / "vanilla_cnn.net", CNN())
    known = yaml.safe_load((attacks.ROOT / "config" / "config.yaml").read_text(encoding="utf-8"))["attacks"]

    def run(attacks_entry, *options):
        config = tmp_path / "config.yaml"
        content = {
            "dataset": "digits",
            "n_calibration": 100,
            "attacks": {**dict.fromkeys(known), **attacks_entry},
        }
        config.write_text(yaml.safe_dump(content), encoding="utf-8")
        arguments = ["--weights", str(tmp_path), "--images", "20", "--config", str(config), *options]
        return attacks.main(attacks.parse(arguments))

    return run


ATTACKS = {
    "salt_pepper": {"repetitions": 2},
    "gaussian_noise": {"repetitions": 2},
    "boundary": {"steps": 5, "trials": 1, "start_from": ["gaussian_noise"]},
}


def test_attacks_run_with_the_options_of_the_config_and_after_their_starts(run):
    runs = run(ATTACKS)
    assert list(runs.results) == ["gaussian_noise/l2", "boundary/l2", "salt_pepper/l0"]
    assert runs.results["salt_pepper/l0"]["options"]["repetitions"] == 2
    assert runs.skipped == {}
    led, start = (runs.results[f"{name}/l2"]["distance"] for name in ("boundary", "gaussian_noise"))
    pairs = [(a, b) for a, b in zip(led, start, strict=True) if b]
    assert pairs
    assert all(a <= b for a, b in pairs)


def test_norms_and_attacks_may_be_chosen(run):
    assert list(run(ATTACKS, "--norms", "l0").results) == ["salt_pepper/l0"]
    assert list(run(ATTACKS, "--attacks", "boundary").results) == ["boundary/l2"]
    with pytest.raises(InputError, match="--attacks: found fgm, the config has gaussian_noise, boundary"):
        run(ATTACKS, "--attacks", "fgm")


def test_finished_attacks_are_not_run_again(run, tmp_path):
    out = tmp_path / "results.json"
    run({"salt_pepper": {"repetitions": 2}, "gaussian_noise": {"repetitions": 2}}, "--out", str(out))
    content = json.loads(out.read_text())
    for value in content["results"].values():
        value["seconds"] = -1.0  # marks what was not measured anew
    out.write_text(json.dumps(content))
    again = run({**ATTACKS, "salt_pepper": {"repetitions": 3}}, "--out", str(out)).results
    assert {key: value["seconds"] < 0 for key, value in again.items()} == {
        "gaussian_noise/l2": True,
        "boundary/l2": False,
        "salt_pepper/l0": False,  # its options are others
    }
    assert json.loads(out.read_text())["results"].keys() == again.keys()


@pytest.mark.parametrize(("content", "message"), [("[]", "no results of this program"), ("{", "no results")])
def test_file_of_something_else_is_left_alone(run, tmp_path, content, message):
    out = tmp_path / "results.json"
    out.write_text(content)
    with pytest.raises(InputError, match=f"results.json: {message}.*; give another --out"):
        run(ATTACKS, "--out", str(out))
    assert out.read_text() == content


def test_results_of_other_settings_are_not_mixed(run, tmp_path):
    out = tmp_path / "results.json"
    run({"salt_pepper": {"repetitions": 2}}, "--out", str(out))
    with pytest.raises(InputError, match="made with images 20, now 10; give another --out"):
        run({"salt_pepper": {"repetitions": 2}}, "--out", str(out), "--images", "10")


def test_an_attack_that_cannot_run_is_skipped_with_the_reason(run, monkeypatch):
    def missing(*arguments, **options):
        raise InputError("needs a substitute")

    def broken(*arguments, **options):
        raise RuntimeError("no")

    monkeypatch.setattr("absynth.attacks.noise.gaussian_noise", missing)
    monkeypatch.setattr("absynth.attacks.noise.salt_pepper", broken)
    runs = run({**ATTACKS, "fgm": {"models": ["abs"]}, "fgsm": {"doublings": 3}})
    assert list(runs.results) == ["fgsm/linf"]
    assert runs.skipped == {
        "fgm/l2": "the config or its need of gradients keeps it from cnn",
        "gaussian_noise/l2": "needs a substitute",
        "boundary/l2": "needs a substitute",
        "salt_pepper/l0": "failed: RuntimeError: no",
    }


@pytest.mark.published
@pytest.mark.parametrize("name", attacks.MODELS)
def test_released_models_are_built_from_their_own_files(published, name):
    plan = attacks.read_plan(attacks.ROOT / "config" / "digits.yaml", name, 3)
    model = attacks.released_model(plan, name, published)
    assert model(torch.rand(1, 1, 28, 28, generator=torch.Generator().manual_seed(0))).shape == (1, 10)
