"""The program that estimates what a config costs from a smaller run: its arithmetic on made-up measurements."""

import json

import cost
import pytest
from configs import ROOT, SCHEMAS, overlaid, shipped
from laid_over import read_config

from absynth.errors import InputError
from absynth.workflow.plan import Plan

THREADS = 2
SMALL = {
    "n_samples": 10,
    "shards": 2,
    "threads": dict.fromkeys(("train", "calibrate", "attack"), THREADS),
    "norms": ["l2"],
    "certificates": {"seeds": 1},
    "vae": {"epochs": 60, "refine": {"epochs": 12}},
}
SECONDS = {("cnn", "boundary"): 3.0, ("cnn", "fgm_ge"): 2.0, ("abs", "boundary"): 30.0}  # per shard of five
QUERIES = {("cnn", "boundary"): 600, ("cnn", "fgm_ge"): 400, ("abs", "boundary"): 300}  # per image


def small() -> dict:
    """Settings of a run of two attacks on CNN and ABS, GE on the CNN alone."""
    config = overlaid(shipped(), SMALL)
    config["models"] = {**dict.fromkeys(config["models"]), "cnn": config["models"]["cnn"], "abs": {}}
    config["attacks"] = {
        **dict.fromkeys(config["attacks"]),
        "boundary": {"steps": 1000},
        "fgm_ge": {"models": ["cnn"]},
    }
    return config


def job(path, seconds: float, cpu="0.1") -> None:
    """A job's measurements, held for so many core seconds; its CPU time is behind."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"s\tcpu_time\n{seconds / THREADS}\t{cpu}\n", encoding="utf-8")


@pytest.fixture
def run(tmp_path):
    config = small()
    Plan(config, SCHEMAS)
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "provenance.json").write_text(json.dumps({"config": config}), encoding="utf-8")
    rows = [f"{model},l2,{attack},{queries}" for (model, attack), queries in QUERIES.items()]
    (tmp_path / "tables" / "attacks.csv").write_text(
        "\n".join(["model,norm,attack,queries", *rows]), encoding="utf-8"
    )
    for (model, attack), seconds in SECONDS.items():
        for shard in range(2):
            job(tmp_path / "benchmarks" / "run_attack" / f"{model}-l2-{attack}-{shard}.tsv", seconds)
    for label in range(10):
        job(tmp_path / "benchmarks" / "train_vae" / f"{label}.tsv", 6.0)
        job(tmp_path / "benchmarks" / "refine_vae" / f"{label}.tsv", 2.0)
    job(tmp_path / "benchmarks" / "train_classifier" / "cnn.tsv", 50)
    job(tmp_path / "benchmarks" / "calibrate_model" / "abs.tsv", 7)
    for model in ("abs", "cnn"):
        job(tmp_path / "benchmarks" / "verify_records" / f"{model}-l2.tsv", 3)
    job(tmp_path / "benchmarks" / "compute_lower_bounds" / "abs-l2-0.tsv", 20)
    return tmp_path


@pytest.fixture
def target(tmp_path):
    """The same models and attacks on 100 images, with five times the steps and GE on both."""
    config = small()
    config |= {"n_samples": 100, "vae": shipped()["vae"], "certificates": shipped()["certificates"]}
    config["attacks"] |= {"boundary": {"steps": 5000}, "fgm_ge": {}, "bim_ge": shipped()["attacks"]["bim_ge"]}
    path = tmp_path / "target.yaml"
    path.write_text(json.dumps(config), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("held", "cpu", "taken"),
    [(50, "0", 50), (50, "NA", 50), (500, "480", 500), (500, "100", 100 + THREADS * cost.POLLING)],
)
def test_a_job_costs_what_it_held_but_for_what_it_waited(tmp_path, held, cpu, taken):
    job(tmp_path / "benchmarks" / "compute_lower_bounds" / "abs-l2-0.tsv", held, cpu)
    jobs = cost.Jobs(Plan(small(), SCHEMAS), tmp_path)
    assert jobs.seconds("attack", "compute_lower_bounds/abs-*.tsv") == taken


def test_costs_are_scaled_to_images_options_and_queries(run, target):
    source, plan = Plan(small(), SCHEMAS), Plan(read_config(target), SCHEMAS)
    estimate = cost.Estimate(plan, cost.measured(source, run))
    cost.stages(estimate, plan, source, run)
    cnn, abs_ = estimate.seconds["cnn"], estimate.seconds["abs"]
    assert cnn["attacks run"] == pytest.approx(100 * (3 / 5 * 5 + 2 / 5))
    assert abs_["attacks run"] == pytest.approx(100 * 30 / 5 * 5)
    assert abs_["attacks by queries"] == pytest.approx(100 * 400 * (30 / 5) / 300)
    assert (cnn["training"], abs_["training"]) == (50, 10 * (6 * 120 / 60 + 2 * 48 / 12))
    assert abs_["lower bounds"] == pytest.approx(20 * 10 * (1 + 10) / (1 + 1))
    assert (abs_["calibration"], abs_["verification"]) == (7, 3 * 10)
    assert estimate.unknown == {"bim_ge (l2)": ["cnn", "abs"], "calibration": ["cnn"]}


def test_other_measurements_fill_in(run, target, tmp_path):
    plan = Plan(read_config(target), SCHEMAS)
    result = {"queries": [100, 300], "options": plan.options("bim_ge", "binary_cnn")}
    path = tmp_path / "more.json"
    path.write_text(json.dumps({"settings": {"model": "binary_cnn"}, "results": {"bim_ge/l2": result}}))
    text = cost.main(run, target, [path])
    assert "Not estimated: calibration on cnn." in text
    known = {**cost.more([path]), **cost.measured(Plan(small(), SCHEMAS), run)}
    cnn = cost.Estimate(plan, known).seconds["cnn"]
    assert cnn["attacks by queries"] == pytest.approx(100 * 200 * (3 / 5 + 2 / 5) / (600 + 400))


def test_effort_is_what_multiplies():
    assert cost.effort({"steps": 20, "step_sizes": [0.1, 0.2], "restarts": 3, "bisections": 6}) == 120
    assert cost.effort({}) == 1


def test_training_is_not_known_of_weights_from_elsewhere(run, target):
    for path in run.glob("benchmarks/train_*/*.tsv"):
        path.unlink()
    assert "training on cnn, abs" in cost.main(run, target, [])


def test_refinement_that_the_run_lacks_is_named(run, target):
    path = run / "tables" / "provenance.json"
    about = json.loads(path.read_text(encoding="utf-8"))
    about["config"]["vae"]["refine"] = None
    path.write_text(json.dumps(about), encoding="utf-8")
    assert "refinement on abs" in cost.main(run, target, [])


def test_models_that_the_run_lacks_are_named(run, target):
    config = json.loads(target.read_text(encoding="utf-8"))
    config["models"]["madry"] = {}
    target.write_text(json.dumps(config), encoding="utf-8")
    assert "all but attacks on madry" in cost.main(run, target, [])


def test_what_is_no_finished_run_is_named(tmp_path):
    with pytest.raises(InputError, match=r"lacks tables/provenance\.json"):
        cost.main(tmp_path, ROOT / "config" / "config.yaml", [])
