"""How long the figures of a large run take to draw, and how large they make its report.

    python benchmarks/figures.py [--samples 1000]

The registry's models, all norms and attacks, with made-up results of that many samples, in the form that the scripts
read from a run. Prints one line of JSON: the CPU seconds of each figure (PNG and SVG) and of all together, without
imports; those of the imports, which the job of each figure does once; and the megabytes of the SVGs as the report
embeds them, encoded. The report's tables and text add some hundred kilobytes.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "helpers"))

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from pictures import EPSILONS, ascents, curve, distances, images, minimal, reconstructed, statistics

from absynth.attacks.registry import ATTACKS
from absynth.basis import PROVED, SEARCHED
from absynth.evaluation.accuracy_curve import accuracy_curve
from absynth.evaluation.bracket import bracket_curves, intervals
from absynth.evaluation.selection import by_quantile, one_per_class
from absynth.models.registry import KINDS
from absynth.norms import NORMS
from absynth.reporting.figures.accuracy_distortion import accuracy_distortion_figure
from absynth.reporting.figures.adversarials import adversarials_grid, quantiles_grid
from absynth.reporting.figures.attacks import attacks_figure
from absynth.reporting.figures.bracket import bracket_figure
from absynth.reporting.figures.distal import distal_grid
from absynth.reporting.figures.distribution import distribution_figure
from absynth.reporting.figures.style import save_figure
from absynth.reporting.figures.synthesis import reconstructions_grid, samples_grid
from absynth.reporting.figures.training import training_figure

IMPORTS = time.process_time()  # since this process began
MODELS = {name: kind.label for name, kind in KINDS.items() if name not in ("substitute", "custom")}
BOUNDED = [name for name in MODELS if KINDS[name].lower_bound]
Drawings = dict[str, Callable[[], Figure]]  # what draws each figure, by name


def drawings(n: int) -> Drawings:
    """What draws each figure of a run of n samples."""
    columns = {(m, norm): minimal(n, norm, seed=i) for i, m in enumerate(MODELS) for norm in NORMS}
    return {**distance_figures(columns), **grids(columns, n), **other_figures()}


def distance_figures(columns: dict[tuple[str, str], dict[str, Any]]) -> Drawings:
    """The figures of distances, of minimal adversarials by model and norm."""
    found = pd.concat(
        intervals(made_up_bounds(columns[m, norm], KINDS[m].proved), columns[m, norm], "bounds").assign(
            model=m, norm=norm
        )
        for m in BOUNDED
        for norm in NORMS
    )
    sides = pd.concat(
        bracket_curves(rows).assign(model=m, norm=norm)
        for (m, norm), rows in found.groupby(["model", "norm"])
    )
    attacked = pd.concat(
        accuracy_curve(part["distance"], model=m, norm=norm) for (m, norm), part in columns.items()
    )
    shared = {"models": MODELS, "norms": tuple(NORMS)}
    return {
        "accuracy_distortion": partial(
            accuracy_distortion_figure,
            attacked,
            lower_bounds=sides[sides["side"] != "attacked"],
            epsilons=EPSILONS,
            **shared,
        ),
        "distribution": partial(distribution_figure, distances(columns), epsilons=EPSILONS, **shared),
        "bracket": partial(bracket_figure, found, sides, **shared),
    }


def grids(columns: dict[tuple[str, str], dict[str, Any]], n: int) -> Drawings:
    """The figures of images, of minimal adversarials by model and norm, n per file."""
    by_norm = {norm: {m: columns[m, norm] for m in MODELS} for norm in NORMS}
    found = by_norm["l2"]
    first = next(iter(found.values()))
    chosen = one_per_class(first["index"], first["label"], {m: c["distance"] for m, c in found.items()}, 0)
    reached = pd.DataFrame([{"model": m, "n": 50, "reached": 25, "distal": 2} for m in MODELS])
    found_distal = {m: ascents(labels=range(10), seeds=range(5), steps=100) for m in MODELS}
    shown = {m: reconstructed(9) for m in BOUNDED}
    return {
        "adversarials": partial(adversarials_grid, found, images(n), chosen, models=MODELS, norm="l2"),
        **{f"quantiles_{norm}": quantiles_of(by_norm[norm], images(n), norm) for norm in NORMS},
        "distal": partial(distal_grid, found_distal, reached, models=MODELS),
        "samples": partial(samples_grid, {"label": np.repeat(range(10), 8), "image": images(80)}),
        "reconstructions": partial(reconstructions_grid, shown, dict.fromkeys(BOUNDED, "l2"), models=MODELS),
    }


def quantiles_of(found: dict[str, dict[str, Any]], clean: Any, norm: str) -> Callable[[], Figure]:
    """What draws four adversarials per quarter of each model's distances."""
    chosen = {m: by_quantile(columns["distance"], 4, 0) for m, columns in found.items()}
    return partial(quantiles_grid, found, clean, chosen, models=MODELS, norm=norm, n=4)


def other_figures() -> Drawings:
    """The figures of attacks and trainings."""
    titles = {
        norm: {name: entry.norms[norm] for name, entry in ATTACKS.items() if norm in entry.norms}
        for norm in NORMS
    }
    table = statistics(MODELS, titles)
    classifiers = {m: curve(20, loss=0.1, accuracy=0.9) for m in MODELS}
    vaes = {c: curve(120, loss=40, kl=10) for c in range(10)}
    return {
        "attacks": partial(attacks_figure, table, models=MODELS, norms=tuple(NORMS), titles=titles),
        "training": partial(training_figure, classifiers, vaes, models=MODELS),
    }


def made_up_bounds(columns: dict[str, Any], proved: bool) -> pd.DataFrame:
    """Lower bounds somewhat below the distances of best adversarials."""
    return pd.DataFrame(
        {
            "index": columns["index"],
            "label": columns["label"],
            "correct": 1,
            "joint": 0.9 * columns["distance"],
            "basis": PROVED if proved else SEARCHED,
        }
    )


def main(n: int) -> dict[str, Any]:
    seconds, megabytes = {}, 0.0
    with tempfile.TemporaryDirectory() as folder:
        for name, draw in drawings(n).items():
            begin = time.process_time()
            svg = Path(folder) / f"{name}.svg"
            save_figure(draw(), [svg, svg.with_suffix(".png")])
            seconds[name] = round(time.process_time() - begin, 2)
            megabytes += svg.stat().st_size * 4 / 3 / 1e6
    return {
        "samples": n,
        "models": len(MODELS),
        "cpu_seconds": seconds,
        "total_cpu_seconds": round(sum(seconds.values()), 1),
        "imports_cpu_seconds": round(IMPORTS, 2),
        "encoded_mb": round(megabytes, 2),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--samples", type=int, default=1000)
    print(json.dumps(main(parser.parse_args().samples)))
