"""Brackets: their intervals, bound violations, their figure and their rows in Table 1."""

import math
from itertools import product

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from scripts.certificates import gather_lower_bounds as reduce_bounds
from scripts.certificates import tabulate_lower_bounds

from absynth.certificates.lower_bounds import bound_rows
from absynth.errors import InputError
from absynth.evaluation.bracket import bound_violations, bracket_curves, intervals, is_tight, medians
from absynth.evaluation.lower_bounds import COLUMNS, DRAWS, one_basis, summarise_bounds
from absynth.io.atomic import write_csv
from absynth.reporting.figures.bracket import bracket_figure
from absynth.reporting.figures.style import save_figure
from absynth.reporting.tables import table1, to_markdown

BOUNDS = pd.DataFrame(
    {
        "index": [0, 1, 2, 3],
        "correct": [1, 1, 0, 1],
        "joint": [1.0, 2.0, 0.0, 3.0],
        "basis": "searched",
        "paper": [0.5, 0.5, 0, 0.5],
    }
)
MINIMAL = {
    "index": np.array([3, 2, 1, 0]),
    "distance": np.array([math.inf, 0.0, 1.9, 1.5]),
    "attack": np.array(["", "", "ddn", "bim"], dtype=object),
}


@pytest.fixture
def found() -> pd.DataFrame:
    return intervals(BOUNDS, MINIMAL, "bounds/abs/l2.csv")


def test_intervals_belong_to_the_images(found):
    assert found.to_numpy().tolist() == [
        [0, 1.0, "searched", 1.5, "bim"],
        [1, 2.0, "searched", 1.9, "ddn"],
        [2, 0.0, "searched", 0.0, ""],
        [3, 3.0, "searched", math.inf, ""],
    ]


def test_an_adversarial_below_its_lower_bound_is_a_violation(found):
    assert bound_violations(found)["index"].tolist() == [1]
    found.loc[1, "upper"] = 1.9995  # rounding
    assert not len(bound_violations(found))


@pytest.mark.parametrize(
    ("basis", "lower", "upper", "violation"),
    [
        ("searched", 0.05, 0.0492, True),  # 1.6 % below
        ("searched", 0.05, 0.0496, False),
        ("proved", 2.0, 1.9999, True),
        ("proved", 2.0, 2.0 - 5e-7, False),
        ("searched", math.inf, 2.0, True),
        ("proved", 0.0, 0.0, False),
    ],
)
def test_what_counts_as_rounding_depends_on_the_bound(basis, lower, upper, violation):
    row = pd.DataFrame({"lower": [lower], "upper": [upper], "basis": [basis]})
    assert len(bound_violations(row)) == violation


def test_a_bracket_that_contradicts_itself_is_not_tight():
    rows = pd.DataFrame({"lower": [math.inf, math.inf, 2.0, 2.0], "upper": [2.0, math.inf, 1.9, 1.99]})
    assert is_tight(rows).tolist() == [False, True, False, True]
    assert is_tight(rows, within=0).tolist() == [False, True, False, False]


def test_medians_are_over_all_images(found):
    assert medians(found) == {
        "lower": 1.5, "basis": "searched", "upper": 1.7, "gap": pytest.approx(0.25), "tight": 1, "loose": 2, "n": 4,
    }  # fmt: skip


def test_brackets_are_tight_within_one_and_loose_beyond_ten_per_cent():
    ends = [(1.0, 1.005), (1.0, 1.05), (1.0, 1.2), (0.0, 0.0), (math.inf, math.inf), (1.0, math.inf)]
    found = medians(pd.DataFrame(ends, columns=["lower", "upper"]).assign(basis="proved"))
    assert (found["tight"], found["loose"], found["n"]) == (3, 2, 6)


@pytest.mark.parametrize("basis", ["proved", "searched"])
def test_accuracy_by_lower_bounds_lies_below_accuracy_under_attack(found, basis):
    table = bracket_curves(found.drop(index=1).assign(basis=basis))
    at = {
        side: dict(zip(part["distance"], part["accuracy"], strict=True))
        for side, part in table.groupby("side")
    }
    assert at[basis] == {0.0: pytest.approx(2 / 3), 1.0: pytest.approx(1 / 3), 3.0: pytest.approx(0)}
    assert at["attacked"] == {0.0: pytest.approx(2 / 3), 1.5: pytest.approx(1 / 3)}


