"""The files of a run, by its plan."""

import pytest
from configs import OWN, plan

from absynth.errors import InputError
from absynth.reporting.contents import FIGURES
from absynth.workflow.outputs import Outputs
from absynth.workflow.plan import Plan

ONLY_CNN = dict.fromkeys(("binary_cnn", "nearest_neighbor", "madry", "binary_abs", "abs"))
SMALL = {
    "run": "trial",
    "norms": ["l2", "l0"],
    "shards": 2,
    "models": {"binary_cnn": None, "madry": None, "binary_abs": None},
}


def small(**changes) -> Plan:
    """Three models in two norms, with three attacks."""
    made = plan()
    attacks = dict.fromkeys(made.config["attacks"])
    kept = {"fgm": {}, "boundary": {"start_from": ["fgm"]}, "salt_pepper": {}, "transfer": {}}
    return plan(**{**SMALL, "attacks": {**attacks, **kept}, **changes})


def test_paths_lie_in_the_folder_of_the_run():
    assert Outputs(small()).path("data/test.h5") == "results/trial/data/test.h5"


def test_a_model_is_built_from_its_weights_the_training_split_and_its_constants():
    outputs = Outputs(plan(run="trial", models={"mine": OWN}))
    assert outputs.model_files("cnn") == ["results/trial/models/cnn/weights.pt"]
    assert outputs.model_files("nearest_neighbor") == ["results/trial/data/train.h5"]
    assert outputs.model_files("mine") == ["net.pt"]
    vaes = [f"results/trial/models/abs/vae_{label}.pt" for label in range(10)]
    constants = "results/trial/models/binary_abs/calibration.json"
    assert outputs.model_files("binary_abs") == [*vaes, constants]
    assert outputs.uncalibrated_model_files("binary_abs") == vaes
    assert outputs.lower_bound_files("abs") == vaes
    assert (
        len(outputs.weights) == len(set(outputs.weights)) == 3 + 10 + 1
    )  # classifiers, VAEs, the substitute
    with pytest.raises(InputError, match="lower bounds of cnn: there are none for its kind"):
        outputs.lower_bound_files("cnn")


def test_the_substitute_is_read_by_the_attacks_that_need_it():
    outputs = Outputs(small())
    assert outputs.substitute_files("transfer") == ["results/trial/models/substitute/weights.pt"]
    assert outputs.substitute_files("fgm") == []


def test_shards_are_those_of_all_attacks_that_apply():
    outputs = Outputs(small())
    folder = "results/trial/attacks/cnn/l0/salt_pepper"
    assert outputs.attack_shards("cnn", "l0") == [f"{folder}/0.h5", f"{folder}/1.h5"]
    attacks = [path.split("/")[5] for path in outputs.attack_shards("cnn", "l2")]
    assert attacks == [name for name in ("transfer", "boundary", "fgm") for _ in range(2)]
    assert len(outputs.all_shards) == 3 * (3 + 1) * 2
    job = ("abs", "l2", "boundary", "1")
    assert outputs.attack_starts(*job) == ["results/trial/attacks/abs/l2/fgm/1.h5"]
    assert outputs.attack_checkpoint(*job) == "results/trial/checkpoints/attack/abs-l2-boundary-1.h5"


def test_files_of_each_model_and_norm():
    outputs = Outputs(small())
    cases = [
        f"results/trial/{model}-{norm}"
        for model in ("cnn", "nearest_neighbor", "abs")
        for norm in ("l2", "l0")
    ]
    assert outputs.of_attacked("{model}-{norm}") == cases
    assert outputs.of_bounded("{model}-{norm}") == outputs.of_bracketed("{model}-{norm}") == cases[2:]
    assert outputs.minima("l0") == [
        f"results/trial/minimal/{model}/l0.h5" for model in ("cnn", "nearest_neighbor", "abs")
    ]


def test_without_attacks_in_a_norm_nothing_is_bracketed_in_it():
    made = small(norms=["l2", "linf", "l0"], attacks={**dict.fromkeys(plan().config["attacks"]), "fgm": {}})
    outputs = Outputs(made)
    assert made.norms_attacked == ["l2"]
    assert outputs.minima("linf") == []
    assert [path.split("/")[-1] for path in outputs.of_bracketed("{norm}")] == ["l2", "l2"]
    assert len(outputs.of_bounded("{norm}")) == 2 * 3
    assert made.shown_norm(made.models) == "l2"


