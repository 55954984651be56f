"""The order of the models in the report's tables and browser of images, as the reader chooses it."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from devtools import browser_page
from made_up_run import SIX, write_made_up_report
from pictures import LABELS, TITLES

from absynth.reporting.overview import orders
from absynth.reporting.report import Cell, Field
from absynth.reporting.report_tables import attacks_table, robustness_table

SHOWN = """(async () => {
    const order = document.querySelector('#order select');
    if (CHOSEN !== null) {
        order.value = [...order.options].find((one) => one.text === CHOSEN).value;
        order.dispatchEvent(new Event('change', {bubbles: true}));
    }
    document.querySelector('#detail').replaceChildren();
    document.querySelector('#thumbs [data-row="0"]').click();
    while (!document.querySelector('#detail h3')) await new Promise((done) => setTimeout(done, 1));
    const table = (title) => [...document.querySelectorAll('h3')].find((one) => one.textContent.startsWith(title))
        .nextElementSibling.querySelector('table');
    const texts = (rows) => rows.filter((row) => !row.classList.contains('title'))
        .map((row) => [...row.cells].map((cell) => cell.textContent.trim()));
    const bodies = (table) => [...table.tBodies].map((body) => texts([...body.rows]));
    const first = (table) => bodies(table).map((rows) => rows.map((row) => row[0]));
    return {
        overview: first(table('Each model')),
        header: texts([table('Table 1').tHead.rows[0]])[0],
        table1: bodies(table('Table 1')),
        attacks: bodies(table('Every attack'))[0],
        detail: first(document.querySelector('#detail table')),
        models: [...document.querySelector('#filters [name=model]').options].map((one) => one.text),
        sorted: document.querySelectorAll('main [aria-sort]').length,
        wide: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    };
})()"""


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> Path:
    return write_made_up_report(tmp_path_factory.mktemp("order"), 20)


def shown(page, choice: str | None = None) -> dict:
    return page.run(SHOWN.replace("CHOSEN", "null" if choice is None else f"'{choice}'"))


@pytest.mark.parametrize("width", [1280, 390])
def test_models_are_ordered_everywhere_as_chosen(report, tmp_path, width):
    robustness = pd.read_csv(report.parent / "tables" / "robustness.csv")
    with browser_page(tmp_path / "profile") as page:
        page.resize(width)
        page.open(report)
        before = shown(page)
        assert page.run("document.querySelector('#order select').selectedOptions[0].text") == "as configured"
        page.run("document.querySelectorAll('main table')[0].querySelectorAll('thead button')[2].click()")
        for norm, title in (("l2", "L2"), ("l0", "L0")):
            rows = robustness[robustness["norm"] == norm].sort_values(
                ["median", "accuracy"], ascending=False, kind="stable"
            )
            names = [SIX[model] for model in rows["model"]]
            assert names != list(SIX.values())
            found = shown(page, f"most robust in {title} first")
            assert found["overview"] == found["detail"] == [names] * 3
            assert found["header"] == ["attack", *names]
            assert found["models"] == ["any", *names]
            assert (found["sorted"], found["wide"]) == (0, 0)
            places = [before["header"].index(name) for name in found["header"]]
            assert found["table1"] == [
                [[row[i] for i in places] for row in rows] for rows in before["table1"]
            ]
            rounds = [row[:3] for row in found["attacks"]]
            expected = [
                [case, attack, name]
                for case, attack in dict.fromkeys((row[0], row[1]) for row in before["attacks"])
                for name in names
            ]
            assert rounds == expected
        assert shown(page, "as configured") == before
        assert page.console == []


def test_a_single_model_has_no_order(tmp_path):
    text = write_made_up_report(tmp_path, 2, {"cnn": "CNN"}).read_text(encoding="utf-8")
    assert 'id="order"' not in text
    assert 'id="order"' in write_made_up_report(tmp_path, 2).read_text(encoding="utf-8")


def test_the_most_robust_are_first_and_those_not_attacked_last():
    rows = [
        ("a", "l2", "all", 1.0, 0.2), ("b", "l2", "all", np.inf, 0.0), ("c", "l2", "all", 1.0, 0.3),
        ("c", "l2", "ddn", 9.0, 1.0), ("d", "linf", "all", 0.1, 0.0), ("a", "linf", "all", 0.1, 0.0),
    ]  # fmt: skip
    frame = pd.DataFrame(rows, columns=["model", "norm", "attack", "median", "accuracy"])
    found = orders(frame, dict.fromkeys("abcd", ""))
    assert found == {"l2": ["b", "c", "a", "d"], "linf": ["a", "d", "b", "c"]}
    assert orders(frame.iloc[:0], {"a": ""}) == {}


def test_cells_say_which_model_they_are_about():
    assert Field("model", "model", LABELS).cell("cnn") == Cell("CNN", "CNN", "cnn")
    assert Field("attack", "attack").cell("ddn") == Cell("ddn", "ddn")
    frame = pd.DataFrame([["L2", "DDN", "1.00 / 50%", ""]], columns=["norm", "attack", "CNN", "Unknown"])
    table = robustness_table(frame, LABELS)
    assert [cell.model for cell in table.groups[0][1][0]] == ["", "cnn", ""]
    assert table.columns == ["", "", ""]  # one model: its row is about it
    both = robustness_table(frame.rename(columns={"Unknown": LABELS["abs"]}), LABELS)
    assert both.columns == ["", "cnn", "abs"]
    rows = pd.DataFrame([{"norm": "l2", "attack": "ddn", "model": "cnn", "n": 1}])
    assert attacks_table(rows, LABELS, TITLES).columns == [""] * 4
