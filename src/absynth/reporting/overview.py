"""How robust each model is, in a table and in sentences, and how sure that is."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from absynth.evaluation.intervals import LEVEL, median_interval, share_interval
from absynth.norms import NORMS
from absynth.reporting.report import LARGEST, Cell, Table

INTERVALS = (
    f"In brackets the {LEVEL:.0%} confidence intervals for all images of which those attacked are a sample "
    "(exact: Clopper and Pearson's for accuracies, from order statistics for medians)."
)
_EMPTY = Cell("–", None)


def overview_table(
    distances: pd.DataFrame,
    bounds: pd.DataFrame | None,
    models: Mapping[str, str],
    epsilons: Mapping[str, float],
) -> Table:
    """A group per norm and a row per model: by the best of all attacks, and by lower bounds where there are some.

    distances: tables/distances.csv; bounds: tables/bracket.csv, None if no model has bounds
    """
    basis = set() if bounds is None else set(bounds["basis"])
    sides = [side for side in ("proved", "searched") if side in basis]
    header = ["model", "accuracy, clean", "median distance", "accuracy under attack"]
    header += [f"accuracy by bounds ({side})" for side in sides]
    groups = []
    for norm in NORMS:
        of_norm = distances[distances["norm"] == norm]
        rows, numbers = [], set()
        for model, label in models.items():
            values = of_norm.loc[of_norm["model"] == model, "distance"].to_numpy()
            if len(values):
                numbers.add(len(values))
                row = [Cell(label, label, model), _share(values > 0)]
                row += [_median(norm, values), _share(values > epsilons[norm])]
                rows.append(row + [_by_bounds(bounds, model, norm, side, epsilons[norm]) for side in sides])
        if rows:
            images = " or ".join(map(str, sorted(numbers)))
            groups.append((f"{NORMS[norm].title}, ε = {epsilons[norm]:g}, {images} images", rows))
    return Table(header, groups)


def summary(robustness: pd.DataFrame, models: Mapping[str, str], epsilons: Mapping[str, float]) -> list[str]:
    """A sentence per norm: which model has the largest median distance over all attacks, and its accuracy at ε."""
    sentences = []
    overall = robustness[robustness["attack"] == "all"]
    for norm, rows in overall.groupby("norm", sort=False):
        best = rows.loc[rows["median"].idxmax()]
        median = NORMS[norm].format_median(best["median"])
        held = _held(best["accuracy"], epsilons[norm])
        name, title = models[best["model"]], NORMS[norm].title
        if len(rows) == 1:
            sentences.append(f"{title}: {name} has a median distance of {median}; {held}.")
        elif (rows["median"] == best["median"]).sum() > 1:
            level = _listed([models[model] for model in rows.loc[rows["median"] == best["median"], "model"]])
            sentences.append(f"{title}: {level} have the largest median distance, {median}.")
        else:
            sentences.append(f"{title}: {name} has the largest median distance, {median}; {held}.")
    return sentences


def orders(robustness: pd.DataFrame, models: Mapping[str, str]) -> dict[str, list[str]]:
    """By norm the models, most robust first: by the median distance over all attacks, then by the accuracy at ε.

    robustness: tables/robustness.csv; models: labels. Those not attacked in the norm are last; ties stay in order.
    """
    overall = robustness[robustness["attack"] == "all"].set_index(["norm", "model"])
    found = {}
    for norm in (norm for norm in NORMS if norm in overall.index.get_level_values("norm")):
        rows = overall.loc[norm]
        reached = {
            model: tuple(rows.loc[model, ["median", "accuracy"]]) for model in models if model in rows.index
        }
        found[norm] = sorted(models, key=lambda model: reached.get(model, (-1.0, -1.0)), reverse=True)
    return found


def _held(accuracy: float, epsilon: float) -> str:
    if accuracy == 0:
        return f"no image withstands every attack within ε = {epsilon:g}"
    return f"{_exact(accuracy)} of the images withstand every attack within ε = {epsilon:g}"


def _exact(share: float, decimals: int = 0) -> str:
    """A share in per cent, with so many decimals, and one more where it would look like none or all."""
    looks = f"{share:.{decimals}%}"
    same = float(looks.rstrip("%")) in (0, 100) and 0 < share < 1
    return f"{share:.{decimals + 1}%}" if same else looks


def _listed(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"


def share_text(hits: int, n: int, decimals: int = 0) -> str:
    """A share of n images, with so many decimals of a per cent (see `_exact`), and its exact interval."""
    low, high = share_interval(hits, n)
    return f"{_exact(hits / n, decimals)} ({100 * low:.{decimals}f} to {high:.{decimals}%})"


def median_text(values: npt.NDArray[np.float64], norm: str) -> str:
    """The median of distances (n,), and its exact interval where there are enough of them."""
    written = NORMS[norm].format_median
    low, high = median_interval(values)
    known = f"{written(low)} to {written(high)}" if low >= 0 else "too few images"
    return f"{written(float(np.median(values)))} ({known})"


def _share(withstood: npt.NDArray[np.bool_]) -> Cell:
    return Cell(share_text(int(withstood.sum()), len(withstood)), float(withstood.mean()))


def _median(norm: str, values: npt.NDArray[np.float64]) -> Cell:
    middle = float(np.median(values))
    return Cell(median_text(values, norm), LARGEST if math.isinf(middle) else middle)


def _by_bounds(bounds: pd.DataFrame | None, model: str, norm: str, side: str, epsilon: float) -> Cell:
    if bounds is None:
        return _EMPTY
    rows = bounds[(bounds["model"] == model) & (bounds["norm"] == norm) & (bounds["basis"] == side)]
    return _share(rows["lower"].to_numpy() > epsilon) if len(rows) else _EMPTY
