"""What `absynth show` says of a run."""

import json

import numpy as np
import pytest
from toy_runs import toy_run, toy_tables

from absynth import open_run
from absynth.cli.main import main
from absynth.cli.summary import aligned, minima_table, problems
from absynth.io.atomic import write_csv


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return toy_run(tmp_path / "results" / "toy", {"net": [0.0, 0.5, 1.0, 2.0, np.inf]}, [0, 1, 2, 3, 4])


def test_the_table_has_accuracies_the_median_and_bounds(folder):
    line = minima_table(open_run(folder)).splitlines()[1]
    assert line.split()[:5] == ["net", "L2", "5", "80.0%", "1.00"]
    assert "80% at 0.375, 60% at 0.75, 40% at 1.5 (5 to 85%)" in line  # exact interval of 2 of 5
    assert line.rstrip().endswith("–            ddn 3")
    bounds = [{"index": i, "label": i % 4, "joint": i / 8, "basis": "proved"} for i in range(5)]
    write_csv(folder / "bounds" / "net" / "l2.csv", bounds)
    assert "0.25 (proved)" in minima_table(open_run(folder))


def test_what_checks_found_is_listed(folder):
    assert problems(open_run(folder)) == []
    verified = {"file": "attacks/net/l2/ddn/0.h5", "disagreements": 2, "reason": "distance"}
    toy_tables(
        folder,
        verification=[verified, {**verified, "disagreements": 0}],
        audit=[{"model": "net", "norm": "l2", "message": "FGM is stronger than BIM"}],
        models=[{"model": "net", "probe": "answers are probabilities"}, {"model": "other", "probe": ""}],
        bound_violations=[{"attributed_to_inference": 1}, {"attributed_to_inference": 0}],
    )
    path = folder / "tables" / "provenance.json"
    known = json.loads(path.read_text())
    path.write_text(json.dumps({**known, "lacking_classes": "no image of 3", "odd_intensities": ["dark"]}))
    found = problems(open_run(folder))
    assert [line.split(":")[0] for line in found] == [
        "verification", "audit", "lower bounds", "probe of net", "data", "data",
    ]  # fmt: skip
    assert "attacks/net/l2/ddn/0.h5: 2 rows" in found[0]
    assert "1 adversarials lie below" in found[2]


def test_the_command_shows_a_run_by_name_and_by_folder_and_lists_runs(folder, capsys):
    assert main(["show", "toy"]) == 0
    named = capsys.readouterr().out
    assert "Checks found nothing" in named
    assert "results/toy/minimal" in named
    assert main(["show", str(folder)]) == 0
    assert capsys.readouterr().out.splitlines()[:2] == named.splitlines()[:2]
    assert main(["show"]) == 0
    assert capsys.readouterr().out == "toy\n"


def test_an_unfinished_run_says_what_it_has(folder, capsys):
    (folder / "tables" / "provenance.json").unlink()
    assert main(["show", "toy"]) == 0
    shown = capsys.readouterr().out
    assert "a run that has not finished" in shown
    assert "minimal of net in l2" in shown


def test_columns_are_aligned():
    assert aligned([("a", "bb"), ("ccc", "d")]) == "a    bb\nccc  d"
