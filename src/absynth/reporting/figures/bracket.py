"""The bracket: lower and upper bound of each image, and the accuracies that follow from them."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from absynth.norms import NORMS
from absynth.reporting.figures.panels import Legend, label_distances, line_handles, model_handles
from absynth.reporting.figures.style import (
    ATTACKED,
    LOWER_BOUNDS,
    NORMAL,
    SMALL,
    TEXT_WIDTH,
    ModelStyle,
    model_styles,
    set_style,
)
from absynth.reporting.figures.text import LINE, as_written, n_lines, wrapped

_ROW_LABEL = 18  # characters in a line
_ROWS = 7.5  # inches that the rows of models share
_MOST_DRAWN = 100  # images whose intervals an SVG holds as lines; of more it holds a picture
_MOST_MARKS = 10  # at the end of an axis; more images have their number alone
_LOWER = "0.2"  # colour of lower ends
_BEYOND: dict[str, dict[str, Any]] = {
    "best adversarial beyond the axis": {"marker": ">", "markersize": 4.0},
    "no attack succeeded": {"marker": r"$\infty$", "markersize": 6.5, "markeredgewidth": 0.3},
}


def bracket_figure(
    intervals: pd.DataFrame, curves: pd.DataFrame, *, models: Mapping[str, str], norms: Sequence[str]
) -> Figure:
    """One column per norm. One row per model: the images' intervals, sorted by their upper ends, with marks where
    they end beyond the axis. Below, for all models, the accuracy given by the lower bounds and that under attack, and
    the area between them.

    intervals: model, norm, index, lower, basis, upper; curves: model, norm, side, distance, accuracy
    models: labels of all models; those without an interval are left out
    """
    set_style()
    shown = [model for model in models if model in set(intervals["model"])]
    styles = {model: style for model, style in model_styles(models).items() if model in shown}
    rows = as_written({model: _row_label(intervals, model, models[model]) for model in shown})
    legend = Legend(_handles(intervals, models, shown))
    needed = LINE * n_lines(rows.values()) * NORMAL / 72 + 0.1
    height = max(needed, min(1.4, _ROWS / max(len(shown), 1)))
    figure, panels = plt.subplots(
        len(shown) + 1, len(norms), figsize=(TEXT_WIDTH, height * len(shown) + 2.0 + legend.height),
        height_ratios=[*[height] * len(shown), 1.5], squeeze=False, layout="constrained", sharex="col",
    )  # fmt: skip
    for column, norm in zip(panels.T, norms, strict=True):
        of_norm, curves_of_norm = (table[table["norm"] == norm] for table in (intervals, curves))
        end = _end(of_norm)
        for panel, (model, style) in zip(column[:-1], styles.items(), strict=True):
            _draw_intervals(panel, of_norm[of_norm["model"] == model], end, style)
            _draw_curves(column[-1], curves_of_norm[curves_of_norm["model"] == model], end, style)
        column[-1].set(xlim=(0, end), ylim=(0, 1.01))
        label_distances(column[-1], norm)
        column[0].set_title(NORMS[norm].label)
    for panel, label in zip(panels[:-1, 0], rows.values(), strict=True):
        panel.set_ylabel(label, rotation=0, ha="right", va="center")
    panels[-1][0].set_ylabel("accuracy" if shown else "no model with\nlower bounds")
    legend.draw(figure)
    return figure


def _row_label(intervals: pd.DataFrame, model: str, label: str) -> str:
    basis = intervals[intervals["model"] == model]["basis"].iloc[0]
    return f"{wrapped(label, _ROW_LABEL)}\nimages ({basis})"


def _handles(intervals: pd.DataFrame, models: Mapping[str, str], shown: Sequence[str]) -> list[Line2D]:
    """Entries of the legend: the models' colours, the two lines, the two ends of an interval, and its marks."""
    found = [basis for basis in LOWER_BOUNDS if basis in set(intervals["basis"])]
    ends: dict[str, Any] = {"linestyle": "", "marker": "o", "markersize": 2.2}
    handles = model_handles(models, only=shown)
    for handle in handles:
        handle.set(marker="", linewidth=4)
    handles += line_handles(found) if found else []
    handles += [Line2D([], [], color=_LOWER, label="an image's lower bound", **ends)] if found else []
    ending = [
        _beyond(part["upper"].to_numpy(dtype=float), _end(part)) for _, part in intervals.groupby("norm")
    ]
    for words, kinds in zip(_BEYOND, zip(*ending, strict=True), strict=False):
        if any(kind.any() for kind in kinds):
            handles.append(Line2D([], [], color="0.4", linestyle="", label=words, **_BEYOND[words]))
    return handles


