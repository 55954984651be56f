"""The whole workflow on a tiny configuration: its files, partial reruns, and what it refuses."""

import json
import os
import re

import numpy as np
import pandas as pd
import pytest
import torch
from browser import open_page

from absynth.evaluation.audit import COLUMNS, WITH
from absynth.evaluation.calibration import log_confidence
from absynth.io.records import DISTAL, MINIMAL, SHARD, read_record
from absynth.models.calibration_file import read_calibration
from absynth.models.loading import load_model

pytestmark = pytest.mark.workflow


def test_all_results_are_there_and_agree(finished):
    results = finished.folder / "results" / "tiny"
    table = pd.read_csv(results / "tables" / "robustness.csv")
    assert list(table.columns) == ["model", "norm", "attack", "median", "accuracy", "n"]
    assert set(table["model"]) == {"cnn", "nearest_neighbor", "abs"}
    assert set(table[table["norm"] == "l0"]["attack"]) == {"salt_pepper", "all"}
    for row in table[table["attack"] == "all"].itertuples():
        columns, _ = read_record(results / "minimal" / row.model / f"{row.norm}.h5", MINIMAL)
        assert row.median == np.median(columns["distance"])
        assert columns["index"].tolist() == [0, 1, 2, 3]
        others = table[(table["model"] == row.model) & (table["norm"] == row.norm)]
        assert (others["median"] >= row.median).all()
    audited = pd.read_csv(results / "tables" / "audit.csv")
    assert list(audited.columns) == list(COLUMNS)
    assert set(audited["attack"]) <= {*table["attack"], WITH}
    for name in ("tables/table1.md", "tables/table1.csv", "tables/table1.tex", "tables/models.csv"):
        assert (results / name).stat().st_size > 0
    assert (results / "figures" / "accuracy_distortion.svg").read_text().startswith("<?xml")
    made_with = json.loads((results / "tables" / "provenance.json").read_text(encoding="utf-8"))
    assert made_with["config"]["run"] == "tiny"
    assert made_with["config"]["certificates"]["pruning_share"] > 0  # a default
    assert made_with["hardware"]["devices"]


FIGURES = [
    *(
        "accuracy_distortion",
        "distribution",
        "adversarials",
        "quantiles_l2",
        "quantiles_l0",
        "bracket",
        "distal",
    ),
    *("samples", "reconstructions", "attacks", "training"),
]


def test_every_figure_is_there_in_both_formats(finished):
    drawn = {path.name for path in (finished.folder / "results" / "tiny" / "figures").iterdir()}
    assert drawn == {f"{name}.{suffix}" for name in FIGURES for suffix in ("png", "svg")}


def test_the_report_shows_the_table_and_every_figure(finished, tmp_path):
    results = finished.folder / "results" / "tiny"
    script = """
        const loaded = [...document.images].map((image) => { image.loading = 'eager'; return image.decode(); });
        Promise.all(loaded).then(() => {
            const found = [...document.images].map((image) => image.complete && image.naturalWidth);
            document.body.append(Object.assign(document.createElement('pre'), {id: 'check', textContent: found}));
        });
    """
    document, console = open_page(results / "report.html", tmp_path / "browser", script)
    assert console == []
    widths = re.search(r'<pre id="check">(.*?)</pre>', document)[1].split(",")
    assert len(widths) == len(FIGURES)
    assert all(int(width) > 100 for width in widths)
    cells = pd.read_csv(results / "tables" / "table1.csv").iloc[:, 2:].stack().dropna()
    assert len(cells) > 10
    assert all(f">{cell}</td>" in document for cell in cells)


def test_snakemake_s_own_report_has_the_figures(finished, tmp_path):
    done = finished.snakemake("--report", str(tmp_path / "own.html"))
    assert done.returncode == 0, done.stdout
    own = (tmp_path / "own.html").read_text(encoding="utf-8")
    assert "Minimal adversarials" in own
    assert "figures/reconstructions.png" in own


def test_distal_images_are_evaluated_by_the_reference(finished):
    results = finished.folder / "results" / "tiny"
    for name in ("cnn", "nearest_neighbor", "abs"):
        columns, attributes = read_record(results / "distal" / f"{name}.h5", DISTAL, {"model": name})
        assert attributes["target"] == 0.9
        assert columns["confidence"].shape == (2, 6)
        constants = read_calibration(results / "models" / name / "calibration.json")
        with torch.no_grad():
            model = load_model(results, name, inference="reference")
            logits = model(torch.from_numpy(columns["image"])).double()
        found = log_confidence(logits, constants["alpha"], constants["eta"]).exp()
        expected = found.gather(1, torch.from_numpy(columns["label"])[:, None])[:, 0]
        np.testing.assert_allclose(columns["final_confidence"], expected, rtol=1e-4)
        np.testing.assert_array_equal(columns["reached"], columns["final_confidence"] >= 0.9)


