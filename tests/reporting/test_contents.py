"""What a report contains follows from what a run has."""

import subprocess
import sys

import pytest
from configs import ROOT

from absynth.reporting.contents import SECTIONS, figure_entries

EVERYTHING = {
    "norms": ["l2", "linf", "l0"],
    "bracketed": True,
    "differentiable": True,
    "generative": True,
    "reconstructed": True,
    "trained": True,
}


def stems(**changes) -> list[str]:
    return [figure.stem for figure in figure_entries(**{**EVERYTHING, **changes})]


@pytest.mark.parametrize(
    ("changes", "gone"),
    [
        ({"norms": ["l2", "l0"]}, {"quantiles_linf"}),
        ({"bracketed": False}, {"bracket"}),
        ({"differentiable": False}, {"distal"}),
        ({"generative": False, "reconstructed": False}, {"samples", "reconstructions"}),
        ({"reconstructed": False}, {"reconstructions"}),
        ({"trained": False}, {"training"}),
    ],
)
def test_what_a_run_lacks_is_left_out(changes, gone):
    assert set(stems()) - set(stems(**changes)) == gone


def test_every_figure_has_a_section_and_a_caption_and_every_caption_a_figure():
    figures = figure_entries(**EVERYTHING)
    assert {figure.section for figure in figures} < SECTIONS.keys()
    captions = {path.stem for path in (ROOT / "workflow" / "report").glob("*.rst")}
    assert {figure.figure for figure in figures} == captions - {"workflow"}
    assert len(set(stems())) == len(figures) == 12


def test_start_of_a_workflow_does_without_pandas():
    code = "import sys, absynth.reporting.contents; sys.exit('pandas' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT / "src").returncode == 0