def _beyond(
    upper: npt.NDArray[np.float64], end: float
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Which upper ends lie beyond the end of the axis: the finite ones; those where no attack succeeded."""
    return np.isfinite(upper) & (upper > end), np.isinf(upper)


def _end(intervals: pd.DataFrame) -> float:
    """The end of the axis: beyond 98 % of the finite lower bounds and of the finite upper ones."""
    finite = (intervals[side][np.isfinite(intervals[side])] for side in ("lower", "upper"))
    ends = [side.astype(float).quantile(0.98, interpolation="higher") for side in finite if len(side)]
    return float(1.05 * max(ends, default=1.0) or 1.0)


def _draw_intervals(panel: Axes, intervals: pd.DataFrame, end: float, style: ModelStyle) -> None:
    """A line from each image's lower to its upper end, or to a mark at the end of the axis, with their numbers."""
    ordered = intervals.sort_values(["upper", "lower"])
    lower, upper = (ordered[side].to_numpy(dtype=float) for side in ("lower", "upper"))
    places = np.arange(len(ordered))
    width = max(0.3, min(2.0, 60 / max(len(ordered), 1)))
    many = len(ordered) > _MOST_DRAWN
    dots: dict[str, Any] = {"linewidths": 0, "zorder": 3, "clip_on": False, "rasterized": many}
    panel.hlines(
        places, np.minimum(lower, end), np.minimum(upper, end), color=style.colour, alpha=0.5, linewidth=width,
        rasterized=many,
    )  # fmt: skip
    for values, colour, size in ((upper, style.colour, 5 * width), (lower, _LOWER, 1.5 * width)):
        panel.scatter(values[values <= end], places[values <= end], color=colour, s=max(0.6, size), **dots)
    numbers = []
    for chosen, mark, word in zip(
        _beyond(upper, end), _BEYOND.values(), ("beyond the axis", "∞"), strict=True
    ):
        if chosen.any():
            at = places[chosen]
            numbers.append(f"{len(at)} {word}")
            at = at[:: -(-len(at) // _MOST_MARKS)]
            panel.plot(np.full(len(at), end), at, linestyle="", clip_on=False, color=style.colour, **mark)
    if numbers or not len(ordered):
        words = ", ".join(numbers) if len(ordered) else "no bounds"
        panel.text(
            0.95, 0.06, words, transform=panel.transAxes, ha="right", fontsize=SMALL, color="0.2", zorder=4,
            bbox={"facecolor": "w", "alpha": 0.8, "linewidth": 0, "pad": 1.5},
        )  # fmt: skip
    panel.set(ylim=(-1, max(len(ordered), 1)), yticks=[])


def _draw_curves(panel: Axes, curves: pd.DataFrame, end: float, style: ModelStyle) -> None:
    """The steps of both accuracies of one model; its robust accuracy lies in the area between."""
    grid = np.unique([*curves["distance"].clip(upper=end), 0.0, end])
    bounded, attacked = (curves[(curves["side"] == "attacked") == side] for side in (False, True))
    if not len(bounded) or not len(attacked):
        return
    heights = []
    for curve in (bounded, attacked):
        ordered = curve.sort_values("distance")
        place = np.searchsorted(ordered["distance"].to_numpy(), grid, side="right") - 1
        heights.append(ordered["accuracy"].to_numpy()[place])
    for height, line in zip(heights, (LOWER_BOUNDS[bounded["side"].iloc[0]], ATTACKED), strict=True):
        panel.step(grid, height, where="post", color=style.colour, **line)
    panel.fill_between(grid, heights[0], heights[1], step="post", color=style.colour, alpha=0.15, linewidth=0)
