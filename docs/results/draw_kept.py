"""Draw figures of a run whose numbers were kept, at a size for a README: docs/images/{run}-{figure}.png.

python docs/results/draw_kept.py resources/results/mnist-bracket [accuracy_distortion bracket]
"""

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from scripts.figures import plot_accuracy_distortion, plot_bracket

from absynth.errors import InputError
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
        with tempfile.TemporaryDirectory() as place:
            FIGURES[name](run, Path(place, "drawn"))
            copy_figure(Path(place, "drawn.png"), folder / f"{run.name}-{name}.png")


def _accuracy_distortion(run: Run, drawn: Path) -> None:
    plan = Plan(run.config, SCHEMAS)
    plot_accuracy_distortion.main(
        curves=run.file("accuracy_distortion"),
        brackets=[run.file("bracket_curves")],
        png=drawn.with_suffix(".png"),
        svg=drawn.with_suffix(".svg"),
        models=plan.labels,
        norms=plan.norms,
        epsilons=run.config["epsilons"],
    )


def _bracket(run: Run, drawn: Path) -> None:
    plan = Plan(run.config, SCHEMAS)
    plot_bracket.main(
        intervals=run.file("bracket"),
        curves=run.file("bracket_curves"),
        png=drawn.with_suffix(".png"),
        svg=drawn.with_suffix(".svg"),
        models=plan.labels,
        norms=plan.norms,
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