@pytest.mark.parametrize(
    ("bounds", "found"),
    [
        (BOUNDS.iloc[:3], "different images, for example 3"),
        (
            BOUNDS.assign(correct=[1, 0, 0, 1]),
            "disagree on whether the clean image 1 is correctly classified",
        ),
    ],
)
def test_files_that_do_not_belong_together_are_named(bounds, found):
    with pytest.raises(InputError, match=r"bounds/abs/l2\.csv: .*" + found):
        intervals(bounds, MINIMAL, "bounds/abs/l2.csv")


def test_standard_error_is_that_of_the_mean_over_seeds():
    bounds = pd.DataFrame({"joint": [1.0, 2.0], "basis": "proved", "disagreement": [0.01, 0.02]})
    draws = pd.DataFrame({"draw": [0, 0, 1, 1], "paper": [0.1, 0.3, 0.3, 0.5], "paper_without_kl": 0.6})
    joint, paper, without_kl = summarise_bounds(bounds, draws)
    assert joint == {
        "bound": "joint", "basis": "proved", "mean": 1.5, "median": 1.5, "standard_error": "", "disagreeing": 1,
        "seeds": 1, "n": 2,
    }  # fmt: skip
    assert paper["mean"] == paper["median"] == pytest.approx(0.3)
    assert paper["standard_error"] == pytest.approx(0.1)  # of 0.2 and 0.4: standard deviation 0.1 √2, over √2
    assert paper["basis"] == "searched"
    assert (paper["bound"], paper["seeds"], paper["disagreeing"]) == ("paper", 2, "")
    assert (without_kl["bound"], without_kl["standard_error"]) == ("paper_without_kl", 0)
    assert len(summarise_bounds(bounds, draws[:0])) == 1


def test_statistics_of_infinite_bounds_are_infinite():
    bounds = pd.DataFrame({"joint": [1.0, math.inf, math.inf], "basis": "searched", "disagreement": 0.0})
    (joint,) = summarise_bounds(bounds, pd.DataFrame())
    assert joint["median"] == joint["mean"] == math.inf


def test_shards_of_bounds_are_gathered_in_order(tmp_path):
    for (norm, scale), (shard, span) in product({"l2": 1, "l0": 10}.items(), enumerate([(0, 1), (1, 3)])):
        index = torch.arange(*span)
        found = {
            "correct": index != 2, "joint": torch.where(index == 2, 0.0, scale * (1.0 + index)), "rival": index,
            "disagreement": index * 0.1,
        }  # fmt: skip
        draws = [{"paper": 0.1 * (1 + index + draw)} for draw in range(2)]
        rows, drawn = bound_rows(found, draws, index, index + 3)
        path = tmp_path / f"{norm}_{shard}.csv"
        write_csv(path, [row | {"basis": "searched"} for row in rows], COLUMNS)
        write_csv(path.with_stem(f"{path.stem}_draws"), drawn, DRAWS)

    norms = ("l2", "l0")

    def reduced(shards):
        parts = [f"{norm}_{shard}" for norm in norms for shard in shards]
        reduce_bounds.main(
            shards=[tmp_path / f"{part}.csv" for part in parts],
            draws=[tmp_path / f"{part}_draws.csv" for part in parts],
            bounds=[tmp_path / f"{norm}.csv" for norm in norms],
            summaries=[tmp_path / f"{norm}_summary.csv" for norm in norms],
            norms=norms, n_samples=3, model="abs",
        )  # fmt: skip

    reduced([0, 1])
    for norm, scale in zip(norms, (1, 10), strict=True):
        bounds = pd.read_csv(tmp_path / f"{norm}.csv")
        assert bounds["index"].tolist() == [0, 1, 2]
        assert bounds["label"].tolist() == [3, 4, 5]
        assert bounds["correct"].tolist() == [1, 1, 0]
        assert bounds["joint"].tolist() == [scale, 2 * scale, 0]
        assert bounds["paper"].tolist() == pytest.approx([0.1, 0.2, 0.3])  # the model's own draw
        summary = pd.read_csv(tmp_path / f"{norm}_summary.csv").set_index("bound")
        shown = summary.loc["joint", ["model", "norm", "mean", "disagreeing", "n"]]
        assert shown.tolist() == ["abs", norm, scale, 2, 3]
        assert summary.loc["paper", "mean"] == pytest.approx(0.25)
        assert summary.loc["paper", "standard_error"] == pytest.approx(0.05)
    for wrong in ([1, 0], [0], [0, 1, 1]):
        with pytest.raises(InputError, match="do not hold images 0 to 2"):
            reduced(wrong)


