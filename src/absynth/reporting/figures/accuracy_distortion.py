"""Figure 2: accuracy under attack as larger perturbations are allowed."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from absynth.norms import NORMS
from absynth.reporting.figures.style import TEXT_WIDTH, Style, as_written, hide_frame, model_styles, set_style

_ATTACKED: dict[str, Any] = {"linewidth": 1.3}
_LOWER_BOUNDS: dict[str, Any] = {
    "proved": {"linewidth": 0.8, "dashes": (4, 1.5)},
    "searched": {"linewidth": 0.8, "dashes": (1, 1.5)},
}
_LEGEND_ROW = 6  # entries that fit side by side


def accuracy_distortion_figure(
    curves: pd.DataFrame,
    *,
    lower_bounds: pd.DataFrame,
    models: Mapping[str, str],
    norms: Sequence[str],
    epsilons: Mapping[str, float],
) -> Figure:
    """One panel per norm with one curve per model, and a thin one for its lower bounds, if it has any.

    curves, lower_bounds: model, norm, distance, accuracy, and of the latter, which may have no rows, side: what they
        rest on, "proved" or "searched"
    models: labels, in the order of the legend; epsilons: marked by a vertical line
    """
    set_style()
    models = as_written(models)
    figure, panels = plt.subplots(
        1, len(norms), figsize=(TEXT_WIDTH, 2.2), sharey=True, squeeze=False, layout="constrained"
    )
    styles = model_styles(models)
    for panel, norm in zip(panels[0], norms, strict=True):
        attacked = curves[curves["norm"] == norm]
        bounded = lower_bounds[lower_bounds["norm"] == norm]
        limit = _limit(attacked, epsilons[norm])
        for model in models:
            _draw_curve(panel, attacked[attacked["model"] == model], limit, {**_ATTACKED, **styles[model]})
            for basis, line in _LOWER_BOUNDS.items():
                of_model = bounded[(bounded["model"] == model) & (bounded["side"] == basis)]
                _draw_curve(panel, of_model, limit, {**line, "color": styles[model]["color"]})
        if not len(attacked):
            panel.text(0.5, 0.5, "no attack was run", ha="center", transform=panel.transAxes)
        panel.axvline(epsilons[norm], color="0.4", linewidth=0.8, linestyle=":")
        panel.set(xlim=(0, limit), ylim=(0, 1.01), xlabel=NORMS[norm].quantity, title=NORMS[norm].label)
    panels[0][0].set_ylabel("accuracy")
    _draw_legend(
        figure, models, styles, [basis for basis in _LOWER_BOUNDS if basis in set(lower_bounds["side"])]
    )
    hide_frame(figure.axes)
    return figure


def _draw_curve(panel: Axes, curve: pd.DataFrame, limit: float, style: Style) -> None:
    """The steps of a curve, drawn on to the edge of the panel; nothing for a curve without points."""
    if len(curve):
        distances = [*curve["distance"], limit]
        accuracies = [*curve["accuracy"], curve["accuracy"].iloc[-1]]
        panel.step(distances, accuracies, where="post", **style)


def _draw_legend(
    figure: Figure, models: Mapping[str, str], styles: Mapping[str, Style], bases: Sequence[str]
) -> None:
    """A legend below the panels, in as few rows as its entries fit in."""
    handles = [Line2D([], [], label=models[model], **_ATTACKED, **styles[model]) for model in models]
    for basis in bases:
        handles.append(Line2D([], [], color="0.3", label=f"lower bound ({basis})", **_LOWER_BOUNDS[basis]))
    rows = -(-len(handles) // _LEGEND_ROW)
    columns = -(-len(handles) // rows)
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, frameon=False, handlelength=2.6)


def _limit(attacked: pd.DataFrame, epsilon: float) -> float:
    """The end of the axis: where the last curve is nearly flat, and beyond epsilon."""
    falling = attacked[attacked["accuracy"] > 0.02]["distance"]
    return max(1.3 * epsilon, 1.05 * falling.max() if len(falling) else 0.0)
