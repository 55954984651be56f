"""Draw figures of runs whose numbers were kept, at a size for a README: docs/images/{name}-{figure}.png.

python docs/results/draw_kept.py resources/results/mnist-small
python docs/results/draw_kept.py resources/results/mnist-1000-h100 resources/results/mnist-abs --name brief

Of several runs a model is drawn in a norm by the first that attacked it there.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from scripts.figures import plot_accuracy_distortion, plot_bracket

from absynth.errors import InputError
from absynth.models.registry import KINDS
from absynth.workflow.plan import Plan
from copy_figures import copy_figure
from results_data import Run, Together
from results_tables import in_order

IMAGES = Path(__file__).parents[1] / "images"
SCHEMAS = Path(__file__).parents[2] / "workflow" / "schemas"


def main(kept: Sequence[Path], name: str, figures: Sequence[str], folder: Path) -> None:
    """Write figures to `folder`; raises InputError if a table that one needs is missing."""
    runs = Together([Run(path) for path in kept])
    for figure in figures or FIGURES:
        with tempfile.TemporaryDirectory() as place:
            FIGURES[figure](runs, Path(place))
            copy_figure(Path(place, "drawn.png"), folder / f"{name}-{figure}.png")


def _accuracy_distortion(runs: Together, place: Path) -> None:
    plot_accuracy_distortion.main(
        curves=_table(runs, "accuracy_distortion", place),
        brackets=[_table(runs, "bracket_curves", place)],
        epsilons=runs.config["epsilons"],
        **_drawn(runs, place),
    )


def _bracket(runs: Together, place: Path) -> None:
    plot_bracket.main(
        intervals=_table(runs, "bracket", place),
        curves=_table(runs, "bracket_curves", place),
        **_drawn(runs, place),
    )


def _table(runs: Together, stem: str, place: Path) -> Path:
    """A file of the runs' rows."""
    path = place / f"{stem}.csv"
    runs.table(stem).to_csv(path, index=False)
    return path


def _drawn(runs: Together, place: Path) -> dict[str, Any]:
    """What both figures take: where they are drawn, titles of the models in the registry's order, and norms."""
    labels = {}
    for run in runs.runs:
        labels.update(Plan(run.config, SCHEMAS).labels)
    return {
        "png": place / "drawn.png",
        "svg": place / "drawn.svg",
        "models": {model: labels[model] for model in in_order(labels, KINDS)},
        "norms": Plan(runs.config, SCHEMAS).norms,
    }


FIGURES = {"accuracy_distortion": _accuracy_distortion, "bracket": _bracket}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kept", type=Path, nargs="+", help="kept runs, say resources/results/mnist-small")
    parser.add_argument("--name", help="first part of the files' names; default: that of the first run")
    parser.add_argument("--figures", nargs="+", choices=FIGURES, default=[], help="default: all")
    arguments = parser.parse_args()
    try:
        main(arguments.kept, arguments.name or arguments.kept[0].name, arguments.figures, IMAGES)
    except InputError as error:
        parser.error(str(error))
