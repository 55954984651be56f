"""The layout of the paper's Table 1, in each format."""

import math

import pandas as pd
import pytest
from scripts.tables import tabulate_minima
from scripts.verification import summarize_verification as verify

from absynth.evaluation.attack_table import write_attack_table
from absynth.reporting.contents import legend
from absynth.reporting.tables import certificates_table, table1, to_latex, to_markdown

ROBUSTNESS = pd.DataFrame(
    [
        ("cnn", "l2", "fgm", 1.234, 0.4, 10),
        ("cnn", "l2", "all", 1.2, 0.3, 10),
        ("nn", "l2", "all", math.inf, 1.0, 10),
        ("cnn", "linf", "all", 0.1, 0.049, 10),
        ("nn", "l0", "salt", 12.0, 0.5, 10),
        ("nn", "l0", "all", 11.5, 0.45, 10),
    ],
    columns=["model", "norm", "attack", "median", "accuracy", "n"],
)
ATTACKS = {"l2": {"fgm": "FGM", "never_run": "Never"}, "linf": {}, "l0": {"salt": "Salt & pepper"}}


@pytest.fixture
def table() -> pd.DataFrame:
    return table1(
        ROBUSTNESS,
        {"cnn": 0.991, "nn": 0.9685},
        models={"nn": "Nearest_Neighbor", "cnn": "CNN"},
        attacks=ATTACKS,
        epsilons={"l2": 1.5, "linf": 0.3, "l0": 12.0},
    )


def test_layout(table):
    assert list(table.columns) == ["norm", "attack", "Nearest_Neighbor", "CNN"]
    assert table.to_numpy().tolist() == [
        ["", "Clean", "96.9%", "99.1%"],
        ["L2 (ε = 1.5)", "FGM", "", "1.23 / 40%"],
        ["L2 (ε = 1.5)", "All L2 attacks", "∞ / 100%", "1.20 / 30%"],
        ["L∞ (ε = 0.3)", "All L∞ attacks", "", "0.100 / 5%"],
        ["L0 (ε = 12)", "Salt & pepper", "12.0 / 50%", ""],
        ["L0 (ε = 12)", "All L0 attacks", "11.5 / 45%", ""],
    ]


def test_the_legend_says_what_the_cells_are(table):
    attacked = to_markdown(table)
    assert legend(attacked, attacked=True).startswith("Attacks: median distance")
    assert "bound" not in legend(attacked, attacked=True)
    gap = {"model": "nn", "norm": "l2", "lower": 1.0, "basis": "proved", "gap": 0.1}
    settings = {"models": {"nn": "NN"}, "attacks": ATTACKS, "epsilons": dict.fromkeys(ATTACKS, 1.0)}
    both = to_markdown(table1(ROBUSTNESS, {"nn": 0.9}, brackets=pd.DataFrame([gap]), **settings))
    assert [line.split()[0] for line in legend(both, attacked=True).splitlines()] == ["Attacks:", "Lower"]
    row = {
        "model": "nn",
        "norm": "l2",
        "basis": "proved",
        "clean": 1.0,
        "median": 1.0,
        "epsilon": 1.0,
        "accuracy": 0.5,
    }
    bounded = to_markdown(certificates_table(pd.DataFrame([row]), {"nn": "NN"}))
    assert [line.split()[0] for line in legend(bounded, attacked=False).splitlines()] == ["Cells:", "Lower"]


def test_the_papers_attacks_and_their_minimum_stand_before_what_is_beyond():
    rows = [("fmn", 2.0), ("fgm", 3.0), ("paper", 3.0), ("all", 2.0)]
    robustness = pd.DataFrame(
        [("cnn", "l2", name, median, 0.5, 10) for name, median in rows], columns=ROBUSTNESS.columns
    )
    settings = {
        "models": {"cnn": "CNN"},
        "attacks": {"l2": {"fmn": "FMN", "fgm": "FGM"}},
        "epsilons": {"l2": 1.5},
    }
    laid_out = table1(robustness, {"cnn": 1}, of_paper=["fgm", "bim"], **settings)
    assert laid_out["attack"].tolist() == [
        "Clean",
        "FGM",
        "All L2 attacks of the paper",
        "FMN",
        "All L2 attacks",
    ]
    alone = robustness[robustness["attack"] != "paper"]  # of a run whose attacks are all of one kind
    assert table1(alone, {"cnn": 1}, of_paper=["fgm"], **settings)["attack"].tolist() == [
        "Clean",
        "FMN",
        "FGM",
        "All L2 attacks",
    ]


