"""What `absynth show` says of a run."""

import json

import numpy as np
import pytest
from toy_runs import toy_run, toy_tables

from absynth import open_run
from absynth.cli.checked import checks_text
from absynth.cli.main import main
from absynth.cli.summary import aligned, minima_table, summary
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
    write_csv(folder / "bounds" / "net" / "l2.csv", [*bounds[:4], {**bounds[4], "basis": "searched"}])
    assert "0.25 (searched)" in minima_table(open_run(folder))  # proved only if all are


VERIFIED = {"file": "attacks/net/l2/ddn/0.h5", "checked": 5, "ties": 0, "disagreements": 0, "first_row": "",
            "reason": ""}  # fmt: skip
WRONG = {**VERIFIED, "disagreements": 2, "first_row": 3, "reason": "distance 1.0 recorded, 2.0 measured"}


def test_checks_that_were_not_made_are_not_said_to_have_found_nothing(folder):
    assert checks_text(open_run(folder)).splitlines() == [
        "Checks:",
        "- Verification: not made",
        "- Audit of the attacks: not made",
        "- Attacks that failed: not made",
        "- Probe of the models: not made",
    ]
    toy_tables(folder, verification=[VERIFIED])
    (folder / "bounds").mkdir()
    lines = checks_text(open_run(folder)).splitlines()
    assert lines[1].startswith("- Verification: 5 adversarials in 1 files")
    assert lines[1].endswith("no disagreements.")
    assert lines[2] == "- Bounds: not made"


def test_what_checks_found_is_listed(folder):
    toy_tables(
        folder,
        verification=[WRONG, VERIFIED, {**WRONG, "first_row": "", "reason": "damaged"}],
        audit=[{"model": "net", "norm": "l2", "message": "FGM is stronger than BIM"}],
        attacks=[{"model": "net", "norm": "l2", "attack": "ddn", "found": 0, "n": 5}],
        models=[{"model": "net", "probe": "answers are probabilities"}, {"model": "other", "probe": ""}],
        bound_violations=[
            {
                "model": "net",
                "norm": "l2",
                "index": i,
                "upper": 1.0,
                "lower": 1.5,
                "attributed_to_inference": i,
            }
            for i in range(2)
        ],
    )
    path = folder / "tables" / "provenance.json"
    known = json.loads(path.read_text())
    path.write_text(json.dumps({**known, "lacking_classes": "no image of 3", "odd_intensities": ["dark"]}))
    lines = checks_text(open_run(folder)).splitlines()
    assert [line.split(":")[0] for line in lines if line.startswith("!")] == [
        "! Verification", "! Bounds", "! Audit of the attacks", "! Attacks that failed", "! Probe of the models",
        "! Data", "! Data",
    ]  # fmt: skip
    assert lines[2] == "    attacks/net/l2/ddn/0.h5, row 3: distance 1.0 recorded, 2.0 measured"
    assert lines[3] == "    attacks/net/l2/ddn/0.h5: damaged"
    assert "    net, L2: FGM is stronger than BIM" in lines
    assert "    net: answers are probabilities" in lines


@pytest.mark.parametrize("finished", [True, False])
def test_a_run_whose_records_disagree_has_no_table_of_that_and_shows_them(folder, finished):
    """As the workflow leaves it: it deletes the output of the rule that fails."""
    for norm, row in (("l2", WRONG), ("linf", VERIFIED)):
        write_csv(folder / "verification" / "net" / f"{norm}.csv", [row])
    if not finished:
        (folder / "tables" / "provenance.json").unlink()
    shown = summary(folder)
    assert "! Verification: 10 adversarials in 2 files were measured" in shown
    assert "    attacks/net/l2/ddn/0.h5, row 3: distance 1.0 recorded, 2.0 measured" in shown


def test_the_command_shows_a_run_by_name_and_by_folder_and_lists_runs(folder, capsys):
    assert main(["show", "toy"]) == 0
    named = capsys.readouterr().out
    assert "- Verification: not made" in named
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
