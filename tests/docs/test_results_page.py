"""The results pages of docs/results/make_results.py: measured numbers beside the paper's."""

import itertools
import json
import logging
import math
import re
import shutil

import numpy as np
import pandas as pd
import pytest
import yaml
from configs import ROOT, SCHEMAS, overlaid, shipped

import keep_run
from absynth.errors import InputError
from absynth.io.records import MINIMAL, write_record
from absynth.workflow.config_files import merged_config
from absynth.workflow.plan import Plan
from absynth.workflow.provenance import provenance
from make_results import FOLDER, KEPT, PAGES, PAPER, RELEASED, TRAINED, main
from results_comparison import Beyond, Difference, Entry, difference, ordering, within_chance
from results_data import Paper, Run
from results_notes import Notes
from run_settings import command_of, weights_of

RULE = re.compile(r"[| :-]+")  # the line under a table's header
ROBUSTNESS = [
    ("cnn", "l2", "fgm", 1.4, 0.48, 100),
    ("cnn", "l2", "ddn", 0.9, 0.05, 100),
    ("cnn", "l2", "all", 0.9, 0.05, 100),
    ("abs", "l2", "all", 2.0, 0.79, 100),
    ("madry", "l2", "fgm", math.inf, 0.95, 100),
    ("mine", "linf", "bim", 0.1234, 0.5, 100),
    ("mine", "linf", "all", 0.1234, 0.5, 100),
]
TABLES = {
    "robustness": ("model,norm,attack,median,accuracy,n", ROBUSTNESS),
    "models": (
        "model,alpha,eta,median_confidence,accuracy,n,test_accuracy,n_test",
        [("cnn", 1.5, 2e5, 0.9, 0.98, 500, 0.9906, 10000), ("abs", 410.0, 3.5e-5, 0.91, 0.97, 500, 0.88, 10000)],
    ),
    "bracket_medians": (
        "model,norm,lower,upper,gap,tight,loose,n",
        [("abs", "l2", 1.45, 1.46, 0.3, 7, 20, 100), ("abs", "linf", 0.2, math.inf, 0.1, 0, 99, 100)],
    ),
    "bounds": (
        "model,norm,bound,mean,median,standard_error,disagreeing,seeds,n",
        [
            ("abs", "l2", "joint", 1.97, 1.96, None, 2, 1, 100),
            ("abs", "l2", "paper_without_kl", 0.69, 0.68, 0.01, None, 10, 100),
            ("abs", "linf", "paper", 0.05, 0.03, 0.001, None, 10, 100),
        ],
    ),
    "bracket": (
        "model,norm,index,lower,basis,upper,attack",
        [("abs", "l2", i, 1.0 + 0.1 * i, "searched", 1.01 + 0.1 * i, "ddn") for i in range(10)]
        + [("abs", "linf", i, 0.2, "searched", math.inf, "") for i in range(10)],
    ),
    "distal": ("model,n,reached,distal", [("cnn", 50, 50, 40)]),
    "attacks": (
        "model,norm,attack,n,minima,queries,gradients,seconds",
        [
            ("cnn", "l2", "fgm", 99, 9, 12.4, 0.0, 9.9),
            ("cnn", "l2", "ddn", 99, 90, 111, 100, 297),
            ("cnn", "l2", "bim", 99, 0, 50, 40, 99),
        ],
    ),
    "runtime": (
        "stage,jobs,seconds,longest,memory",
        [("attack", 7, 3600.0, 1200, 900), ("bounds", 1, 1800.0, 1800, 1234.5)],
    ),
}  # fmt: skip


def checked(name: str = "config", **changes) -> dict:
    """What a run of config/{name}.yaml records as its settings."""
    config = overlaid(overlaid(shipped(), shipped(name)), changes)
    Plan(config, SCHEMAS)
    return config


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "results" / "trial"
    (folder / "tables").mkdir(parents=True)
    for stem, (columns, rows) in TABLES.items():
        pd.DataFrame(rows, columns=columns.split(",")).to_csv(folder / "tables" / f"{stem}.csv", index=False)
    config = checked("mnist-small", run="trial", published_weights="/secret/place")
    versions = {"absynth": "1", "torch": "2", "foolbox": "3"}
    found = provenance(config, [{**versions, "device": "cpu"}], [1.7e9, 1.7e9 + 1e5])
    found["hardware"] |= {"processor": "Abacus", "cores": 3, "memory_gib": 4.0}
    (folder / "tables" / "provenance.json").write_text(json.dumps(found), encoding="utf-8")
    (folder / "models" / "abs").mkdir(parents=True)
    (folder / "models" / "abs" / "calibration.json").write_text('{"gamma": null}', encoding="utf-8")
    return folder