def test_lower_bounds_and_attacks_bracket_every_image(finished):
    results = finished.folder / "results" / "tiny"
    bracket = pd.read_csv(results / "tables" / "bracket.csv")
    assert list(bracket.columns) == ["model", "norm", "index", "lower", "basis", "upper", "attack"]
    assert {model for model, _ in bracket.groupby(["model", "norm"]).groups} == {"nearest_neighbor", "abs"}
    for (model, norm), part in bracket.groupby(["model", "norm"]):
        bounds = pd.read_csv(results / "bounds" / model / f"{norm}.csv")
        assert list(bounds.columns)[:5] == ["index", "label", "correct", "paper", "joint"]
        assert bounds["index"].tolist() == part["index"].tolist() == [0, 1, 2, 3]
        assert bounds["joint"].tolist() == part["lower"].tolist()
        assert (bounds["joint"][bounds["correct"] == 0] == 0).all()
        assert bounds["paper"].isna().all() == (model == "nearest_neighbor" or norm == "l0")
        assert ((part["upper"] > 0) == (bounds["correct"] == 1).to_numpy()).all()
    bases = bracket.groupby("model")["basis"].agg(set).to_dict()
    assert bases == {"nearest_neighbor": {"proved"}, "abs": {"searched"}}
    exact = bracket[bracket["model"] == "nearest_neighbor"]
    assert (exact["upper"] >= exact["lower"] - 1e-3).all()
    violations = pd.read_csv(results / "tables" / "bound_violations.csv")
    assert "nearest_neighbor" not in set(violations["model"])
    table = pd.read_csv(results / "tables" / "bounds.csv")
    assert set(table[table["model"] == "abs"]["bound"]) == {"joint", "paper", "paper_without_kl"}
    assert (table[table["bound"] == "paper"]["seeds"] == 2).all()
    table1 = (results / "tables" / "table1.md").read_text(encoding="utf-8")
    assert all(f"Median lower bound ({basis})" in table1 for basis in ("proved", "searched"))
    assert (results / "figures" / "bracket.svg").stat().st_size > 0


def test_lower_bounds_of_a_model_without_any_are_refused(finished):
    done = finished.snakemake("--dry-run", "results/tiny/bounds/cnn/l2.csv")
    assert done.returncode != 0
    assert (
        "lower bounds of cnn: there are none for its kind; of this run's models nearest_neighbor, abs have them"
        in done.stdout
    )


def test_shards_can_be_checked_from_the_file_alone(finished):
    """Every stored adversarial, evaluated anew on the reference model, is what the file says."""
    results = finished.folder / "results" / "tiny"
    paths = sorted(results.glob("attacks/*/*/*/*.h5"))
    assert len(paths) == (3 * 4 + 1) * 2  # models, attacks (three in l2, one in l0; one on cnn alone), shards
    for path in paths:
        columns, attributes = read_record(path, SHARD, {"run": "tiny"})
        model = load_model(results, attributes["model"], inference="reference")
        with torch.no_grad():
            prediction = model(torch.from_numpy(columns["adversarial"])).argmax(dim=1).numpy()
        np.testing.assert_array_equal(prediction, columns["adversarial_prediction"], err_msg=str(path))
        found = np.isfinite(columns["distance"])
        assert (prediction[found] != columns["label"][found]).all()


def test_calibration_says_how_to_build_the_model(finished):
    content = json.loads((finished.folder / "results/tiny/models/cnn/calibration.json").read_text())
    assert set(content) >= {"alpha", "eta", "gamma", "median_confidence", "accuracy", "model"}


def test_nothing_is_left_to_do(finished):
    assert finished.planned() == set()


def test_a_changed_option_reruns_that_attack_alone(finished):
    changed = finished.config(attacks={"fgm": {"doublings": 9}})
    planned = finished.planned(config=changed)
    shards = {path for path in planned if path.startswith("attacks/")}
    assert shards == {
        f"attacks/{model}/l2/fgm/{i}.h5" for model in ("cnn", "nearest_neighbor", "abs") for i in (0, 1)
    }
    assert {path for path in planned if path.startswith("minimal/")} == {
        f"minimal/{model}/l2.{suffix}"
        for model in ("cnn", "nearest_neighbor", "abs")
        for suffix in ("h5", "csv")
    }
    assert not any(path.startswith(("models/", "data/")) for path in planned)
    assert "tables/robustness.csv" in planned


