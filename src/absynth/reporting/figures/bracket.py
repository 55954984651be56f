"""The bracket: what certificates and attacks leave open, image by image and as accuracies."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns

from absynth.reporting.figures.style import NORM_LABELS, TEXT_WIDTH, UNITS, begin, model_styles

SIDES = {"certified": 0.8, "attacked": 1.4}  # widths of the lines


def draw_bracket(
    intervals: pd.DataFrame, curves: pd.DataFrame, *, models: Mapping[str, str], norms: Sequence[str]
) -> plt.Figure:
    """Above, one row a model: the images' intervals in the order of their upper ends. Below, all models: certified
    accuracy (filled up to) and accuracy under attack. One column a norm.

    intervals: model, norm, index, lower, upper; curves: model, norm, side, distance, accuracy
    models: labels of all models; those without an interval are left out
    """
    begin()
    shown = [model for model in models if model in set(intervals["model"])]
    styles = model_styles(models)
    figure, panels = plt.subplots(
        len(shown) + 1,
        len(norms),
        figsize=(TEXT_WIDTH, 1.5 * len(shown) + 1.9),
        squeeze=False,
        layout="constrained",
        sharex="col",
    )
    for column, norm in enumerate(norms):
        limit = _limit(intervals[intervals["norm"] == norm])
        for row, model in enumerate(shown):
            chosen = (intervals["model"] == model) & (intervals["norm"] == norm)
            _draw_intervals(panels[row][column], intervals[chosen], limit, styles[model]["color"])
            if column == 0:
                panels[row][column].set_ylabel(f"{models[model]}\nimages")
        of_norm = curves[curves["norm"] == norm]
        for model in shown:
            _draw_curves(panels[-1][column], of_norm[of_norm["model"] == model], limit, styles[model])
        panels[-1][column].set(xlim=(0, limit), ylim=(0, 1.01), xlabel=UNITS[norm])
        panels[0][column].set_title(NORM_LABELS[norm])
    panels[-1][0].set_ylabel("accuracy" if shown else "no model with\na certificate")
    handles = [plt.Line2D([], [], color="0.3", linewidth=width, label=side) for side, width in SIDES.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False)
    sns.despine(figure)
    return figure


def _limit(shown: pd.DataFrame) -> float:
    """The end of the axis: beyond all finite bounds and all but the most distant finite adversarials."""
    lower, upper = (shown[side][np.isfinite(shown[side])] for side in ("lower", "upper"))
    ends = [*lower, *([upper.quantile(0.98)] if len(upper) else [])]
    return 1.05 * max(ends, default=1.0) or 1.0


def _draw_intervals(panel: plt.Axes, shown: pd.DataFrame, limit: float, colour) -> None:
    """A line from each image's lower to its upper end; to the edge where every attack failed, nothing where no
    perturbation can succeed."""
    ordered = shown.sort_values(["upper", "lower"])
    lower, upper = (ordered[side].clip(upper=2 * limit).to_numpy() for side in ("lower", "upper"))
    places = np.arange(len(ordered))
    width = max(0.3, min(2.0, 60 / max(len(ordered), 1)))
    panel.hlines(places, lower, upper, color=colour, alpha=0.45, linewidth=width)
    panel.scatter(lower, places, s=1.5 * width, color="0.25", linewidths=0, zorder=3)
    panel.scatter(upper, places, s=1.5 * width, color=colour, linewidths=0, zorder=3)
    panel.set(ylim=(-1, max(len(ordered), 1)), yticks=[])


def _draw_curves(panel: plt.Axes, shown: pd.DataFrame, limit: float, style: Mapping) -> None:
    """Steps of both accuracies, the true one somewhere in the area between."""
    grid = np.unique([*shown["distance"].clip(upper=limit), 0.0, limit])
    sides = []
    for side, width in SIDES.items():
        curve = shown[shown["side"] == side].sort_values("distance")
        if not len(curve):
            return
        place = np.searchsorted(curve["distance"].to_numpy(), grid, side="right") - 1
        sides.append(curve["accuracy"].to_numpy()[place])
        panel.step(grid, sides[-1], where="post", linewidth=width, **style)
    panel.fill_between(grid, *sides, step="post", color=style["color"], alpha=0.2, linewidth=0)