@pytest.fixture
def write(tmp_path):
    """Make the pages of a run, as either of the two, and return their lines by name."""

    def made(run, notes=(), questions=None) -> dict[str, list[str]]:
        content = {"notes": [*notes], "questions": questions or {}}
        for name in PAGES:
            path = tmp_path / f"{name}.yaml"
            path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
        main({TRAINED: run, RELEASED: run}, tmp_path, tmp_path)
        names = itertools.chain.from_iterable(PAGES.values())
        return {name: (tmp_path / f"{name}.md").read_text(encoding="utf-8").splitlines() for name in names}

    return made


def tables(lines: list[str]) -> list[list[list[str]]]:
    """The cells of each table of a page."""
    found: list[list[list[str]]] = []
    for before, line in itertools.pairwise(["", *lines]):
        if line.startswith("| "):
            found += [] if before.startswith("| ") else [[]]
            if not RULE.fullmatch(line):
                found[-1].append([cell.strip() for cell in line.strip("|").split("|")])
    return found


def test_pages_are_those_of_what_was_kept(tmp_path, caplog):
    with caplog.at_level(logging.WARNING, logger="absynth"):
        main({name: KEPT / name for name in PAGES}, tmp_path)
    assert not caplog.text
    for path in tmp_path.iterdir():
        assert path.read_text(encoding="utf-8") == (FOLDER / path.name).read_text(encoding="utf-8"), path.name


def test_the_paper_s_table_has_its_cells():
    paper = Paper(PAPER)
    assert len(paper.cells) == 125 + 6
    assert paper.text(("l2", "pointwise", "abs")) == "4.8 / 94%"
    assert paper.text(("l2", "bim_ge", "binary_cnn")) == "∞ / 50%"
    assert paper.text(("linf", "fgsm", "cnn")) == "0.10 / 4%"
    assert paper.text(("l0", "all", "binary_abs")) == "36.0 / 82%"
    assert paper.text(("l2", "fgm", "abs")) == "–"
    assert paper.cells["clean", "clean", "nearest_neighbor"] == Entry(None, 96.9)
    assert paper.constant("bound_l2_mean", "binary_abs") == "0.601 ± 0.005"


def test_no_combination_of_attacks_in_the_paper_s_table_is_weaker_than_one_of_them():
    """A slip in copying the table would most likely break this."""
    cells = Paper(PAPER).cells
    for (norm, attack, model), cell in cells.items():
        if norm != "clean" and attack != "all":
            best = cells[norm, "all", model]
            assert best.median <= cell.median, (norm, attack, model)
            assert best.accuracy <= cell.accuracy, (norm, attack, model)


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        (Entry(1.15, 60), Entry(1.0, 50), (None, None)),
        (Entry(1.151, 60.1), Entry(1.0, 50), (15.1, 10.1)),
        (Entry(0.84, 39), Entry(1.0, 50), (-16, -11)),
        (Entry(math.inf, 50), Entry(1.0, 50), (math.inf, None)),
        (Entry(1.0, 50), Entry(math.inf, 50), (-math.inf, None)),
        (Entry(math.inf, 50), Entry(math.inf, 50), (None, None)),
        (Entry(None, 88), Entry(None, 99), (None, -11)),
        (None, Entry(1.0, 50), (None, None)),
        (Entry(1.0, 50), None, (None, None)),
    ],
)
def test_limits_of_differences(ours, theirs, expected):
    found = difference(ours, theirs)
    assert found == Difference(*expected)
    assert bool(found) == (expected != (None, None))


