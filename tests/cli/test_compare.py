"""Models of several runs on the images that they share."""

import numpy as np
import pandas as pd
import pytest
from toy_runs import toy_images, toy_run

from absynth import open_run
from absynth.cli.comparison import (
    candidates,
    common,
    differing_attacks,
    identities,
    pairs,
    summaries,
)
from absynth.cli.main import main
from absynth.errors import InputError
from absynth.evaluation.paired import adjusted
from absynth.io.atomic import write_csv


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Two runs whose images overlap in other orders: `a` on images 0 to 5, `b` on images 7 to 2."""
    monkeypatch.chdir(tmp_path)
    results = tmp_path / "results"
    toy_run(results / "a", {"net": [0.0, 1.0, 2.0, 3.0, 4.0, np.inf], "wide": [9.0] * 6}, [0, 1, 2, 3, 4, 5])
    toy_run(results / "b", {"net": [8.0, 8.0, 1.0, 1.25, 1.0, 1.5]}, [7, 6, 5, 4, 3, 2])
    return tmp_path


def of(*names):
    return candidates({name: open_run(f"results/{name}") for name in names}, [])


def test_images_are_told_by_their_content():
    images, labels = toy_images(3).astype(np.float32), np.array([0, 1, 2])
    names = identities(images, labels)
    assert len(set(names)) == 3
    assert identities(images[::-1], labels[::-1]) == names[::-1]
    assert identities(images[:1], labels[1:2]) != names[:1]  # another label
    assert identities(images[[0, 0]], labels[[0, 0]]) == [names[0], f"{names[0]}-2"]


def test_models_are_compared_on_the_images_that_all_were_attacked_on(folder):
    found = common(of("a", "b"), "l2")
    assert len(found.images) == 4
    assert found.labels.tolist() == [2, 3, 0, 1]
    assert found.distances["a/net"].tolist() == [2.0, 3.0, 4.0, np.inf]  # images 2 to 5, in the order of `a`
    assert found.distances["b/net"].tolist() == [1.5, 1.0, 1.25, 1.0]
    assert found.attacked == {"a/net": 6, "a/wide": 6, "b/net": 6}


def test_a_row_for_each_model_and_each_pair(folder):
    chosen = of("a", "b")
    found = common(chosen, "l2")
    rows = summaries(found, chosen, 1.5)
    assert [(row["run"], row["model"], row["median"], row["accuracy"]) for row in rows] == [
        ("a", "net", 3.5, 1.0),
        ("a", "wide", 9.0, 1.0),
        ("b", "net", 1.125, 0.0),
    ]
    tests = adjusted(pairs(found, chosen, 1.5))
    assert [(row["model"], row["other_model"]) for row in tests] == [
        ("net", "wide"),
        ("net", "net"),
        ("wide", "net"),
    ]
    assert (tests[1]["only_first"], tests[1]["only_second"], tests[1]["p_accuracy"]) == (4, 0, 0.125)
    assert tests[1]["p_distance"] == pytest.approx(0.125)  # all four differences of one sign
    assert tests[1]["p_distance_adjusted"] == pytest.approx(0.75)  # the smallest p of six


def test_lower_bounds_are_those_of_the_shared_images(folder):
    rows = [{"index": i, "label": i % 4, "joint": i / 8, "basis": "proved"} for i in range(6)]
    write_csv(folder / "results" / "a" / "bounds" / "net" / "l2.csv", rows)
    found = common(of("a", "b"), "l2")
    assert found.bounds["a/net"].tolist() == [0.25, 0.375, 0.5, 0.625]
    assert found.basis == {"a/net": "proved"}


def test_the_command_writes_tables_and_figures(folder, capsys):
    assert main(["compare", "a", "results/b", "--models", "net", "--epsilons", "l2=5/4"]) == 0
    out = folder / "comparisons" / "a-b"
    for name in ("accuracy_distortion", "distribution", "differences"):
        assert (out / f"{name}.png").stat().st_size > 5000
        assert "</svg>" in (out / f"{name}.svg").read_text(encoding="utf-8")
    models, tests, images = (pd.read_csv(out / f"{name}.csv") for name in ("models", "pairs", "images"))
    assert models["accuracy"].tolist() == [1.0, 0.25]
    assert tests[["only_first", "only_second", "shorter", "longer"]].to_numpy().tolist() == [[3, 0, 0, 4]]
    assert len(images) == 8
    assert set(images["run"]) == {"a", "b"}
    text = capsys.readouterr().out
    assert "net (a) – net (b)" in text
    assert "left out, since not all models were attacked on them: 2 of a/net, 2 of b/net" in text
    assert "the models met different attacks" not in text


def test_runs_of_one_name_are_compared_outside_of_them(folder, monkeypatch):
    other = toy_run(folder / "other" / "a", {"net": [1.0] * 3}, [2, 3, 4])
    (folder / "work").mkdir()
    monkeypatch.chdir(folder / "work")
    assert main(["compare", "../results/a", str(other)]) == 0
    (out,) = (folder / "work" / "comparisons").iterdir()
    assert (out / "pairs.csv").is_file()
    assert out.name.startswith("results_a-")
    assert not list(folder.glob("**/a/**/pairs.csv"))
    assert {path.name for path in folder.iterdir()} == {"results", "other", "work"}


def test_one_run_is_compared_within(folder, capsys):
    assert main(["compare", "a"]) == 0
    assert "net – wide" in capsys.readouterr().out


def test_other_options_of_attacks_are_pointed_out(folder, capsys):
    toy_run(folder / "results" / "c", {"net": [1.0] * 3}, [2, 3, 4], attacks={"ddn": {"steps": 500}})
    assert not differing_attacks(of("a", "b"), "l2")
    assert main(["compare", "a", "c"]) == 0
    assert "In l2 the models met different attacks" in capsys.readouterr().out


def test_options_count_as_each_model_met_them(folder):
    def run(name, *models):
        distances = dict.fromkeys(models, [1.0] * 3)
        toy_run(
            folder / "results" / name, distances, [2, 3, 4], attacks={"ddn": {"steps": 50, **entries[name]}}
        )

    entries = {
        "own": {
            "label": "DDN again",
            "models": ["net"],
            "norms": ["l2"],
            "per_model": {"other": {"steps": 9}},
        },
        "less": {"per_model": {"net": {"steps": 5}}},
        "same": {"steps": 5, "per_model": {"other": {"steps": 50}}},
    }
    for name in entries:
        run(name, "net")
    assert not differing_attacks(of("a", "own"), "l2")  # `per_model` is of another
    assert differing_attacks(of("a", "less"), "l2")
    assert not differing_attacks(of("less", "same"), "l2")
    run("less", "net", "wide")
    assert differing_attacks(of("less"), "l2")  # within one run


@pytest.mark.parametrize(("kind", "differ"), [("nearest_neighbor", True), ("cnn", False)])
def test_attacks_that_were_done_near_proved_bounds_differ(folder, kind, differ):
    for name, share in (("plain", None), ("tight", 0.01)):
        path = folder / "results" / name
        toy_run(path, {kind: [1.0]}, [9], models={kind: {}}, stop_when_tight=share)
    assert differing_attacks(of("plain", "tight"), "l2") is differ


def test_what_cannot_be_compared_is_refused(folder, capsys):
    toy_run(folder / "results" / "e", {"net": [1.0], "wide": [1.0]}, [9], norms=["l2", "l0"])
    toy_run(folder / "results" / "c", {"net": [1.0]}, [9])
    toy_run(folder / "results" / "d", {"net": [1.0]}, [9])
    with pytest.raises(InputError, match="no image was attacked in all of a/net, a/wide, c/net"):
        common(of("a", "c"), "l2")
    for words, said in (
        (["d"], "found 1 model"),
        (["a", "b", "--models", "cnn"], "--models: found cnn, the runs have net, wide"),
        (["a", "b", "--norms", "l0"], "--norms: found l0, the runs have l2"),
        (["e", "--norms", "l2", "l0"], "--norms: found l0, in which none of e/net, e/wide was attacked"),
        (["e", "--norms", "l0"], "--norms: found l0, in which none of e/net, e/wide was attacked"),
    ):
        assert main(["compare", *words]) == 2
        assert said in capsys.readouterr().err
