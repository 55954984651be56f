"""docs/results/brief.md and its figure are what resources/results/ says."""

import numpy as np
import pytest
from PIL import Image

import draw_kept
import make_brief
from absynth.norms import NORMS
from results_data import Paper, Run

RUNS = [make_brief.KEPT / name for name in make_brief.RUNS]
DRAWN = [path for path in RUNS if (draw_kept.IMAGES / f"{path.name}-bracket.png").exists()]


def test_the_page_is_that_of_what_was_kept():
    assert make_brief.page(RUNS) == (make_brief.FOLDER / "brief.md").read_text(encoding="utf-8")


def test_a_run_is_drawn():
    assert DRAWN


@pytest.mark.parametrize("kept", DRAWN, ids=lambda path: path.name)
def test_figures_are_those_of_what_was_kept(kept, tmp_path):
    draw_kept.main(kept, [], tmp_path)
    drawn = sorted(tmp_path.iterdir())
    assert drawn
    for path in drawn:
        with Image.open(path) as new, Image.open(draw_kept.IMAGES / path.name) as committed:
            assert new.size == committed.size
            difference = np.subtract(new.convert("RGB"), committed.convert("RGB"), dtype=int)
            assert np.abs(difference).mean() < 0.5  # of 255: fonts may be hinted otherwise elsewhere


def test_numbers_are_those_of_the_first_run_that_has_the_model_in_the_norm():
    numbers = make_brief.Numbers([Run(path) for path in RUNS], Paper(make_brief.PAPER))
    for run in numbers.runs:
        own = {case for case, owner in numbers.owners.items() if owner is run}
        assert own
        for row in run.table("robustness").query("attack == 'all'").itertuples():
            if (row.model, row.norm) in own:
                assert numbers.accuracy(row.model, row.norm) == f"{row.accuracy:.0%}"
                assert numbers.images(row.model, row.norm) == row.n
        for row in run.table("bracket_medians").itertuples():
            if (row.model, row.norm) in own:
                assert float(numbers.lower(row.model, row.norm)) == pytest.approx(row.lower, abs=0.006)


def test_the_first_run_has_the_numbers_of_all_that_it_holds_and_no_others():
    first, *others = (Run(path) for path in RUNS)
    numbers = make_brief.Numbers([first, *others], Paper(make_brief.PAPER))
    cases = set(make_brief._cases(first.table("distances")))
    assert {case for case, owner in numbers.owners.items() if owner is first} == cases


def test_a_run_does_not_replace_the_models_of_one_before_it():
    (run, *_) = (Run(path) for path in RUNS)
    twice = make_brief.Numbers([run, Run(run.folder)], Paper(make_brief.PAPER))
    once = make_brief.Numbers([run], Paper(make_brief.PAPER))
    for norm in once.epsilons:
        assert twice.table(norm) == once.table(norm)


def test_the_readme_s_numbers_of_abs_are_those_of_what_was_kept():
    table = Run(make_brief.KEPT / "mnist-abs").table("bracket_medians").set_index(["model", "norm"])
    rows = [(table.loc["abs", norm], NORMS[norm]) for norm in ("l2", "linf", "l0")]
    l2, linf, l0 = ([f"{row[side]:.{norm.decimals}f}" for side in ("lower", "upper")] for row, norm in rows)
    said = f"{' and '.join(l2)} in L2, {' and '.join(linf)} in L∞, {' and '.join(l0)} pixels in L0"
    readme = (make_brief.FOLDER.parents[1] / "README.md").read_text(encoding="utf-8")
    assert said in " ".join(readme.split())