@pytest.mark.parametrize(
    ("medians", "extreme", "expected"),
    [
        ({"abs": 2.0, "cnn": 1.0, "madry": 1.5}, max, ("holds", "madry", 3)),
        ({"abs": 2.0, "cnn": math.inf}, max, ("**does not hold**", "cnn", 2)),
        ({"abs": 2.0, "cnn": 2.0}, max, ("tie", "cnn", 2)),
        ({"abs": 2.0, "cnn": 2.5}, min, ("holds", "cnn", 2)),
        ({"abs": 2.0}, max, None),
        ({"cnn": 2.0}, max, None),
    ],
)
def test_ordering(medians, extreme, expected):
    cells = {("l2", "all", model): Entry(median, 50) for model, median in medians.items()}
    others = {("l2", "fgm", "cnn"): Entry(9.0, 50), ("l0", "all", "cnn"): Entry(9.0, 50)}
    assert ordering({**cells, **others}, "l2", "abs", extreme) == expected


def test_table_1_has_both_numbers_in_every_cell(run, write):
    clean, l2, linf, _ = tables(write(run)["table1"])
    assert l2[0] == ["", "CNN", "Binary CNN", "Nearest Neighbor", "Madry et al.", "Binary ABS", "ABS", "mine"]
    assert clean[1][1] == "99.1%<br><small>98.9–99.2%</small><br>*99.1%*"
    assert clean[1][6] == (
        "**88.0%** <sup>[?](index.md#open-questions)</sup><br><small>87.3–88.6%</small><br>*99.0%*"
    )
    rows = {row[0]: row[1:] for row in l2}
    assert rows["FGM"] == [
        "1.40 / 48%<br><small>38–58%</small><br>*1.4 / 48%*", "–<br>*1.4 / 50%*", "–",
        "∞ / 95%<br><small>89–98%</small><br>*∞ / 96%*", "–", "–", "–",
    ]  # fmt: skip
    assert rows["DDN"][0] == "0.90 / 5%<br><small>2–11%</small>"
    assert rows["All L2 attacks"][0].startswith("**0.90** / 5% <sup>[?]")
    assert rows["All L2 attacks"][5] == "2.00 / 79%<br><small>70–87%</small><br>*2.3 / 80%*"
    assert {row[0]: row[1:] for row in linf}["BIM"][6] == "0.123 / 50%<br><small>40–60%</small>"
    order = [*rows]
    assert order.index("FGM") < order.index("All L2 attacks")


def test_cells_refer_to_notes_by_number_and_each_note_stands_once(run, write):
    notes = [
        {"cells": ["l2/all/cnn"], "reason": "DDN gives\n{{ of.cell('l2/ddn/cnn') }}.", "question": "why"},
        {"cells": ["*/*/*"], "reason": "Chance.", "commands": ["make it"], "measured": "2020-01-02"},
    ]
    questions = {"why": {"title": "Why DDN", "text": "Nobody knows."}}
    found = write(run, notes, questions)
    page = found["table1"]
    assert "<sup>[1](#note-1)</sup>" in tables(page)[0][1][6]
    assert {row[0]: row for row in tables(page)[1]}["All L2 attacks"][1].startswith(
        "**0.90** / 5% <sup>[2](#note-2), [1](#note-1)</sup><br>"
    )
    texts = [line for line in page if line.startswith("<a id=")]
    assert texts == [
        '<a id="note-1"></a>**1.** Chance. Measured by `make it` (2020-01-02).',
        '<a id="note-2"></a>**2.** DDN gives 0.90 / 5%. The rest is [open question 1](index.md#open-questions).',
    ]
    assert tables(found["differences"])[0][2][-1] == "[2](table1.md#note-2), [1](table1.md#note-1)"
    (question,) = [line for line in found["index"] if line.startswith("1. ")]
    assert question == (
        "1. **Why DDN.** Nobody knows. Cells: All L2 attacks on CNN "
        "(note [2](table1.md#note-2), [1](table1.md#note-1))."
    )
    assert "1 question is open:" in " ".join(found["index"])


def test_a_single_page_refers_to_itself(run, write):
    notes = [{"cells": ["l2/all/cnn"], "reason": "DDN.", "question": "why"}]
    page = write(run, notes, {"why": {"title": "Why DDN", "text": "Nobody knows."}})["released-weights"]
    clean = tables(page)[0]
    assert clean[0] == ["", "CNN", "Madry et al.", "ABS", "mine"]  # of the run alone
    assert "<sup>[?](#open-questions)</sup>" in clean[1][3]
    assert '<a id="note-1"></a>**1.** DDN. The rest is [open question 1](#open-questions).' in page
    assert "1. **Why DDN.** Nobody knows. Cells: All L2 attacks on CNN (note [1](#note-1))." in page


