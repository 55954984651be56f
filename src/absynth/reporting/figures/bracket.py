"""The bracket: lower and upper bound of each image, and the accuracies that follow from them."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from absynth.norms import NORMS
from absynth.reporting.figures.style import TEXT_WIDTH, Style, as_written, hide_frame, model_styles, set_style

_WIDTHS = {"lower bound": 0.8, "under attack": 1.4}  # of the lines of both accuracies


def bracket_figure(
    intervals: pd.DataFrame, curves: pd.DataFrame, *, models: Mapping[str, str], norms: Sequence[str]
) -> Figure:
    """One column per norm. One row per model: the images' intervals, sorted by their upper ends. Below, for all
    models, the accuracy guaranteed by the lower bounds and that under attack, with the area between them filled.

    intervals: model, norm, index, lower, basis, upper; curves: model, norm, side, distance, accuracy
    models: labels of all models; those without an interval are left out
    """
    set_style()
    models = as_written(models)
    shown = [model for model in models if model in set(intervals["model"])]
    styles = model_styles(models)
    size = (TEXT_WIDTH, 1.5 * len(shown) + 1.9)
    figure, panels = plt.subplots(
        len(shown) + 1, len(norms), figsize=size, squeeze=False, layout="constrained", sharex="col"
    )
    for column, norm in zip(panels.T, norms, strict=True):
        of_norm = intervals[intervals["norm"] == norm]
        curves_of_norm = curves[curves["norm"] == norm]
        limit = _limit(of_norm)
        for panel, model in zip(column[:-1], shown, strict=True):
            _draw_intervals(panel, of_norm[of_norm["model"] == model], limit, styles[model]["color"])
            curves_of_model = curves_of_norm[curves_of_norm["model"] == model]
            _draw_curves(column[-1], curves_of_model, limit, styles[model])
        column[-1].set(xlim=(0, limit), ylim=(0, 1.01), xlabel=NORMS[norm].quantity)
        column[0].set_title(NORMS[norm].label)
    for panel, model in zip(panels[:-1, 0], shown, strict=True):
        basis = intervals[intervals["model"] == model]["basis"].iloc[0]
        panel.set_ylabel(f"{models[model]}\nimages ({basis})")
    panels[-1][0].set_ylabel("accuracy" if shown else "no model with\nlower bounds")
    handles = [Line2D([], [], color="0.3", linewidth=width, label=label) for label, width in _WIDTHS.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False)
    hide_frame(figure.axes)
    return figure


def _limit(intervals: pd.DataFrame) -> float:
    """The end of the axis: beyond all finite lower bounds and 98 % of the finite upper ones."""
    lower, upper = (intervals[side][np.isfinite(intervals[side])] for side in ("lower", "upper"))
    ends = [*lower, *([upper.quantile(0.98)] if len(upper) else [])]
    return 1.05 * max(ends, default=1.0) or 1.0


def _draw_intervals(panel: Axes, intervals: pd.DataFrame, limit: float, colour: Any) -> None:
    """A line from each image's lower to its upper end; to the edge where every attack failed, nothing where no
    perturbation can succeed."""
    ordered = intervals.sort_values(["upper", "lower"])
    lower, upper = (ordered[side].clip(upper=2 * limit).to_numpy() for side in ("lower", "upper"))
    places = np.arange(len(ordered))
    width = max(0.3, min(2.0, 60 / max(len(ordered), 1)))
    panel.hlines(places, lower, upper, color=colour, alpha=0.45, linewidth=width)
    panel.scatter(lower, places, s=1.5 * width, color="0.25", linewidths=0, zorder=3)
    panel.scatter(upper, places, s=1.5 * width, color=colour, linewidths=0, zorder=3)
    panel.set(ylim=(-1, max(len(ordered), 1)), yticks=[])


def _draw_curves(panel: Axes, curves: pd.DataFrame, limit: float, style: Style) -> None:
    """The steps of both accuracies of one model; its robust accuracy lies in the area between."""
    grid = np.unique([*curves["distance"].clip(upper=limit), 0.0, limit])
    accuracies = []
    for attacked, width in enumerate(_WIDTHS.values()):
        curve = curves[(curves["side"] == "attacked") == attacked].sort_values("distance")
        if not len(curve):
            return
        place = np.searchsorted(curve["distance"].to_numpy(), grid, side="right") - 1
        accuracies.append(curve["accuracy"].to_numpy()[place])
        panel.step(grid, accuracies[-1], where="post", linewidth=width, **style)
    bounded, under_attack = accuracies
    panel.fill_between(grid, bounded, under_attack, step="post", color=style["color"], alpha=0.2, linewidth=0)
