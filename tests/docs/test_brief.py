"""docs/results/brief.md and its figure are what resources/results/ says."""

import numpy as np
import pytest
from PIL import Image

import draw_kept
import make_brief
from absynth.errors import InputError
from absynth.evaluation.bracket import is_tight, medians
from absynth.norms import NORMS
from results_data import Paper, Run, Together

RUNS = [make_brief.KEPT / name for name in make_brief.RUNS]
RELEASED = [make_brief.KEPT / name for name in make_brief.RELEASED]
DRAWN = {"brief": RUNS, "mnist-small": [make_brief.KEPT / "mnist-small"]}  # by the files' names


def test_the_page_is_that_of_what_was_kept():
    committed = (make_brief.FOLDER / "brief.md").read_text(encoding="utf-8")
    assert make_brief.page(RUNS, RELEASED) == committed


@pytest.mark.parametrize("name", DRAWN)
def test_figures_are_those_of_what_was_kept(name, tmp_path):
    draw_kept.main(DRAWN[name], name, [], tmp_path)
    drawn = sorted(path.name for path in tmp_path.iterdir())
    assert drawn == [f"{name}-accuracy_distortion.png", f"{name}-bracket.png"]
    for file in drawn:
        with Image.open(tmp_path / file) as new, Image.open(draw_kept.IMAGES / file) as committed:
            assert new.size == committed.size
            difference = np.subtract(new.convert("RGB"), committed.convert("RGB"), dtype=int)
            assert np.abs(difference).mean() < 0.5  # of 255: fonts may be hinted otherwise elsewhere


def test_numbers_are_those_of_the_first_run_that_has_the_model_in_the_norm():
    for numbers in (_numbers(RUNS), _numbers(RELEASED)):
        for run in numbers.together.runs:
            own = {case for case, owner in numbers.together.owners.items() if owner is run}
            assert own
            for row in run.table("robustness").query("attack == 'all'").itertuples():
                if (row.model, row.norm) in own:
                    assert numbers.accuracy(row.model, row.norm) == f"{row.accuracy:.0%}"
                    assert numbers.images(row.model, row.norm) == row.n
            for row in run.tables["bracket_medians"].itertuples():
                if (row.model, row.norm) in own:
                    assert float(numbers.lower(row.model, row.norm)) == pytest.approx(row.lower, abs=0.006)


def test_the_first_run_has_the_numbers_of_all_that_it_holds_and_no_others():
    first, *_ = runs = [Run(path) for path in RUNS]
    table = first.table("distances")
    cases = set(zip(table["model"], table["norm"], strict=True))
    assert {case for case, owner in Together(runs).owners.items() if owner is first} == cases


@pytest.mark.parametrize("folder", [*RUNS, *DRAWN["mnist-small"]], ids=lambda path: path.name)
def test_medians_that_were_kept_are_those_of_today_s_code(folder):
    run = Run(folder)
    for row in run.tables["bracket_medians"].itertuples():
        bracket = run.table("bracket").query("model == @row.model and norm == @row.norm")
        assert {name: getattr(row, name) for name in ("tight", "loose", "n")}.items() <= medians(
            bracket
        ).items()


def test_rows_that_no_run_has_are_refused():
    with pytest.raises(InputError, match=r"bracket\.csv: missing, as in all other runs"):
        Together([Run(path) for path in RELEASED]).table("bracket")


def test_a_run_does_not_replace_the_models_of_one_before_it():
    once, twice = _numbers(RUNS[:1]), _numbers([RUNS[0], RUNS[0]])
    for norm in once.epsilons:
        assert twice.table(norm) == once.table(norm)


def test_the_readme_s_numbers_of_abs_are_those_of_what_was_kept():
    table = Run(make_brief.KEPT / "mnist-abs").table("bracket_medians").set_index(["model", "norm"])
    rows = [(table.loc["abs", norm], NORMS[norm]) for norm in ("l2", "linf", "l0")]
    l2, linf, l0 = ([f"{row[side]:.{norm.decimals}f}" for side in ("lower", "upper")] for row, norm in rows)
    said = f"{' and '.join(l2)} in L2, {' and '.join(linf)} in L∞, {' and '.join(l0)} pixels in L0"
    readme = (make_brief.FOLDER.parents[1] / "README.md").read_text(encoding="utf-8")
    assert said in " ".join(readme.split())


def test_the_readme_s_share_of_tight_images_is_that_of_what_was_kept():
    bounds = Together([Run(path) for path in RUNS]).table("bracket")
    proved = bounds[bounds["basis"] == "proved"]
    least = is_tight(proved).groupby([proved["model"], proved["norm"]]).mean().min()
    readme = (make_brief.FOLDER.parents[1] / "README.md").read_text(encoding="utf-8")
    assert f"lie within 1 % on {100 * least:.1f} % of the images or more of a lower bound" in " ".join(
        readme.split()
    )


def test_the_table_of_abs_s_brackets_is_that_of_what_was_kept():
    run, labels = Run(make_brief.KEPT / "mnist-abs"), {"abs": "ABS", "binary_abs": "Binary ABS"}
    bracket, below = run.table("bracket"), run.table("bound_violations")
    rows = []
    for model, label in labels.items():
        for norm in ("l2", "linf", "l0"):
            of_case = bracket[(bracket["model"] == model) & (bracket["norm"] == norm)]
            fooled = of_case[of_case["upper"] > 0]
            tight = is_tight(of_case).mean()
            written = {"l2": "{:.3f}", "linf": "{:.4f}", "l0": "{:.0f}"}[norm]
            numbers = [written.format(of_case[side].median()) for side in ("lower", "upper")]
            ratio = f"{(fooled['upper'] / fooled['lower']).median():.3f}"
            violations = len(below[(below["model"] == model) & (below["norm"] == norm)])
            rows.append(
                f"| {label} | {NORMS[norm].title} | {' | '.join(numbers)} | {ratio} | {tight:.0%} | {violations} |"
            )
    page = (make_brief.FOLDER.parent / "derivations" / "certificates.md").read_text(encoding="utf-8")
    lines = page.replace(" %", "%").splitlines()
    assert [row for row in rows if row not in lines] == []


def _numbers(runs):
    return make_brief.Numbers([Run(path) for path in runs], Paper(make_brief.PAPER))
