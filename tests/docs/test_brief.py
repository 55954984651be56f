"""docs/results/brief.md and its figure are what resources/results/ says."""

import numpy as np
import pytest
from PIL import Image

import draw_kept
import make_brief
from results_data import Paper, Run

KEPT = sorted(path for path in make_brief.KEPT.iterdir() if path.is_dir())


def test_the_page_is_that_of_what_was_kept():
    assert make_brief.page(KEPT) == (make_brief.FOLDER / "brief.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("kept", KEPT, ids=lambda path: path.name)
def test_figures_are_those_of_what_was_kept(kept, tmp_path):
    draw_kept.main(kept, [], tmp_path)
    drawn = sorted(tmp_path.iterdir())
    assert drawn
    for path in drawn:
        with Image.open(path) as new, Image.open(draw_kept.IMAGES / path.name) as committed:
            assert new.size == committed.size
            difference = np.subtract(new.convert("RGB"), committed.convert("RGB"), dtype=int)
            assert np.abs(difference).mean() < 0.5  # of 255: fonts may be hinted otherwise elsewhere


def test_numbers_are_those_of_the_tables():
    numbers = make_brief.Numbers([Run(path) for path in KEPT], Paper(make_brief.PAPER))
    for run in numbers.runs:
        for row in run.table("robustness").query("attack == 'all'").itertuples():
            assert numbers.accuracy(row.model, row.norm) == f"{row.accuracy:.0%}"
            assert numbers.images(row.model, row.norm) == row.n
        for row in run.table("bracket_medians").itertuples():
            assert float(numbers.lower(row.model, row.norm)) == pytest.approx(row.lower, abs=0.006)
