"""The pages docs/results/{index,released-weights}.md: measured numbers beside the paper's."""

import json
import logging
import math
import re

import numpy as np
import pandas as pd
import pytest
import yaml
from configs import SCHEMAS, overlaid, shipped

import keep_run
from absynth.errors import InputError
from absynth.io.records import MINIMAL, write_record
from absynth.workflow.plan import Plan
from absynth.workflow.provenance import provenance
from make_results import FOLDER, PAPER, main
from results_comparison import Beyond, Difference, Entry, difference, ordering, within_chance
from results_data import OPEN, Notes, Paper, Run
from results_sections import SECTIONS
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
        [("abs", "l2", 1.6, 2.0, 0.3, 7, 20, 100), ("abs", "linf", 0.2, math.inf, 0.1, 0, 99, 100)],
    ),
    "bounds": (
        "model,norm,bound,mean,median,standard_error,disagreeing,seeds,n",
        [
            ("abs", "l2", "joint", 1.97, 1.96, None, 2, 1, 100),
            ("abs", "l2", "paper_without_kl", 0.69, 0.68, 0.01, None, 10, 100),
            ("abs", "linf", "paper", 0.05, 0.03, 0.001, None, 10, 100),
        ],
    ),
    "distal": ("model,n,reached,distal", [("cnn", 50, 50, 40)]),
    "attacks": (
        "model,norm,attack,n,minima",
        [("cnn", "l2", "fgm", 99, 9), ("cnn", "l2", "ddn", 99, 90), ("cnn", "l2", "bim", 99, 0)],
    ),
    "runtime": ("stage,jobs,seconds", [("attack", 7, 3600.0), ("bounds", 1, 1800.0)]),
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
    """Make the page of some runs and return its lines."""

    def made(*runs, **notes) -> list[str]:
        (tmp_path / "notes.yaml").write_text(yaml.safe_dump(notes, sort_keys=False), encoding="utf-8")
        main(runs, tmp_path / "index.md", tmp_path / "notes.yaml")
        return (tmp_path / "index.md").read_text(encoding="utf-8").splitlines()

    return made


def section(lines: list[str], key: str) -> list[list[str]]:
    """The cells of all table rows of one section."""
    start = lines.index(f"## {SECTIONS[key][0]}")
    end = next((i for i in range(start + 1, len(lines)) if lines[i].startswith("## ")), len(lines))
    rows = [line for line in lines[start:end] if line.startswith("| ")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows if not RULE.fullmatch(row)]


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
    rows = {row[0]: row[1:] for row in section(write(run), "table1")}
    assert rows[""] == ["CNN", "Binary CNN", "Nearest Neighbor", "Madry et al.", "Binary ABS", "ABS", "mine"]
    assert rows["Clean, all test images"][0] == "99.1% (99.1%)"
    assert rows["Clean, all test images"][5] == "**88.0%** (99.0%)"
    assert rows["**L2** (ε = 1.5)"] == [""] * 7
    assert rows["FGM"] == ["1.40 / 48% (1.4 / 48%)", "– (1.4 / 50%)", "–", "∞ / 95% (∞ / 96%)", "–", "–", "–"]
    assert rows["DDN"][0] == "0.90 / 5%"
    assert rows["All L2 attacks"][0] == "**0.90 / 5%** (1.1 / 8%)"
    assert rows["All L2 attacks"][5] == "2.00 / 79% (2.3 / 80%)"
    assert rows["BIM"][6] == "0.123 / 50%"
    order = [*rows]
    assert (
        order.index("FGM")
        < order.index("All L2 attacks")
        < order.index("**L∞** (ε = 0.3)")
        < order.index("BIM")
    )


def test_differences_have_a_reason_or_are_open(run, write):
    header, clean, both = section(write(run), "differences")
    assert header[-1] == "reason"
    assert clean == [
        "",
        "Clean, all test images",
        "ABS",
        "**88.0%** (99.0%)",
        "",
        "−11 points, s.e. 0.1",
        OPEN,
    ]
    assert both[:6] == ["L2", "All L2 attacks", "CNN", "**0.90 / 5%** (1.1 / 8%)", "−18 %", ""]
    assert both[6] == f"Best adversarials, of 99: DDN 90, FGM 9. {OPEN}"

    marked = section(write(run, older=["trial/l2/*/cnn"]), "differences")
    assert marked[2][3] == "**0.90 / 5%** † (1.1 / 8%)"
    assert marked[1] == clean

    cells = {"trial/l2/*/cnn": "DDN is\nstronger.", "*/*/*/*": "Something."}
    _, clean, both = section(write(run, cells=cells), "differences")
    assert clean[6] == "Something."
    assert both[6] == "Best adversarials, of 99: DDN 90, FGM 9. DDN is stronger."