def test_markdown(table):
    assert to_markdown(table).splitlines() == [
        "|  | Nearest_Neighbor | CNN |",
        "| :-- | --: | --: |",
        "| Clean | 96.9% | 99.1% |",
        "| **L2 (ε = 1.5)** |  |  |",
        "| FGM |  | 1.23 / 40% |",
        "| All L2 attacks | ∞ / 100% | 1.20 / 30% |",
        "| **L∞ (ε = 0.3)** |  |  |",
        "| All L∞ attacks |  | 0.100 / 5% |",
        "| **L0 (ε = 12)** |  |  |",
        "| Salt & pepper | 12.0 / 50% |  |",
        "| All L0 attacks | 11.5 / 45% |  |",
    ]


def test_latex(table):
    assert to_latex(table).splitlines() == [
        r"\begin{tabular}{lrr}",
        r"\toprule",
        r" & Nearest\_Neighbor & CNN \\",
        r"\midrule",
        r"Clean & 96.9\% & 99.1\% \\",
        r"\midrule",
        r"\multicolumn{3}{l}{L2 ($\epsilon$ = 1.5)} \\",
        r"FGM &  & 1.23 / 40\% \\",
        r"All L2 attacks & $\infty$ / 100\% & 1.20 / 30\% \\",
        r"\midrule",
        r"\multicolumn{3}{l}{L$\infty$ ($\epsilon$ = 0.3)} \\",
        r"All L$\infty$ attacks &  & 0.100 / 5\% \\",
        r"\midrule",
        r"\multicolumn{3}{l}{L0 ($\epsilon$ = 12)} \\",
        r"Salt \& pepper & 12.0 / 50\% &  \\",
        r"All L0 attacks & 11.5 / 45\% &  \\",
        r"\bottomrule",
        r"\end{tabular}",
    ]


@pytest.mark.parametrize(
    ("title", "markdown", "latex"),
    [
        ("a|b", r"a\|b", "a|b"),
        ("#1 {x}", "#1 {x}", r"\#1 \{x\}"),
        ("$5^2 ~\\", "$5^2 ~\\", r"\$5\textasciicircum{}2 \textasciitilde{}\textbackslash{}"),
    ],
)
def test_labels_with_marks_of_the_format(title, markdown, latex):
    table = pd.DataFrame([["", "Clean", "99.0%"]], columns=["norm", "attack", title])
    assert to_markdown(table).splitlines()[0] == f"|  | {markdown} |"
    assert to_latex(table).splitlines()[2] == rf" & {latex} \\"


def test_two_models_may_share_a_label():
    """A second training of a kind, say, whose label was left as it is."""
    table = table1(
        ROBUSTNESS,
        {"cnn": 0.991, "nn": 0.9685},
        models={"nn": "CNN", "cnn": "CNN"},
        attacks=ATTACKS,
        epsilons={"l2": 1.5, "linf": 0.3, "l0": 12.0},
    )
    assert to_markdown(table).splitlines()[2] == "| Clean | 96.9% | 99.1% |"


def test_model_that_no_attack_applies_to_has_empty_cells():
    table = table1(
        ROBUSTNESS,
        {"cnn": 0.991, "nn": 0.9685},
        models={"cnn": "CNN", "mine": "Mine"},
        attacks={"l2": {"fgm": "FGM"}},
        epsilons={"l2": 1.5},
    )
    assert table["Mine"].tolist() == ["", "", ""]


def test_run_without_attacks_has_tables_without_rows(tmp_path):
    robustness, brackets = tmp_path / "robustness.csv", tmp_path / "brackets.csv"
    robustness.write_text("model,norm,attack,median,accuracy,n\n")
    brackets.write_text("model,norm,lower,gap,n\n")
    outputs = {name: tmp_path / f"table1.{name}" for name in ("markdown", "csv", "latex")}
    tabulate_minima.write_table1(
        robustness=robustness, summaries=[], brackets=[brackets], models={"cnn": "CNN"}, attacks={"l2": {}},
        epsilons={"l2": 1.5}, of_paper=[], **outputs,
    )  # fmt: skip
    assert pd.read_csv(outputs["csv"])["attack"].tolist() == ["Clean", "All L2 attacks"]
    table = tmp_path / "table.csv"
    write_attack_table(shards=[], minimal=[], table=table, run="toy")
    header = "model,norm,attack,n,found,minima,queries,gradients,nonfinite,near_bound,seconds,device\n"
    assert table.read_text() == header
    verify.main(findings=[], table=table)
    assert table.read_text().startswith("model,norm,attack,shard,")