def test_the_norm_shown_is_l2_or_the_first_attacked():
    attacks = dict.fromkeys(plan().config["attacks"])
    made = plan(
        norms=["l0", "linf", "l2"], attacks={**attacks, "fgsm": {}, "salt_pepper": {"models": ["abs"]}}
    )
    assert made.shown_norm(made.models) == "l0"
    assert made.shown_norm(["cnn"]) == "linf"
    made = plan(norms=["l0", "linf", "l2"], attacks={**attacks, "fgsm": {}, "fgm": {}})
    assert made.shown_norm(made.models) == "l2"


def test_a_run_has_the_figures_of_what_is_in_it():
    whole = Outputs(plan())
    assert {figure.figure for figure in whole.figures} == set(FIGURES)
    assert "results/mnist/figures/quantiles_linf.png" in whole.figure_files("png")
    assert "distal" in whole.reported_tables
    without = Outputs(plan(trained_weights="results/other/models"))
    assert {figure.figure for figure in whole.figures} - {figure.figure for figure in without.figures} == {
        "training"
    }
    cnn = Outputs(plan(models=ONLY_CNN))
    assert {figure.figure for figure in cnn.figures}.isdisjoint({"bracket", "samples", "reconstructions"})
    own = {"mine": {**OWN, "gradients": False}, "cnn": None, **ONLY_CNN}
    none = Outputs(plan(models=own))
    assert "distal" not in none.reported_tables
    assert "distal" not in {figure.figure for figure in none.figures}


@pytest.mark.parametrize(
    ("refine", "folder"), [({"epochs": 1}, "models/abs/unrefined"), (None, "models/abs")]
)
def test_vaes_that_are_refined_are_trained_into_a_folder_of_their_own(refine, folder):
    made = plan(vae={"refine": refine})
    outputs = Outputs(made)
    assert outputs.trained_vaes == folder
    stages = {path.split("/")[3] for path in outputs.benchmarks()}
    assert ("refine_vae" in stages) is bool(refine)
    assert made.vae_curves == list(range(10))


def test_weights_from_elsewhere_are_not_trained():
    made = plan(published_weights="released")
    assert made.imported_vaes
    assert made.imported_classifiers == ["cnn", "binary_cnn", "substitute"]
    assert made.trained_classifiers == made.classifier_curves == ["madry"]
    assert made.vae_curves == []
    stages = [path.split("/")[3] for path in Outputs(made).benchmarks()]
    assert "train_vae" not in stages
    assert stages.count("train_classifier") == 1
    assert not plan().imported_vaes


def test_a_model_can_have_weights_of_its_own_or_be_trained_whatever_the_runs_say():
    own = {
        "few": {"kind": "cnn", "trained_weights": None},
        "other": {"kind": "cnn", "trained_weights": "their/models"},
    }
    made = plan(models=own, trained_weights="results/other/models", published_weights="released")
    assert {"few", "other"} & set(made.trained_classifiers) == {"few"}
    assert made.weight_sources("other") == {"models/other/weights.pt": "their/models/other/weights.pt"}
    assert made.weight_sources("cnn") == {"models/cnn/weights.pt": "released/vanilla_cnn.net"}
    assert "trained_weights" not in made.planned("few").training
    with pytest.raises(
        InputError, match=r"models\.few\.trained_weights: found results/mnist/models, allowed is that of an"
    ):
        plan(models={"few": {"kind": "cnn", "trained_weights": "results/mnist/models"}})
    assert plan().trained_classifiers == ["cnn", "binary_cnn", "madry", "substitute"]
    assert plan().classifier_curves == ["cnn", "binary_cnn", "madry"]


def test_prototypes_are_weights_and_making_them_is_costly():
    outputs = Outputs(small(models={**SMALL["models"], "prototype_abs": {}}))
    path = "results/trial/models/prototype_abs/prototypes.pt"
    assert outputs.model_files("prototype_abs") == outputs.lower_bound_files("prototype_abs") == [path]
    assert path in outputs.weights
    assert "results/trial/benchmarks/build_prototypes/prototype_abs.tsv" in outputs.benchmarks()


def test_every_costly_job_has_a_benchmark():
    outputs = Outputs(small())
    stages = [path.split("/")[3] for path in outputs.benchmarks()]
    assert {stage: stages.count(stage) for stage in stages} == {
        "train_vae": 10,
        "refine_vae": 10,
        "train_classifier": 1,
        "calibrate_model": 3,
        "run_attack": len(outputs.all_shards),
        "compute_lower_bounds": 2 * 2 * 2,
        "verify_records": 3 * 2,
        "generate_distal": 3,
    }