def test_notes_may_ask_for_numbers_of_the_other_run(run, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(run, other)
    frame = pd.read_csv(other / "tables" / "robustness.csv")
    frame.loc[frame["attack"] == "ddn", "median"] = 7.5
    frame.to_csv(other / "tables" / "robustness.csv", index=False)
    note = {
        "cells": ["l2/all/cnn"],
        "reason": "{{ of.median('l2/ddn/cnn') }}, {{ other.median('l2/ddn/cnn') }}.",
    }
    for name in PAGES:
        content = yaml.safe_dump({"notes": [note]})
        (tmp_path / f"{name}.yaml").write_text(content, encoding="utf-8")
    main({TRAINED: run, RELEASED: other}, tmp_path, tmp_path)
    assert "**1.** 0.90, 7.50." in (tmp_path / "table1.md").read_text(encoding="utf-8")
    assert "**1.** 7.50, 0.90." in (tmp_path / "released-weights.md").read_text(encoding="utf-8")


def test_differences_without_a_note_are_open_questions(run, write):
    found = write(run)
    assert "<sup>[?](index.md#open-questions)</sup>" in tables(found["table1"])[0][1][6]
    (question,) = [line for line in found["index"] if line.startswith("1. ")]
    assert question.startswith("1. **No reason known.**")
    assert question.endswith("Cells: Clean accuracy of ABS, All L2 attacks on CNN.")
    _, clean, both = tables(found["differences"])[0]
    assert clean == [
        "", "Clean, all test images", "ABS", "", "", "", "", "88% (87 to 89%)", "99%", "−11 points, s.e. 0.1",
        "[?](index.md#open-questions)",
    ]  # fmt: skip
    assert both[:10] == ["L2", "All L2 attacks", "CNN", "0.90", "1.1", "−18 %", "–", "", "", ""]


def test_notes_that_match_nothing_are_named(run, write, caplog):
    notes = [{"cells": ["l2/all/madry", "l2/all/*"], "reason": "A reason."}]
    with caplog.at_level(logging.WARNING, logger="absynth"):
        write(run, notes, {"idle": {"title": "Idle", "text": "Never asked."}})
    assert "l2/all/madry matches no difference" in caplog.text
    assert "questions.idle matches no difference" in caplog.text
    assert "l2/all/*" not in caplog.text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("cells: {}", "unknown key cells; allowed are notes, questions"),
        (
            "notes: [{cells: [l2/all/abs], reason: x, why: y}]",
            r"unknown key notes\[0\]\.why; allowed are cells",
        ),
        ("notes: [{cells: [l2/all/abs]}]", r"lacks notes\[0\]\.reason"),
        ("notes: [{cells: l2/all/abs, reason: x}]", "found l2/all/abs; expected a list"),
        (
            "notes: [{cells: [mnist/l2/all/abs], reason: x}]",
            "found mnist/l2/all/abs; expected norm/attack/model",
        ),
        ("notes: [{cells: [], reason: x, commands: [ls]}]", "has commands, and no date: add measured"),
        ("notes: [{cells: [], reason: x, question: q}]", "found q; questions are none"),
        ("questions: {q: {title: x}}", r"lacks questions\.q\.text"),
    ],
)
def test_wrong_notes_are_refused(tmp_path, content, message):
    (tmp_path / "notes.yaml").write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=f"notes.yaml: .*{message}"):
        Notes.read(tmp_path / "notes.yaml")


def test_bounds_distal_and_calibration(run, write):
    found = write(run)
    bracket, tightness, bounds = tables(found["bounds"])
    assert bracket[1:] == [
        ["ABS", "L2", "searched", "1.45 (1.10 to 1.80)", "1.46 (1.11 to 1.81)", "2.30", "1.007", "40% (12 to 74%)",
         "50% (19 to 81%)"],
        ["ABS", "L∞", "searched", "0.200 (0.200 to 0.200)", "∞ (∞ to ∞)", "0.230", "∞", "0% (0 to 31%)",
         "100% (69 to 100%)"],
    ]  # fmt: skip
    assert tightness[1:] == [
        ["ABS", "L2", "0.30", "7% (3 to 14%)", "20% (13 to 29%)", "2", "100"],
        ["ABS", "L∞", "0.100", "0% (0 to 4%)", "99% (95 to 100%)", "–", "100"],
    ]
    paper = "mean 0.690 ± 0.005"
    assert bounds[1:] == [
        ["ABS", "L2", "`joint`", "1.970", "–", "1.96", paper, "2.86", "1", "100"],
        ["ABS", "L2", "`paper_without_kl`", "0.690", "0.010", "0.68", paper, "1.00", "10", "100"],
        ["ABS", "L∞", "`paper`", "0.050", "0.001", "0.030", "median 0.06", "0.50", "10", "100"],
    ]
    assert tables(found["distal"])[0][1:] == [["CNN", "50", "100% (93 to 100%)", "80% (66 to 90%)"]]
    assert tables(found["calibration"])[0][1:] == [
        ["CNN", "99.06% (98.85 to 99.24%)", "99.1%", "1.5 (1)", "2e+05 (143900)", "0.9 (0.9)", "10000", "500"],
        ["ABS", "88.00% (87.35 to 88.63%)", "99.0%", "410 (440)", "3.5e-05 (0.000039)", "0.91 (0.9)", "10000",
         "500"],
    ]  # fmt: skip