def test_notes_that_match_nothing_are_named(run, write, caplog):
    with caplog.at_level(logging.WARNING, logger="absynth"):
        write(run, cells={
            "trial/l2/all/madry": "A reason.", "trial/*/*/*": "Another.", "other/l2/all/cnn": "Of another page.",
        })  # fmt: skip
    assert "cells.trial/l2/all/madry matches no difference" in caplog.text
    assert "trial/*" not in caplog.text
    assert "other" not in caplog.text


def test_another_page_names_itself_in_its_command(run, tmp_path):
    (tmp_path / "notes.yaml").write_text("{}", encoding="utf-8")
    main([run], tmp_path / "more.md", tmp_path / "notes.yaml")
    page = (tmp_path / "more.md").read_text(encoding="utf-8")
    assert (
        "Written by `python docs/results/make_results.py results/trial --output docs/results/more.md`" in page
    )


@pytest.mark.parametrize(
    ("content", "key"),
    [
        ("cell: {}", "cell"),
        ("sections: {tables: x}", "sections.tables"),
        ("cells: {l2/all/abs: x}", "cells.l2/all/abs"),
    ],
)
def test_unknown_keys_of_notes_are_refused(tmp_path, content, key):
    (tmp_path / "notes.yaml").write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=f"notes.yaml: unknown key {key}; allowed are"):
        Notes.read(tmp_path / "notes.yaml", [*SECTIONS])


def test_shipped_notes_have_no_unknown_keys():
    assert Notes.read(FOLDER / "notes.yaml", [*SECTIONS]).sections


@pytest.mark.parametrize(
    ("page", "run"), [("index", "mnist-small"), ("released-weights", "mnist-small-published")]
)
def test_shipped_pages_have_the_words_of_program_and_notes(page, run):
    """They cannot be written again without their runs: edits of the program or the notes must be made there, too."""
    text = (FOLDER / f"{page}.md").read_text(encoding="utf-8")
    notes = Notes.read(FOLDER / "notes.yaml", [*SECTIONS])
    for key, (title, intro) in SECTIONS.items():
        remark = [notes.sections[key].strip()] if key in notes.sections else []
        assert "\n\n".join([f"## {title}", intro, *remark]) + "\n\n" in text
    reasons = {
        " ".join(reason.split()) for key, reason in notes.cells.items() if key.startswith((f"{run}/", "*"))
    }
    assert [reason for reason in reasons if f"{reason} |" not in text] == []
    assert OPEN not in text


def test_bracket_bounds_distal_and_calibration(run, write):
    lines = write(run, sections={"bounds": "A remark."})
    assert section(lines, "bracket")[1:] == [
        ["ABS", "L2", "1.60", "2.00", "2.30", "0.30", "1.250", "7", "20", "2", "100"],
        ["ABS", "L∞", "0.200", "∞", "0.230", "0.100", "∞", "0", "99", "–", "100"],
    ]
    assert section(lines, "bounds")[1:] == [
        ["ABS", "L2", "`joint`", "1.970", "–", "1.960", "mean 0.690 ± 0.005", "2.86", "1", "100"],
        [
            "ABS",
            "L2",
            "`paper_without_kl`",
            "0.690",
            "0.010",
            "0.680",
            "mean 0.690 ± 0.005",
            "1.00",
            "10",
            "100",
        ],
        ["ABS", "L∞", "`paper`", "0.050", "0.001", "0.030", "median 0.06", "0.50", "10", "100"],
    ]
    assert "A remark." in lines
    assert section(lines, "distal")[1:] == [["CNN", "50", "50 (100%)", "40 (80%)"]]
    assert section(lines, "models")[1:] == [
        ["CNN", "99.1% (99.1%)", "1.5 (1)", "2e+05 (143900)", "0.9 (0.9)", "10000", "500"],
        ["ABS", "**88.0%** (99.0%)", "410 (440)", "3.5e-05 (0.000039)", "0.91 (0.9)", "10000", "500"],
    ]


def test_text_is_aligned_left_and_numbers_right(run, write):
    lines = write(run)
    header = lines.index("| model | ascents | reached | distal |")
    assert lines[header + 1] == "| :-- | --: | --: | --: |"


def test_gamma_stands_beside_the_paper_s(run, write):
    frame = pd.read_csv(run / "tables" / "models.csv")
    frame.assign(model=["cnn", "binary_abs"]).to_csv(run / "tables" / "models.csv", index=False)
    (run / "models" / "binary_abs").mkdir()
    gamma = {"gamma": [1.0, 0.97, *[1.0] * 8]}
    (run / "models" / "binary_abs" / "calibration.json").write_text(json.dumps(gamma), encoding="utf-8")
    rows = section(write(run), "models")
    assert rows[-2] == ["class", *"0123456789"]
    assert rows[-1][:5] == ["Binary ABS, γ", "1 (1)", "0.97 (0.96)", "1 (1.001)", "1 (1.06)"]


