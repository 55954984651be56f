"""What a run found, in a few lines of text."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from absynth.api.minima import Bounds
from absynth.api.run import Run, open_run
from absynth.cli.checked import checks_text
from absynth.errors import InputError
from absynth.evaluation.intervals import share_interval
from absynth.evaluation.lower_bounds import one_basis
from absynth.norms import NORMS

_SHARES_OF_EPSILON = (0.25, 0.5, 1.0)
_HEAD = ("model", "norm", "images", "clean", "median", "accuracy at ε", "lower bound", "best attacks")
_PLACES = (("report", "report.html"), ("table", "tables/table1.md"), ("tables", "tables"), ("figures", "figures"),
           ("images", "minimal"), ("config", "config.yaml"))  # fmt: skip


def summary(folder: str | Path) -> str:
    """The minima of a run in each norm, what its checks found, and where its files are.

    Raises InputError for a folder without a run.
    """
    run = open_run(folder)
    parts = [minima_table(run), checks_text(run), places_text(Path(folder))]
    return "\n\n".join(part for part in parts if part) + "\n"


def minima_table(run: Run) -> str:
    """A row for each model and norm: clean accuracy, median distance, accuracies at epsilons, lower bound.

    Accuracy at the config's epsilon is followed by its exact (Clopper-Pearson) 95 % confidence interval. Of a run
    that has not finished, only why not.
    """
    if not run.finished:
        return repr(run).strip("<>")
    rows: list[tuple[str, ...]] = [_HEAD]
    for model in run.models:
        for norm in run.norms:
            if run.attacks_on(model, norm):
                rows.append(_row(run, model, norm))
    return aligned(rows)


def _row(run: Run, model: str, norm: str) -> tuple[str, ...]:
    found = run.minima(model, norm)
    epsilon = float(run.config["epsilons"][norm])
    n = len(found)
    return (
        run.labels[model],
        NORMS[norm].title,
        str(n),
        f"{100 * (found.distance > 0).mean():.1f}%",
        median_text(found.distance, norm),
        ", ".join(accuracy_text(found.distance, share * epsilon) for share in _SHARES_OF_EPSILON)
        + _interval(found.distance, epsilon),
        _bound(run, model, norm),
        _best(found.attack),
    )


def median_text(distance: npt.NDArray[np.float64], norm: str) -> str:
    """The median of distances as tables show it."""
    median = float(np.median(distance))
    return NORMS[norm].format_median(median)


def accuracy_text(distance: npt.NDArray[np.float64], epsilon: float) -> str:
    """The share of images whose distance exceeds an epsilon."""
    return f"{100 * (distance > epsilon).mean():.0f}% at {epsilon:.3g}"


def _interval(distance: npt.NDArray[np.float64], epsilon: float) -> str:
    low, high = share_interval(int((distance > epsilon).sum()), len(distance))
    return f" ({100 * low:.0f} to {100 * high:.0f}%)"


def _bound(run: Run, model: str, norm: str) -> str:
    """The median lower bound and what it rests on; a dash for a model without any."""
    if not (run.path / "bounds" / model / f"{norm}.csv").is_file():
        return "–"
    bounds = run.bounds(model, norm)
    return f"{median_text(bounds.lower, norm)} ({basis_of(bounds)})"


def basis_of(bounds: Bounds) -> str:
    """What all of a model's lower bounds in a norm rest on."""
    return one_basis(pd.DataFrame({"basis": bounds.basis}))


def _best(attack: npt.NDArray[np.object_]) -> str:
    """The attacks that found the best adversarials, with the number of these."""
    names, counts = np.unique([name for name in attack if name], return_counts=True)
    order = np.argsort(-counts, kind="stable")
    return ", ".join(f"{names[i]} {counts[i]}" for i in order[:3]) or "none"


def places_text(folder: Path) -> str:
    """Where the files of a run are that exist."""
    return "\n".join(f"{name:8}{folder / path}" for name, path in _PLACES if (folder / path).exists())


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells as columns of text."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
                     for row in rows)  # fmt: skip


def run_folder(name: str) -> Path:
    """The folder of a run by its name or path. Raises InputError, with the runs there are, if there is none."""
    for folder in (Path(name), Path("results", name)):
        if (folder / "tables").is_dir() or (folder / "data").is_dir():
            return folder
    known = sorted(path.parent.name for path in Path("results").glob("*/data"))
    raise InputError(
        f"{name}: no run here and none in results/; there {'are' if known else 'is'} {', '.join(known) or 'none'}"
    )