def test_a_changed_refinement_spares_the_training_before_it(finished):
    vae = {"epochs": 2, "batch_size": 64, "refine": {"epochs": 1, "shift": 2}}
    planned = finished.planned(config=finished.config(vae=vae))
    refined = {f"models/abs/vae_{label}.{suffix}" for label in range(10) for suffix in ("pt", "csv")}
    assert refined <= planned
    assert not any(path.startswith(("models/abs/unrefined/", "models/cnn/")) for path in planned)


def test_the_curve_of_a_refinement_goes_on(finished):
    folder = finished.folder / "results" / "tiny" / "models" / "abs"
    curve = pd.read_csv(folder / "vae_3.csv")
    before = pd.read_csv(folder / "unrefined" / "vae_3.csv")
    assert curve["epoch"].tolist() == [1, 2, 3]
    assert curve["beta"].tolist() == [*before["beta"], 0.7]
    pd.testing.assert_frame_equal(curve[:2], before)


@pytest.mark.parametrize(
    ("module", "reruns", "spares"),
    [
        (
            "attacks/noise.py",
            ("attacks/cnn/l0/salt_pepper", "attacks/abs/l2/gaussian_noise"),
            ("models/", "attacks/cnn/l2/fgm"),
        ),
        (
            "models/abs/fast.py",
            ("models/abs/calibration.json", "attacks/abs"),
            ("models/abs/vae", "models/cnn", "attacks/cnn"),
        ),
        ("reporting/figures/style.py", ("figures/",), ("attacks/", "models/", "minimal/", "tables/robustness.csv")),
        (
            "evaluation/distal.py",
            ("distal/", "tables/distal.csv", "report.html"),
            ("attacks/", "models/", "minimal/"),
        ),
        ("reporting/report.py", ("report.html",), ("figures/", "tables/robustness.csv", "tables/audit.csv")),
        ("training/vae.py", ("models/abs/vae_0.pt",), ("models/cnn/", "attacks/cnn")),
    ],
)  # fmt: skip
def test_an_edited_module_reruns_what_uses_it(finished, module, reruns, spares):
    path = finished.folder / "src" / "absynth" / module
    before = path.read_text(encoding="utf-8")
    try:
        path.write_text(before + "\n# edited\n", encoding="utf-8")
        planned = finished.planned()
    finally:
        path.write_text(before, encoding="utf-8")
    for start in reruns:
        assert any(output.startswith(start) for output in planned), start
    for start in spares:
        assert not any(output.startswith(start) for output in planned), start


def test_a_touched_module_reruns_nothing(finished):
    (finished.folder / "src" / "absynth" / "attacks" / "noise.py").touch()
    assert finished.planned() == set()


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"sharts": 2}, "config key sharts: unknown; did you mean shards?"),
        ({"n_samples": "many"}, "config key n_samples: found 'many', allowed is a whole number"),
        ({"shards": 9}, "config key shards: found 9, allowed is n_samples = 4 or less"),
        ({"dataset": "cifar"}, "cifar"),
        ({"norms": ["l1"]}, "found 'l1', allowed are l2, linf, l0"),
        ({"models": {"resnet": {}}}, "config key models.resnet: unknown"),
        ({"attacks": {"fgmm": {}}}, "config key attacks.fgmm: unknown; did you mean fgm?"),
        (
            {"attacks": {"fgm": {"doublings": 99}}},
            "config key attacks.fgm.doublings: found 99, allowed is 16 or less",
        ),
    ],
)
def test_a_bad_config_is_refused_at_once(finished, changes, found):
    done = finished.snakemake("--dry-run", config=finished.config(**changes))
    assert done.returncode != 0
    assert found in done.stdout
    assert "Traceback" not in done.stdout
    assert len([line for line in done.stdout.splitlines() if "config key" in line]) <= 1


def test_a_damaged_shard_is_named_and_the_rest_is_kept(finished):
    shard = finished.folder / "results/tiny/attacks/cnn/l2/fgm/0.h5"
    whole = shard.read_bytes()
    times = shard.stat()
    table = (finished.folder / "results/tiny/tables/robustness.csv").read_text()
    try:
        shard.write_bytes(whole[:1000])
        done = finished.snakemake("results/tiny/minimal/cnn/l2.csv")
        assert done.returncode != 0
        assert "fgm/0.h5: damaged or not HDF5" in done.stdout
        assert (finished.folder / "results/tiny/tables/robustness.csv").read_text() == table
    finally:
        shard.write_bytes(whole)
        os.utime(shard, ns=(times.st_atime_ns, times.st_mtime_ns))
        assert finished.snakemake().returncode == 0
