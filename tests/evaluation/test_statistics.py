"""One row per file: distal adversarials, attacks, and the runtime of rules."""

import math

import numpy as np
import pandas as pd
import pytest

from absynth.errors import InputError
from absynth.evaluation.statistics import AttackTotals, summarise_distal
from absynth.reporting.runtime import write_runtime


def ascents(**changes) -> dict[str, np.ndarray]:
    whole = {
        "reached": np.array([1, 1, 1, 0]),
        "steps": np.array([4, 6, 20, 30]),
        "final_confidence": np.array([0.9, 0.95, 0.92, 0.1]),
        "moved": np.array([1.0, 2.0, 13.0, 1.0]),
        "nearest": np.array([14.0, 13.0, 5.0, 14.0]),
    }
    return whole | changes


def test_high_confidence_ascents_are_distal_if_they_stay_nearer_to_the_noise_than_to_the_data():
    assert summarise_distal(ascents()) == {
        "n": 4,
        "reached": 3,
        "distal": 2,
        "median_steps": 6,
        "median_confidence": (0.9 + 0.92) / 2,
        "median_moved": 2.0,
        "median_nearest": 13.0,
    }


def test_medians_over_no_ascent_are_missing():
    row = summarise_distal(ascents(reached=np.zeros(4, int)))
    assert (row["reached"], row["distal"]) == (0, 0)
    assert math.isnan(row["median_steps"])
    assert math.isnan(row["median_nearest"])


def shard(index, distance, queries) -> dict[str, np.ndarray]:
    return {
        "index": np.array(index),
        "distance": np.array(distance, float),
        "queries": np.array(queries),
        "gradients": np.array(queries) // 2,
    }


def test_statistics_of_an_attack_are_over_the_images_that_it_attacked():
    total = AttackTotals("fgm")
    best_attacks = {0: "", 1: "fgm", 2: "bim", 3: "bim"}
    total.add(shard([0, 1], [0, 2.0], [0, 10]), 1.5, "cuda:0", best_attacks)
    total.add(shard([2, 3], [math.inf, 1.0], [30, 20]), 2.0, "cpu", best_attacks)
    assert total.row() == {
        "n": 3,
        "found": 2,
        "minima": 1,
        "queries": 20,
        "gradients": 10,
        "nonfinite": 0,
        "near_bound": 0,
        "seconds": 3.5,
        "device": "cpu cuda:0",
    }


def test_answers_that_are_not_finite_are_counted():
    total = AttackTotals("fgm")
    total.add(
        shard([0, 1], [1.0, 2.0], [9, 10]) | {"nonfinite": np.array([3, 4])}, 1.0, "cpu", {0: "", 1: ""}
    )
    total.add(shard([2], [1.0], [9]), 1.0, "cpu", {2: ""})  # of a model that may not answer so
    assert total.row()["nonfinite"] == 7


def test_images_done_with_near_a_proved_bound_are_counted():
    total = AttackTotals("ddn")
    codes = np.array([0, 1, 2, 3, 4])
    total.add(
        shard(range(5), [1.0] * 5, [9] * 5) | {"stopped": codes}, 1.0, "cpu", dict.fromkeys(range(5), "")
    )
    total.add(shard([5], [1.0], [9]), 1.0, "cpu", {5: ""})
    assert total.row()["near_bound"] == 2


def test_where_every_image_is_misclassified_nothing_is_attacked():
    total = AttackTotals("fgm")
    total.add(shard([0], [0], [0]), 1.0, "cpu", {0: ""})
    row = total.row()
    assert (row["n"], row["found"], row["minima"]) == (0, 0, 0)
    assert (row["queries"], row["gradients"]) == ("", "")  # means of nothing


def test_jobs_are_added_up_rule_by_rule_and_missing_files_left_out(tmp_path):
    paths = [tmp_path / "attack" / "a.tsv", tmp_path / "attack" / "b.tsv", tmp_path / "distal" / "c.tsv"]
    for path, seconds, memory in zip(paths, (10.0, 30.0, 5.0), ("-", "300.5", "NA"), strict=True):
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"s\th:m:s\tmax_rss\n{seconds}\t0:00:10\t{memory}\n", encoding="utf-8")
    table = tmp_path / "runtime.csv"
    write_runtime(benchmarks=[*paths, tmp_path / "attack" / "gone.tsv"], table=table)
    rows = pd.read_csv(table).set_index("stage")
    assert rows.loc["attack"].tolist() == [2, 40, 30, 300.5]
    assert rows.loc["distal"].tolist()[:3] == [1, 5, 5]
    assert math.isnan(rows.loc["distal", "memory"])
    write_runtime(benchmarks=[tmp_path / "gone.tsv"], table=table)
    assert table.read_text(encoding="utf-8") == "stage,jobs,seconds,longest,memory\n"


def test_a_damaged_benchmark_file_is_named(tmp_path):
    path = tmp_path / "empty.tsv"
    path.write_text("", encoding="utf-8")
    with pytest.raises(InputError, match=r"empty\.tsv: holds 0 rows, expected is one; delete it"):
        write_runtime(benchmarks=[path], table=tmp_path / "runtime.csv")