def test_every_table_says_how_it_was_made(run, write):
    lines = write(run, run)
    captions = [line for line in lines if line.startswith("<sub>")]
    assert len(captions) == 2 * (len(SECTIONS) - 1)
    assert len(set(captions)) == 1
    for part in (
        "`snakemake --cores all --configfile config/mnist-small.yaml --config run=trial published_weights=DIR`",
        "released by the authors (CNN, Binary CNN, Binary ABS, ABS, Substitute), trained in the run (Madry et al.)",
        "images attacked: 100; Abacus, 3 cores, 4.0 GiB, attacks on cpu; wall time of all jobs together: 1.50 h; "
        "2023-11-14 to 2023-11-16",
    ):
        assert part in captions[0]
    assert lines[2].startswith("Written by `python docs/results/make_results.py results/trial results/trial`")
    assert "/secret" not in "\n".join(lines)
    facts = {row[0]: row[1] for row in section(lines, "runs")}
    assert facts["jobs timed"] == "8"
    assert "torch 2, foolbox 3" in facts["versions"].replace("absynth 1, ", "")


def test_orderings_are_compared_in_the_paper_and_each_run(run, write):
    rows = section(write(run), "orderings")
    assert rows[0] == ["", "paper", "trial"]
    assert rows[1][1:] == [
        "holds: 2.30; Nearest Neighbor 1.50; of 6 models",
        "holds: 2.00; CNN 0.90; of 2 models",
    ]
    assert all(row[1].startswith("holds") for row in rows[1:])
    assert [row[2] for row in rows[2:]] == ["–"] * 3


def test_all_but_the_robustness_may_be_missing(run, write, caplog):
    for path in (run / "tables").iterdir():
        if path.stem != "robustness":
            path.unlink()
    with caplog.at_level(logging.WARNING, logger="absynth"):
        lines = write(run)
    assert "provenance.json: missing; its command, weights, hardware and date are left out" in caplog.text
    assert "All L2 attacks" in {row[0] for row in section(lines, "table1")}
    assert section(lines, "bounds")[1:] == []


def test_tables_with_a_header_alone(run, write):
    for stem, (columns, _) in TABLES.items():
        (run / "tables" / f"{stem}.csv").write_text(f"{columns}\n", encoding="utf-8")
    assert section(write(run), "differences") == []


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


def test_differences_within_chance_need_no_reason(run, write):
    path = run / "minimal" / "cnn" / "l2.h5"
    path.parent.mkdir(parents=True)

    def row_of(distances) -> list[str]:
        n = len(distances)
        columns = {
            "distance": distances,
            **{name: np.zeros(n) for name in ("index", "label", "adversarial_prediction")},
            "attack": ["ddn"] * n,
            "adversarial": np.zeros((n, 1, 28, 28)),
        }
        write_record(path, columns, {"norm": "l2"}, MINIMAL)
        return section(write(run), "differences")[2][4:]

    median, points, reason = row_of(np.linspace(0.1, 2.2, 100))  # the paper's median is 1.1
    assert (median, points) == ("−18 %; 52 % beyond, s.e. 5", "")
    assert "too small to tell from chance" in reason
    median, _, reason = row_of(np.linspace(0.1, 1.2, 100))
    assert median == "−18 %; 9 % beyond, s.e. 5"
    assert reason.endswith(OPEN)


def test_what_is_kept_of_a_run_makes_the_same_page(run, write, tmp_path, monkeypatch):
    distance = np.linspace(0.1, 3.0, 100)
    rows = [row for row in ROBUSTNESS if row[0] == "cnn"]
    columns = TABLES["robustness"][0].split(",")
    pd.DataFrame(rows, columns=columns).to_csv(run / "tables" / "robustness.csv", index=False)
    found = {"all": distance, "ddn": distance, "fgm": np.append(distance[:-1] + 0.3, np.inf)}
    monkeypatch.setattr(Run, "distances", lambda _, key: found[key[1]])
    page = write(run)
    kept = keep_run.main(run, tmp_path / "resources")
    first = {path: path.read_bytes() for path in kept.rglob("*") if path.is_file()}
    monkeypatch.undo()
    assert [line.replace("resources/results/", "results/") for line in write(kept)] == page
    assert any("% beyond" in line for line in page)
    for attack, values in found.items():
        assert Run(kept).distances(("l2", attack, "cnn")).tolist() == values.tolist()
    monkeypatch.setattr(Run, "distances", lambda _, key: found[key[1]])
    keep_run.main(run, tmp_path / "resources")
    assert {path: path.read_bytes() for path in kept.rglob("*") if path.is_file()} == first


def test_a_run_whose_records_are_gone_is_not_kept(run, tmp_path):
    with pytest.raises(InputError, match=r"lacks records of \w+ on cnn in l2"):
        keep_run.main(run, tmp_path)