def test_best_adversarials_are_counted_by_attack(run, write):
    table = tables(write(run)["best-adversarials"])[0]
    assert table[0] == ["found by", "CNN", "ABS"]
    assert table[1:] == [
        ["FGM", "9", ""], ["DDN", "90", ""], ["all", "99", "0"], ["median distance", "0.90", "2.00"],
        ["accuracy", "5% (2 to 11%)", "79% (70 to 87%)"], ["paper's attacks", "1.1 / 8%", "2.3 / 80%"],
        ["authors' curves", "1.09 / 8%", "2.24 / 80%"],
    ]  # fmt: skip


def test_costs_are_for_each_image(run, write):
    l2, _, _, rules = tables(write(run)["cost"])
    assert l2 == [
        ["", "CNN"],
        ["FGM", "0.1 s<br><small>12</small>"],
        ["L2 BIM", "1 s<br><small>50 + 40</small>"],
        ["DDN", "3 s<br><small>111 + 100</small>"],
    ]
    assert rules[-1] == ["`bounds`", "1", "1,800", "1,800", "1,234"]


def test_text_is_aligned_left_and_numbers_right(run, write):
    lines = write(run)["calibration"]
    header = next(place for place, line in enumerate(lines) if line.startswith("| model |"))
    assert lines[header + 1].startswith("| :-- | :-- | --: |")


def test_gamma_stands_beside_the_paper_s(run, write):
    frame = pd.read_csv(run / "tables" / "models.csv")
    assert not any(
        row[0].endswith("γ (paper)") for table in tables(write(run)["calibration"]) for row in table
    )
    frame.assign(model=["binary_abs", "abs"]).to_csv(run / "tables" / "models.csv", index=False)
    (run / "models" / "binary_abs").mkdir()
    gamma = {"gamma": [1.0, 0.97, *[1.0] * 8]}
    (run / "models" / "binary_abs" / "calibration.json").write_text(json.dumps(gamma), encoding="utf-8")
    rows = tables(write(run)["calibration"])[1]
    assert rows[0] == ["class", *"0123456789"]
    assert rows[1][:5] == ["Binary ABS, γ (paper)", "1 (1)", "0.97 (0.96)", "1 (1.001)", "1 (1.06)"]


def test_every_page_says_once_how_it_was_made(run, write):
    for lines in write(run).values():
        assert sum(line.startswith("<sub>Written by") for line in lines) == 1
        (caption,) = [line for line in lines if line.startswith("<sub>trial")]
        for part in (
            "`snakemake --cores all --configfile config/mnist-small.yaml --config run=trial published_weights=DIR`",
            "released by the authors (CNN, Binary CNN, Binary ABS, ABS, Substitute), trained in the run (Madry et "
            "al.)",
            "images attacked: 100; Abacus, 3 cores, 4.0 GiB, attacks on cpu; wall time of all jobs together: "
            "1.50 h; 2023-11-14 to 2023-11-16",
        ):
            assert part in caption
        assert "/secret" not in "\n".join(lines)


def test_what_was_run_is_told_in_full(run, write):
    facts = {row[0]: row[1] for row in tables(write(run)["index"])[-1]}
    assert facts["jobs timed"] == "8"
    assert "torch 2, foolbox 3" in facts["versions"].replace("absynth 1, ", "")


