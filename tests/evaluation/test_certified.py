"""Lower bounds as a table of their own: medians, and accuracies at ε."""

import pandas as pd
import pytest

from absynth.evaluation.lower_bounds import CERTIFICATES, summarise_joint
from absynth.reporting.report_tables import report_tables
from absynth.reporting.tables import certificates_table, to_markdown


def bounds(*joint: float, basis: str = "proved") -> pd.DataFrame:
    return pd.DataFrame({"joint": joint, "correct": [int(value > 0) for value in joint], "basis": basis})


def test_the_accuracy_counts_images_whose_bound_exceeds_epsilon():
    assert summarise_joint(bounds(0.0, 1.0, 1.5, 2.0), 1.5) == {
        "basis": "proved",
        "clean": 0.75,
        "median": 1.25,
        "epsilon": 1.5,
        "accuracy": 0.25,
        "n": 4,
    }


def test_one_searched_bound_makes_all_of_a_model_searched():
    mixed = pd.concat([bounds(1.0), bounds(1.0, basis="searched")])
    assert summarise_joint(mixed, 1.0)["basis"] == "searched"


@pytest.fixture
def certificates() -> pd.DataFrame:
    rows = [
        {"model": "nn", "norm": "l2", **summarise_joint(bounds(0.0, 1.0, 2.0), 1.5)},
        {"model": "abs", "norm": "l2", **summarise_joint(bounds(3.0, basis="searched"), 1.5)},
        {"model": "nn", "norm": "l0", **summarise_joint(bounds(2.0, 3.0), 12)},
    ]
    return pd.DataFrame(rows, columns=list(CERTIFICATES))


def test_the_table_tells_proved_from_searched(certificates):
    table = certificates_table(certificates, {"abs": "ABS", "nn": "Nearest"})
    assert table.to_numpy().tolist() == [
        ["", "Clean", "100.0%", "100.0%"],
        ["L2 (ε = 1.5)", "Lower bounds, proved", "", "1.00 / 33%"],
        ["L2 (ε = 1.5)", "Lower bounds, searched", "3.00 / 100%", ""],
        ["L0 (ε = 12)", "Lower bounds, proved", "", "2.5 / 0%"],
    ]
    assert "| Lower bounds, searched | 3.00 / 100% |  |" in to_markdown(table)


def test_the_report_shows_them_in_a_section_of_their_own(certificates):
    ((title, table),) = report_tables(
        {"certificates": certificates}, {"nn": "Nearest", "abs": "ABS"}, {}, {}
    )["certificates"]
    assert title.startswith("Lower bounds")
    assert [cell.text for cell in table.groups[0][1][0]] == [
        *("L2", "Nearest", "proved", "3", "66.7%", "1", "1.5", "33.3%"),
    ]
