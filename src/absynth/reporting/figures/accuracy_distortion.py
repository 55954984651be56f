"""Figure 2: accuracy under attack as larger perturbations are allowed."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from absynth.norms import NORMS
from absynth.reporting.figures.panels import (
    TITLE_PAD,
    Legend,
    axis_end,
    label_distances,
    line_handles,
    mark_epsilon,
    model_handles,
)
from absynth.reporting.figures.style import ATTACKED, LOWER_BOUNDS, TEXT_WIDTH, model_styles, set_style

_FLAT = 0.02  # a curve's last fall of so much accuracy does not make its panel longer
_TAIL = 1.5  # nor does a last step that is farther out than this, times the one before
_MOST_MARKERS = 24  # in a panel, of all models together
_MARKER = 3.6  # points


def accuracy_distortion_figure(
    curves: pd.DataFrame,
    *,
    lower_bounds: pd.DataFrame,
    models: Mapping[str, str],
    norms: Sequence[str],
    epsilons: Mapping[str, float],
) -> Figure:
    """One panel per norm with a thick curve per model, and a thin one for its lower bounds, if it has any.

    A model has a colour and a marker. Lines are solid under attack, dashed if proved, dotted if searched.
    curves, lower_bounds: model, norm, distance, accuracy, and of the latter, which may have no rows, side: what they
        rest on, "proved" or "searched"
    models: labels, in the order of the legend
    epsilons: marked by a vertical line, or by an arrow where far beyond the data
    """
    set_style()
    bases = [basis for basis in LOWER_BOUNDS if basis in set(lower_bounds["side"])]
    below = Legend(model_handles(models))
    above = Legend(line_handles(bases) if bases else [], "upper")
    size = (TEXT_WIDTH, 2.25 + 0.05 * max(0, len(models) - 8) + below.height + above.height)
    figure, panels = plt.subplots(
        1, len(norms), figsize=size, sharey=True, squeeze=False, layout="constrained"
    )
    for panel, norm in zip(panels[0], norms, strict=True):
        attacked = curves[curves["norm"] == norm]
        end = _end(attacked, epsilons[norm])
        _draw_bounds(panel, lower_bounds[lower_bounds["norm"] == norm], models, end)
        _draw_attacked(panel, attacked, models, end)
        mark_epsilon(panel, epsilons[norm], end)
        panel.set(xlim=(0, end), ylim=(0, 1.01))
        label_distances(panel, norm)
        panel.set_title(NORMS[norm].label, pad=TITLE_PAD)
    panels[0][0].set_ylabel("accuracy")
    below.draw(figure)
    above.draw(figure)
    return figure


def _draw_bounds(panel: Axes, bounds: pd.DataFrame, models: Mapping[str, str], end: float) -> None:
    for model, style in model_styles(models).items():
        for basis, line in LOWER_BOUNDS.items():
            curve = bounds[(bounds["model"] == model) & (bounds["side"] == basis)]
            _draw_curve(panel, curve, end, {"color": style.colour, "zorder": 2.5, **line})


def _draw_attacked(panel: Axes, attacked: pd.DataFrame, models: Mapping[str, str], end: float) -> None:
    """The curves of all models, with markers at places of their own along the axis."""
    if not len(attacked):
        panel.text(0.5, 0.5, "no attack was run", ha="center", transform=panel.transAxes)
    rounds = max(1, min(3, _MOST_MARKERS // max(len(models), 1)))
    for i, (model, style) in enumerate(model_styles(models).items()):
        curve = attacked[attacked["model"] == model]
        _draw_curve(panel, curve, end, {"color": style.colour, "zorder": 2, **ATTACKED})
        places = end * (np.arange(rounds) + (i + 0.5) / len(models)) / rounds
        at = _marked(curve, places)
        panel.plot(at, _accuracy(curve, at), zorder=3, **style.points(_MARKER))


def _draw_curve(panel: Axes, curve: pd.DataFrame, end: float, line: Mapping[str, Any]) -> None:
    """The steps of a curve, drawn on to the end of the panel; nothing for a curve without points."""
    if len(curve):
        distances = [*curve["distance"], end]
        accuracies = [*curve["accuracy"], curve["accuracy"].iloc[-1]]
        panel.step(distances, accuracies, where="post", **line)


def _marked(curve: pd.DataFrame, places: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Those places where the curve has not yet fallen; if it has at all of them, a place in the midst of its fall."""
    if not len(curve):
        return places[:0]
    held = places[_accuracy(curve, places) > _FLAT]
    falling = curve[curve["accuracy"] > _FLAT]["distance"]
    return held if len(held) else np.array([0.5 * falling.max() if len(falling) else 0.0])


def _accuracy(curve: pd.DataFrame, places: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Heights of the curve's steps at places from 0 on."""
    row = np.searchsorted(curve["distance"].to_numpy(dtype=float), places, side="right") - 1
    return curve["accuracy"].to_numpy(dtype=float)[row]


def _end(attacked: pd.DataFrame, epsilon: float) -> float:
    """The end of the axis: where the last curve gets nearly flat; see `axis_end`."""
    return axis_end(max((_last(curve) for _, curve in attacked.groupby("model")), default=0.0), epsilon)


def _last(curve: pd.DataFrame) -> float:
    """Where a curve gets nearly as low as it ever does, or its last step before that if a long tail follows."""
    flat = curve["accuracy"] <= curve["accuracy"].min() + _FLAT
    before, end = (
        curve["distance"][~flat].max(),
        curve["distance"][flat].min(),
    )  # NaN if it is flat from the start
    return float(before if before > 0 and end > _TAIL * before else end)