def test_orderings_are_compared_in_the_paper_and_the_run(run, write):
    rows = tables(write(run)["index"])[1]
    assert rows[0] == ["", "paper", "trial"]
    assert rows[1][1:] == [
        "holds: 2.30; Nearest Neighbor 1.50; of 6 models",
        "holds: 2.00; CNN 0.90; of 2 models",
    ]
    assert all(row[1].startswith("holds") for row in rows[1:])
    assert [row[2] for row in rows[2:]] == ["–"] * 3


def test_folder_that_is_not_a_run_is_named(tmp_path, run, write):
    with pytest.raises(InputError, match="nowhere: not a finished run: there is no such folder"):
        write(tmp_path / "nowhere")
    (run / "tables" / "robustness.csv").unlink()
    with pytest.raises(InputError, match=r"trial: not a finished run: lacks tables/robustness\.csv"):
        write(run)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("bounds.csv", "model,norm\n", "lacks the column bound"),
        ("bounds.csv", "", "not valid CSV"),
        ("provenance.json", "{", "not valid JSON"),
    ],
)
def test_damaged_tables_are_named(run, write, name, content, message):
    (run / "tables" / name).write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=f"{name}: {message}"):
        write(run)


def test_a_missing_table_is_named(run, write):
    (run / "tables" / "bracket.csv").unlink()
    with pytest.raises(InputError, match=r"bracket\.csv"):
        write(run)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (("config", {}), "`snakemake --cores all`"),
        (("config", {"run": "a", "seed": 3}), "`snakemake --cores all --config run=a seed=3`"),
        (
            ("config", {"published_weights": "/here/only", "trained_weights": "resources/weights"}),
            "`snakemake --cores all --config published_weights=DIR trained_weights=resources/weights`",
        ),
        (("mnist-small", {}), "`snakemake --cores all --configfile config/mnist-small.yaml`"),
        (
            ("mnist-small", {"run": "7", "models": {"madry": {"epochs": 3}, "abs": None}, "norms": ["l2"]}),
            "`snakemake --cores all --configfile config/mnist-small.yaml changes.yaml` with changes.yaml: "
            "`{run: '7', norms: [l2], models: {madry: {epochs: 3}, abs: null}}`",
        ),
    ],
)
def test_the_command_gives_the_settings(config, expected):
    name, changes = config
    assert command_of(checked(name, **changes)) == expected


def test_the_command_takes_out_attacks_of_a_name_of_their_own(tmp_path):
    """A config without them does not even hold them."""
    changes = tmp_path / "changes.yaml"
    changes.write_text("{models: {cnn: null}, attacks: {fab: null, one_walk: null}}\n")
    files = [ROOT / "config" / "config.yaml", ROOT / "config" / "mnist-cnns.yaml", changes]
    config = Plan(merged_config(files, []), SCHEMAS).config
    assert "one_walk" not in config["attacks"]
    assert command_of(config) == (
        "`snakemake --cores all --configfile config/mnist-cnns.yaml changes.yaml` with changes.yaml: "
        f"`{changes.read_text().strip()}`"
    )


def test_weights_of_a_run_of_its_own():
    own = {"class": "mine.Net", "weights": "net.pt"}
    config = checked(models={"mine": own, "wide": {"kind": "cnn", "label": "Wide"}, "binary_cnn": None})
    names = "CNN, Madry et al., Binary ABS, ABS, Wide"
    assert weights_of(config) == f"trained in the run ({names}, Substitute)"
    config["attacks"]["transfer"] = None
    assert weights_of(config) == f"trained in the run ({names})"


def test_weights_of_a_run_that_takes_another_s():
    config = checked(published_weights="/released", trained_weights="/other", models={"binary_abs": None})
    released = "released by the authors (CNN, Binary CNN, ABS, Substitute)"
    assert weights_of(config) == f"{released}, trained in another run (Madry et al.)"


@pytest.mark.parametrize(
    ("distances", "median", "share"),
    [
        ([1, 2, 3, 4], 2.5, 50),
        ([1, 2, 2, 4], 2, 50),
        ([3, math.inf], 2.5, 100),
        ([1, math.inf], math.inf, 25),
    ],
)
def test_share_beyond_the_papers_median(distances, median, share):
    found = Beyond.of(np.array(distances, dtype=float), median)
    assert (found.share, found.n) == (share, len(distances))


