"""Draw figures of a run whose numbers were kept, at a size for a README: docs/images/{run}-{figure}.png.

python docs/results/draw_kept.py resources/results/mnist-bracket [accuracy_distortion bracket]
"""

import argparse
import tempfile
from pathlib import Path

from matplotlib.figure import Figure

from absynth.errors import InputError
from absynth.reporting.figures.accuracy_distortion import accuracy_distortion_figure
from absynth.reporting.figures.bracket import bracket_figure
from absynth.reporting.figures.style import save_figure
from absynth.workflow.plan import Plan
from copy_figures import copy_figure
from results_data import Run

IMAGES = Path(__file__).parents[1] / "images"
SCHEMAS = Path(__file__).parents[2] / "workflow" / "schemas"


def main(kept: Path, names: list[str], folder: Path) -> None:
    """Write each figure; raises InputError if a table that it needs is missing."""
    run = Run(kept)
    for name in names or FIGURES:
        if name not in FIGURES:
            raise InputError(f"found {name}, allowed are {', '.join(FIGURES)}")
        figure = FIGURES[name](run, Plan(run.config, SCHEMAS))
        with tempfile.TemporaryDirectory() as place:
            path = Path(place, f"{name}.png")
            save_figure(figure, [path])
            copy_figure(path, folder / f"{run.name}-{name}.png")


def _accuracy_distortion(run: Run, plan: Plan) -> Figure:
    sides = run.table("bracket_curves")
    return accuracy_distortion_figure(
        run.table("accuracy_distortion"),
        lower_bounds=sides[sides["side"] != "attacked"],
        models=plan.labels,
        norms=plan.norms,
        epsilons=run.config["epsilons"],
    )


def _bracket(run: Run, plan: Plan) -> Figure:
    return bracket_figure(
        run.table("bracket"), run.table("bracket_curves"), models=plan.labels, norms=plan.norms
    )


FIGURES = {"accuracy_distortion": _accuracy_distortion, "bracket": _bracket}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kept", type=Path, help="folder of the kept run, say resources/results/mnist-bracket")
    parser.add_argument("figures", nargs="*", help="accuracy_distortion, bracket or both (default)")
    arguments = parser.parse_args()
    try:
        main(arguments.kept, arguments.figures, IMAGES)
    except InputError as error:
        parser.error(str(error))
