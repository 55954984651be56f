"""Runs of the workflow, opened from anywhere."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import absynth
from absynth.data.split_files import write_split
from absynth.errors import InputError
from absynth.io.atomic import write_csv
from absynth.io.records import MINIMAL, write_record

SHAPE, N_TEST, ATTACKED = (3, 4, 5), 9, [1, 2, 5]  # images attacked need not be the first
LABELS = np.arange(N_TEST) % 4
CONFIG = {
    "run": "toy",
    "dataset": "toy",
    "datasets": {},
    "n_samples": 3,
    "norms": ["l2", "l0"],
    "relay": {"attacks": ["beam"], "rounds": 1},
    "models": {"mine": {"class": "mine.Net", "weights": "w.pt", "label": "Mine"}, "cnn": None},
    "attacks": {
        "ddn": {},
        "fgm": None,
        "fmn": {"norms": ["linf"]},
        "beam": {},
        "relay1_beam": {"kind": "beam"},
    },
}


def images(seed):
    return np.random.default_rng(seed).integers(0, 256, (N_TEST, *SHAPE), dtype=np.uint8)


@pytest.fixture
def folder(tmp_path):
    """A finished run in which the second image is misclassified and the last attack failed."""
    run = tmp_path / "results" / "renamed"
    write_split(run / "data" / "test.h5", images(0), LABELS, "toy", "test", n_classes=4)
    clean = images(0)[ATTACKED].astype(np.float32) / np.float32(255)
    adversarial = clean.copy()
    adversarial[0, 0, 0, 0] = 1 - clean[0, 0, 0, 0]
    columns = {
        "index": ATTACKED,
        "label": LABELS[ATTACKED],
        "distance": [0.5, 0.0, np.inf],
        "attack": ["ddn", "", ""],
        "adversarial": adversarial,
        "adversarial_prediction": [3, 0, 1],
    }
    attributes = {"run": "toy", "model": "mine", "norm": "l2"}
    write_record(run / "minimal" / "mine" / "l2.h5", columns, attributes, MINIMAL)
    bounds = [{"index": i, "label": i % 4, "joint": 0.25 * i, "basis": "proved"} for i in range(3)]
    write_csv(run / "bounds" / "mine" / "l2.csv", bounds)
    write_csv(run / "tables" / "robustness.csv", [{"model": "007", "median": "inf", "attack": "all"}])
    (run / "tables" / "provenance.json").write_text(json.dumps({"config": CONFIG, "versions": {}}))
    return run


def test_the_run_says_what_it_consists_of(folder):
    run = absynth.open_run(folder)
    assert run.finished
    assert run.config == CONFIG
    assert (run.name, run.n_samples, run.norms) == ("toy", 3, ("l2", "l0"))
    assert (run.models, run.labels) == (("mine",), {"mine": "Mine"})
    assert run.attacks == ("ddn", "beam", "relay1_beam")
    assert run.attacks_on("mine", "l2") == ("ddn",)
    assert run.attacks_on("mine", "l0") == ("beam", "relay1_beam")
    assert repr(run) == f"<Run {folder}: 3 images, mine in l2, l0>"


def test_a_relative_path_stays_the_same_run_when_the_working_directory_changes(folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    run = absynth.open_run("renamed")
    monkeypatch.chdir("/")
    assert len(run.minima("mine", "l2")) == 3


def test_minima_come_with_the_clean_images_that_they_belong_to(folder):
    found = absynth.open_run(folder).minima("mine", "l2")
    assert found.index.tolist() == ATTACKED
    np.testing.assert_array_equal(found.clean, images(0)[ATTACKED].astype(np.float32) / np.float32(255))
    changed = (found.clean != found.adversarial).reshape(3, -1).sum(axis=1)
    assert changed.tolist() == [1, 0, 0]
    assert found.distance.tolist() == [0.5, 0.0, np.inf]
    assert found.clean.dtype == found.adversarial.dtype == np.float32
    frame = found.frame()
    assert list(frame) == ["index", "label", "prediction", "distance", "attack"]
    assert frame["label"].tolist() == [1, 2, 1]
    assert frame["prediction"].tolist() == [3, 0, 1]
    assert frame["attack"].tolist() == ["ddn", "", ""]


def test_bounds_are_those_of_the_file(folder):
    bounds = absynth.open_run(folder).bounds("mine", "l2")
    assert bounds.frame().to_dict("list") == {
        "index": [0, 1, 2],
        "label": [0, 1, 2],
        "lower": [0.0, 0.25, 0.5],
        "basis": ["proved"] * 3,
    }


def test_tables_are_frames_whose_names_stay_text(folder):
    table = absynth.open_run(folder).table("robustness")
    assert table.to_dict("records") == [{"model": "007", "median": np.inf, "attack": "all"}]


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda run: run.table("nix"), "no table 'nix'; it has robustness$"),
        (lambda run: run.minima("other", "l2"), r"no minimal/other/l2\.h5; it has mine in l2$"),
        (lambda run: run.bounds("mine", "l0"), r"no bounds/mine/l0\.csv; it has mine in l2$"),
        (lambda run: run.attacks_on("cnn", "l2"), "no model 'cnn'; it has mine$"),
        (lambda run: run.attacks_on("mine", "linf"), "no norm 'linf'; it has l2, l0$"),
    ],
)
def test_what_is_not_there_is_refused_with_what_is(folder, ask, said):
    with pytest.raises(InputError, match=said):
        ask(absynth.open_run(folder))


def test_what_an_unfinished_run_has_can_be_read_and_what_it_lacks_is_said(folder):
    (folder / "tables" / "provenance.json").unlink()
    run = absynth.open_run(folder)
    assert not run.finished
    assert len(run.minima("mine", "l2")) == 3
    held = "1 file of data; minimal of mine in l2; bounds of mine in l2; 1 file of tables"
    with pytest.raises(
        InputError, match=rf"has not finished: it lacks tables/provenance\.json, and has {held}$"
    ):
        _ = run.config
    with pytest.raises(InputError, match=rf"it has mine in l2; it is a run that has not finished: .*{held}$"):
        run.minima("mine", "l0")
    assert held in repr(run)


def test_images_of_another_test_split_are_noticed(folder):
    write_split(folder / "data" / "test.h5", images(1), LABELS[::-1], "toy", "test", n_classes=4)
    with pytest.raises(InputError, match=r"data/test\.h5 holds other images than minimal/mine/l2\.h5"):
        absynth.open_run(folder).minima("mine", "l2")


def test_bounds_without_a_column_are_damaged(folder):
    write_csv(folder / "bounds" / "mine" / "l2.csv", [{"index": 0, "label": 0, "joint": 1.0}])
    with pytest.raises(InputError, match="lacks the column basis; delete it and rerun"):
        absynth.open_run(folder).bounds("mine", "l2")


def test_a_folder_of_runs_names_them(folder):
    with pytest.raises(InputError, match=r"holds no run of the workflow .*; the runs in it are renamed$"):
        absynth.open_run(folder.parent)


@pytest.mark.parametrize(
    ("path", "said"), [("nowhere", "no such folder$"), ("file", "no folder; a run is a folder")]
)
def test_what_is_no_run_is_refused(tmp_path, path, said):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=said):
        absynth.open_run(tmp_path / path)


def test_the_package_itself_imports_nothing_costly():
    """And a run is read without torch."""
    code = (
        "import sys, absynth; heavy = {'torch', 'numpy', 'pandas', 'h5py', 'eagerpy'};"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules);"
        "absynth.open_run; assert not {'torch', 'eagerpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(absynth.__file__).parents[1])


def test_all_public_names_are_there_and_listed():
    for name in absynth.__all__:
        assert getattr(absynth, name).__name__ == name
    assert set(absynth.__all__) <= set(dir(absynth))
    with pytest.raises(AttributeError, match="has no attribute 'nix'"):
        _ = absynth.nix