def test_tables_of_lower_bounds_without_any_have_only_their_headers(tmp_path):
    names = ("table", "csv", "markdown")
    places = {name: tmp_path / name for name in names}
    tabulate_lower_bounds.main(summaries=[], bounds=[], **places, models={}, epsilons={"l2": 1.5})
    assert all(pd.read_csv(places[name]).empty for name in ("table", "csv"))
    assert places["markdown"].read_text(encoding="utf-8").startswith("|")


@pytest.mark.parametrize(
    ("bases", "basis"), [(["proved"] * 2, "proved"), (["proved", "searched"], "searched"), ([], "searched")]
)
def test_bounds_are_proved_only_if_all_are(bases, basis):
    assert one_basis(pd.DataFrame({"basis": bases})) == basis


def test_table1_has_rows_for_norms_with_lower_bounds_only_and_one_for_each_basis():
    robustness = pd.DataFrame(
        [
            ("abs", "l2", "all", 2.1, 0.8, 10),
            ("nn", "l2", "all", 1.1, 0.1, 10),
            ("abs", "l0", "all", 12, 0.5, 10),
        ],
        columns=["model", "norm", "attack", "median", "accuracy", "n"],
    )
    table = table1(
        robustness,
        {"abs": 0.99, "nn": 0.99},
        models={"abs": "ABS", "nn": "NN"},
        attacks={"l2": {}, "l0": {}},
        epsilons={"l2": 1.5, "l0": 12.0},
        brackets=pd.DataFrame(
            [("abs", "l2", 1.98, "searched", math.inf, 10), ("nn", "l2", 1.05, "proved", 0.05, 10)],
            columns=["model", "norm", "lower", "basis", "gap", "n"],
        ),
    )
    assert to_markdown(table).splitlines()[3:] == [
        "| **L2 (ε = 1.5)** |  |  |",
        "| All L2 attacks | 2.10 / 80% | 1.10 / 10% |",
        "| Median lower bound (proved) |  | 1.05 |",
        "| Median lower bound (searched) | 1.98 |  |",
        "| Median gap | ∞ | 0.05 |",
        "| **L0 (ε = 12)** |  |  |",
        "| All L0 attacks | 12.0 / 50% |  |",
    ]


def draw(found: pd.DataFrame, models: dict[str, str]) -> plt.Figure:
    named = [found.assign(model=model, norm="l2") for model in models]
    sides = [
        bracket_curves(part).assign(model=part["model"].iloc[0], norm="l2") for part in named if len(part)
    ]
    columns = ["model", "norm", "side", "distance", "accuracy"]
    table = pd.concat(sides) if sides else pd.DataFrame(columns=columns)
    return bracket_figure(pd.concat(named), table, models={**models, "cnn": "CNN"}, norms=["l2", "l0"])


@pytest.mark.parametrize("models", [{"abs": "ABS"}, {"abs": "ABS", "nn": "NN"}])
def test_figure_has_a_row_for_each_model_with_lower_bounds(found, models, tmp_path):
    figure = draw(found, models)
    assert len(figure.axes) == 2 * (len(models) + 1)
    assert figure.axes[0].get_title() == "$L_2$"
    assert figure.axes[0].get_ylabel() == "ABS\nimages (searched)"
    (lines,) = (artist for artist in figure.axes[0].collections if hasattr(artist, "get_segments"))
    assert sorted(segment[0][0] for segment in lines.get_segments()) == [0.0, 1.0, 2.0, 3.0]
    paths = [tmp_path / "bracket.png", tmp_path / "bracket.svg"]
    save_figure(figure, paths)
    assert all(path.stat().st_size > 1000 for path in paths)


def test_figure_without_lower_bounds_says_so(found):
    figure = draw(found.iloc[:0], {"abs": "ABS"})
    assert "no model" in figure.axes[0].get_ylabel()
    plt.close(figure)


def test_figure_ends_beyond_the_finite_bounds_where_one_is_infinite(found):
    """No perturbation changes the decision on that image."""
    none = pd.DataFrame([[4, math.inf, "searched", math.inf, ""]], columns=found.columns)
    figure = draw(pd.concat([found, none], ignore_index=True), {"abs": "ABS"})
    assert figure.axes[0].get_xlim()[1] == draw(found, {"abs": "ABS"}).axes[0].get_xlim()[1] == 1.05 * 3.0
    plt.close("all")


def test_bounds_and_attacks_that_differ_are_both_named_as_the_folders_to_delete():
    with pytest.raises(InputError) as refused:
        intervals(BOUNDS.iloc[:3], MINIMAL, "results/toy/bounds/abs/l2.csv")
    folders = "delete the folders results/toy/bounds/abs/l2 and results/toy/attacks/abs/l2 and rerun"
    assert str(refused.value).endswith(folders)