@pytest.mark.parametrize(
    ("share", "accuracy", "expected"), [(70, 60, True), (71, 50, False), (29, 50, False), (50, 71, False)]
)
def test_chance_is_two_standard_errors_of_both(share, accuracy, expected):
    assert within_chance(Entry(2.0, accuracy, 25), Entry(1.0, 50), Beyond(share, 25)) is expected
    assert not within_chance(Entry(2.0, 50, 25), Entry(1.0, 50), None)


def test_differences_within_chance_need_no_note(run, write):
    path = run / "minimal" / "cnn" / "l2.h5"
    path.parent.mkdir(parents=True)
    note = {"cells": ["l2/all/cnn", "clean/clean/abs"], "reason": "A reason."}

    def row_of(distances) -> list[str]:
        n = len(distances)
        columns = {
            "distance": distances,
            **{name: np.zeros(n) for name in ("index", "label", "adversarial_prediction")},
            "attack": ["ddn"] * n,
            "adversarial": np.zeros((n, 1, 28, 28)),
        }
        write_record(path, columns, {"norm": "l2"}, MINIMAL)
        found = write(run, [note])
        cell = {row[0]: row for row in tables(found["table1"])[1]}["All L2 attacks"][1]
        return [*tables(found["differences"])[0][2], cell]

    *_, change, beyond, _, _, _, mark, cell = row_of(np.linspace(0.1, 2.2, 100))  # the paper's median is 1.1
    assert (change, beyond, mark) == ("−18 %", "52 %", "≈")
    assert cell == "**0.90** / 5% <sup>≈</sup><br><small>0.93–1.37 / 2–11%</small><br>*1.1 / 8%*"
    *_, change, beyond, _, _, _, mark, cell = row_of(np.linspace(0.1, 1.2, 100))
    assert (change, beyond, mark) == ("−18 %", "9 %", "[1](table1.md#note-1)")
    assert cell.startswith("**0.90** / 5% <sup>[1](#note-1)</sup><br>")


def test_what_is_kept_of_a_run_makes_the_same_pages(run, write, tmp_path, monkeypatch):
    distance = np.linspace(0.1, 3.0, 100)
    rows = [row for row in ROBUSTNESS if row[0] == "cnn"]
    columns = TABLES["robustness"][0].split(",")
    pd.DataFrame(rows, columns=columns).to_csv(run / "tables" / "robustness.csv", index=False)
    bounds = pd.DataFrame({"joint": distance, "paper_without_kl": distance / 3})
    (run / "bounds" / "abs" / "l2").mkdir(parents=True)
    bounds.to_csv(run / "bounds" / "abs" / "l2.csv", index=False)
    bounds.to_csv(run / "bounds" / "abs" / "l2" / "0.csv", index=False)
    found = {"all": distance, "ddn": distance, "fgm": np.append(distance[:-1] + 0.3, np.inf)}
    monkeypatch.setattr(Run, "distances", lambda _, key: found[key[1]])
    pages = write(run)
    kept = keep_run.main(run, tmp_path / "resources")
    assert "/secret" not in (kept / "tables" / "provenance.json").read_text(encoding="utf-8")
    first = {path: path.read_bytes() for path in kept.rglob("*") if path.is_file()}
    monkeypatch.undo()
    for name, lines in write(kept).items():
        assert [line.replace("resources/results/", "results/") for line in lines] == [
            line.replace("resources/results/", "results/") for line in pages[name]
        ]
    assert tables(pages["bounds"])[2][1][3:6] == ["1.970 ± 0.167", "–", "1.55 (1.24 to 1.86)"]
    assert [path.name for path in (kept / "bounds").rglob("*.csv*")] == ["l2.csv"]
    for attack, values in found.items():
        assert Run(kept).distances(("l2", attack, "cnn")).tolist() == values.tolist()
    monkeypatch.setattr(Run, "distances", lambda _, key: found[key[1]])
    keep_run.main(run, tmp_path / "resources")
    assert {path: path.read_bytes() for path in kept.rglob("*") if path.is_file()} == first


def test_a_run_whose_records_are_gone_is_not_kept(run, tmp_path):
    older = tmp_path / "resources" / "trial" / "tables" / "table1.csv"
    older.parent.mkdir(parents=True)
    older.touch()
    with pytest.raises(InputError, match=r"lacks records of \w+ on cnn in l2"):
        keep_run.main(run, tmp_path / "resources")
    assert older.exists()
