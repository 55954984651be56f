"""The whole workflow on a tiny configuration: its files, partial reruns, and what it refuses."""

import json
import os

import numpy as np
import pandas as pd
import pytest
import torch

from absynth.models.loading import load_model
from absynth.records import MINIMAL, SHARD, read_record

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
    for name in ("tables/table1.md", "tables/table1.csv", "tables/table1.tex", "tables/models.csv"):
        assert (results / name).stat().st_size > 0
    assert (results / "figures" / "accuracy_distortion.svg").read_text().startswith("<?xml")


def test_shards_can_be_checked_from_the_file_alone(finished):
    """Every stored adversarial, evaluated anew on the reference model, is what the file says."""
    results = finished.folder / "results" / "tiny"
    paths = sorted(results.glob("attacks/*/*/*/*.h5"))
    assert len(paths) == 3 * 3 * 2  # models, attacks (two in l2, one in l0), shards
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


def test_a_changed_budget_reruns_that_attack_alone(finished):
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


@pytest.mark.parametrize(
    ("module", "reruns", "spares"),
    [
        (
            "attacks/noise.py",
            ("attacks/cnn/l0/salt_pepper", "attacks/abs/l2/gaussian_noise"),
            ("models/", "attacks/cnn/l2/fgm"),
        ),
        (
            "inference/fast.py",
            ("models/abs/calibration.json", "attacks/abs"),
            ("models/abs/vae", "models/cnn", "attacks/cnn"),
        ),
        ("figures/style.py", ("figures/",), ("attacks/", "models/", "minimal/", "tables/")),
        ("training/vae.py", ("models/abs/vae_0.pt",), ("models/cnn/", "attacks/cnn")),
    ],
)  # fmt: skip
def test_an_edited_module_reruns_what_uses_it(finished, module, reruns, spares):
    path = finished.folder / "scripts" / "absynth" / module
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
    (finished.folder / "scripts" / "absynth" / "attacks" / "noise.py").touch()
    assert finished.planned() == set()


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"sharts": 2}, "config key sharts: unknown; did you mean shards?"),
        ({"n_samples": "many"}, "config key n_samples: found 'many', allowed is a value of type integer"),
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
