"""How long the figures of a large run take to draw, and how large they make its report.

    PYTHONPATH=scripts:tests python benchmarks/figures.py [--samples 1000]

Six models, all norms and attacks, with made-up results of that many samples. Prints a line of JSON: the seconds of
each figure (PNG and SVG) after imports and those of all together, and the megabytes of the SVGs as the report holds
them, encoded. The report's tables and words add some hundred kilobytes.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from pictures import THRESHOLDS, ascents, curve, distances, explained, images, minimal, statistics

from absynth.attacks.registry import ATTACKS
from absynth.evaluation.bracket import curves, intervals
from absynth.evaluation.minima import accuracy_curve
from absynth.models.registry import KINDS
from absynth.reporting.figures.accuracy_distortion import accuracy_distortion
from absynth.reporting.figures.adversarials import adversarials, quantiles
from absynth.reporting.figures.attacks import attacks
from absynth.reporting.figures.bracket import draw_bracket
from absynth.reporting.figures.distal import distal
from absynth.reporting.figures.distribution import distribution
from absynth.reporting.figures.style import save
from absynth.reporting.figures.synthesis import reconstructions, samples
from absynth.reporting.figures.training import training

NORMS = ("l2", "linf", "l0")


def drawings(n: int) -> dict[str, Callable[[], Figure]]:
    """What draws each figure of a run of n samples."""
    models = {name: kind.label for name, kind in KINDS.items() if name not in ("substitute", "custom")}
    columns = {(m, norm): minimal(n, norm, seed=i) for i, m in enumerate(models) for norm in NORMS}
    certified = [name for name in models if KINDS[name].certificate]
    found = pd.concat(
        intervals(bounds(columns[m, norm]), columns[m, norm], "bounds").assign(model=m, norm=norm)
        for m in certified
        for norm in NORMS
    )
    sides = pd.concat(
        curves(rows).assign(model=m, norm=norm) for (m, norm), rows in found.groupby(["model", "norm"])
    )
    attacked = pd.concat(
        pd.DataFrame(
            dict(
                zip(("distance", "accuracy"), accuracy_curve(found["distance"]), strict=True),
                model=m,
                norm=norm,
            )
        )
        for (m, norm), found in columns.items()
    )
    titles = {
        norm: {name: entry.norms[norm] for name, entry in ATTACKS.items() if norm in entry.norms}
        for norm in NORMS
    }
    in_norm = {norm: {m: columns[m, norm] for m in models} for norm in NORMS}
    climbs = {m: ascents(labels=range(10), seeds=range(5), steps=100) for m in models}
    reached = pd.DataFrame([{"model": m, "n": 50, "reached": 25, "distal": 2} for m in models])
    drawn = {"label": np.repeat(range(10), 8), "image": images(80)}
    certificates = sides[sides["side"] == "certified"]
    losses = {c: curve(120, loss=40, kl=10) for c in range(10)}
    return {
        "accuracy_distortion": partial(
            accuracy_distortion, attacked, certified=certificates, models=models, norms=NORMS, epsilons=THRESHOLDS
        ),
        "distribution": partial(
            distribution, distances(columns), models=models, norms=NORMS, epsilons=THRESHOLDS
        ),
        "adversarials": partial(adversarials, in_norm["l2"], images(n), models=models, norm="l2", seed=0),
        **{
            f"quantiles_{norm}": partial(quantiles, in_norm[norm], models=models, norm=norm, n=4, seed=0)
            for norm in NORMS
        },
        "bracket": partial(draw_bracket, found, sides, models=models, norms=NORMS),
        "distal": partial(distal, climbs, reached, models=models),
        "samples": partial(samples, drawn),
        "reconstructions": partial(
            reconstructions, {m: explained(9) for m in certified}, dict.fromkeys(certified, "l2"), models=models
        ),
        "attacks": partial(attacks, statistics(models, titles), models=models, norms=NORMS, titles=titles),
        "training": partial(training, {m: curve(20, loss=0.1, accuracy=0.9) for m in models}, losses, models=models),
    }  # fmt: skip


def bounds(columns: dict) -> pd.DataFrame:
    """Bounds somewhat below the distances of minima."""
    return pd.DataFrame(
        {
            "index": columns["index"],
            "label": columns["label"],
            "correct": 1,
            "joint": 0.9 * columns["distance"],
        }
    )


def main(n: int) -> dict:
    seconds, megabytes = {}, 0.0
    with tempfile.TemporaryDirectory() as folder:
        for name, draw in drawings(n).items():
            begin = time.perf_counter()
            svg = Path(folder) / f"{name}.svg"
            save(draw(), [svg, svg.with_suffix(".png")])
            seconds[name] = round(time.perf_counter() - begin, 2)
            megabytes += svg.stat().st_size * 4 / 3 / 1e6
    total = round(sum(seconds.values()), 1)
    return {"samples": n, "seconds": seconds, "total_seconds": total, "encoded_mb": round(megabytes, 2)}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--samples", type=int, default=1000)
    print(json.dumps(main(parser.parse_args().samples)))
