"""Tables are read back as they were written, whatever models and attacks are called."""

import math

import pytest
from scripts.tables import tabulate_minima

from absynth.io.atomic import write_csv
from absynth.io.tables import read_table

# What pandas takes for a missing value, a number or a truth value, and the config allows as a name.
NAMES = ["nan", "NaN", "NA", "null", "NULL", "None", "n", "007", "1e5", "inf", "True", "N_A"]


def robustness(names) -> list[dict]:
    return [
        {"model": name, "norm": "l2", "attack": attack, "median": 1.5, "accuracy": 0.5, "n": 4}
        for name in names
        for attack in (*names, "all")
    ]


@pytest.mark.parametrize("names", [[name] for name in NAMES] + [NAMES], ids=[*NAMES, "all"])
def test_names_are_text_and_the_rest_numbers(tmp_path, names):
    rows = robustness(names)
    write_csv(tmp_path / "table.csv", rows)
    assert read_table(tmp_path / "table.csv").to_dict("records") == rows


def test_words_may_be_missing_and_numbers_too(tmp_path):
    (tmp_path / "table.csv").write_text("model,probe,standard_error\nabs,,\nnan,far,0.5\n")
    first, second = read_table(tmp_path / "table.csv").to_dict("records")
    assert (first["probe"], second["probe"], second["model"]) == ("", "far", "nan")
    assert math.isnan(first["standard_error"])
    assert second["standard_error"] == 0.5


@pytest.mark.parametrize("name", NAMES)
def test_table_1_has_cells_of_every_name(tmp_path, name):
    write_csv(tmp_path / "robustness.csv", robustness([name]))
    write_csv(tmp_path / "summary.csv", [{"model": name, "clean": 0.75}])
    write_csv(tmp_path / "brackets.csv", [], ["model", "norm", "lower", "gap"])
    outputs = {kind: tmp_path / f"{kind}" for kind in ("markdown", "csv", "latex")}
    tabulate_minima.write_table1(
        robustness=tmp_path / "robustness.csv", summaries=[tmp_path / "summary.csv"],
        brackets=[tmp_path / "brackets.csv"], **outputs, models={name: name}, attacks={"l2": {name: name}},
        epsilons={"l2": 1.5}, of_paper=[],
    )  # fmt: skip
    assert outputs["markdown"].read_text().splitlines()[2:] == [
        "| Clean | 75.0% |",
        "| **L2 (ε = 1.5)** |  |",
        f"| {name} | 1.50 / 50% |",
        "| All L2 attacks | 1.50 / 50% |",
    ]


def test_cells_with_images_near_a_proved_bound_are_marked_and_explained(tmp_path):
    rows = [
        {"model": "nn", "norm": "l2", "attack": name, "median": 1.5, "accuracy": 0.5, "n": 4,
         "clean": 1.0, "near_bound": count}
        for name, count in (("ddn", 0), ("fmn", 2), ("all", 2))
    ]  # fmt: skip
    columns = ["model", "norm", "attack", "median", "accuracy", "n"]
    write_csv(tmp_path / "robustness.csv", rows, columns)
    write_csv(tmp_path / "summary.csv", rows)
    outputs = {kind: tmp_path / f"{kind}" for kind in ("markdown", "csv", "latex")}
    tabulate_minima.write_table1(
        robustness=tmp_path / "robustness.csv", summaries=[tmp_path / "summary.csv"], brackets=[], **outputs,
        models={"nn": "NN"}, attacks={"l2": {"ddn": "DDN", "fmn": "FMN"}}, epsilons={"l2": 1.5}, of_paper=[],
    )  # fmt: skip
    lines = outputs["markdown"].read_text().splitlines()
    assert lines[4:7] == [
        "| DDN | 1.50 / 50% |",
        "| FMN | 1.50 / 50% ‡ |",
        "| All L2 attacks | 1.50 / 50% ‡ |",
    ]
    assert lines[-1].startswith("‡ done with some images")
    assert r"FMN & 1.50 / 50\% $\ddagger$ \\" in outputs["latex"].read_text()
