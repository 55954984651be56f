"""The program that measures what the workflow itself costs: that it runs what it says. No times."""

import csv
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

import workflow
from absynth.io.records import SHARD, read_record

COSTS = {"cpu_seconds", "seconds"}


def read(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_what_a_command_says_is_returned_and_what_it_fails_of_is_raised(tmp_path):
    cost, out = workflow.measure([sys.executable, "-c", "import os; print(os.getcwd())"], tmp_path)
    assert cost.keys() == COSTS
    assert Path(out.strip()) == tmp_path.resolve()
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        workflow.measure([sys.executable, "-c", "1 / 0"], tmp_path)


def test_what_a_job_imports_can_be_imported(tmp_path):
    starts = {name: workflow.STARTS[name] for name in ("Snakemake's preamble", "gather_minima")}
    assert [row["imports"] for row in workflow.start_up(tmp_path, 1, starts)] == [*starts]
    with pytest.raises(RuntimeError, match="no_such_module"):
        workflow.start_up(tmp_path, 1, {"missing": "import no_such_module"})


def test_jobs_that_do_nothing_are_all_run(tmp_path):
    rows = workflow.launched(tmp_path, 2)
    assert [row["run"] for row in rows] == ["one job", "each of 2 more"]
    assert sorted(path.name for path in (tmp_path / "launched" / "done").iterdir()) == ["0", "1", "2"]


def test_each_shard_adds_a_job_for_each_attack(tmp_path):
    place = workflow.checkout(tmp_path)
    overlay = workflow.one_model(place / "config" / "config.yaml")
    few, more = (workflow.dry_run(place, "one", shards, overlay)["jobs"] for shards in (1, 3))
    attacks = set(yaml.safe_load((place / "config" / "config.yaml").read_text())["attacks"])
    assert more - few == 2 * len(attacks - overlay["attacks"].keys())
    assert {"fgm", "ddn"} <= attacks - overlay["attacks"].keys()
    assert {"fgsm", "latent_descent", "certificate"} <= overlay["attacks"].keys()  # L∞, and not for a CNN


def test_made_up_shards_hold_every_image_once_and_each_attack_is_best_on_some(tmp_path):
    paths = workflow.write_shards(tmp_path, attacks=2, shards=3, images=11)
    assert len(paths["shards"]) == 6
    shards = [read_record(path, SHARD, {"run": workflow.RUN})[0] for path in paths["shards"]]
    first, second = (
        {name: np.concatenate([shard[name] for shard in part]) for name in ("index", "distance")}
        for part in (shards[:3], shards[3:])
    )
    assert first["index"].tolist() == second["index"].tolist() == list(range(11))
    misclassified = [0, 10]
    assert np.flatnonzero(first["distance"] == 0).tolist() == misclassified
    assert np.flatnonzero(second["distance"] == 0).tolist() == misclassified
    assert (first["distance"] < second["distance"]).sum() == 4
    assert (second["distance"] < first["distance"]).sum() == 5


def test_every_script_that_reads_shards_is_run_on_them(tmp_path):
    rows = workflow.reductions(tmp_path, attacks=2, shards=3, images=11)
    assert [row["script"] for row in rows] == [
        "gather_minima",
        "audit_attacks",
        "tabulate_minima",
    ]
    assert all(row["files"] == 6 and row["peak_mb"] > 1 for row in rows)
    place = tmp_path / "shards-3"
    assert [row["n"] for row in read(place / "summary.csv")] == ["11"] * 3
    assert [(row["n"], row["minima"]) for row in read(place / "attacks.csv")] == [("9", "4"), ("9", "5")]
    assert len(read(place / "distances.csv")) == 11
    assert (place / "audit.csv").is_file()


def test_table_on_paper():
    rows = [
        {"script": "gather_minima", "shards": 10, "seconds": 1.2345},
        {"script": "audit_attacks", "shards": 100, "seconds": 2.0},
    ]
    assert workflow.table(rows).splitlines() == [
        "| script | shards | seconds |",
        "| :-- | --: | --: |",
        "| gather_minima | 10 | 1.23 |",
        "| audit_attacks | 100 | 2 |",
    ]
