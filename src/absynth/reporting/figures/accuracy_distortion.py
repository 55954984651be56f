"""Figure 2: how accuracy falls as larger perturbations are allowed."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns

from absynth.reporting.figures.style import NORM_LABELS, TEXT_WIDTH, UNITS, begin, model_styles

_CERTIFIED = {"linewidth": 0.8, "dashes": (3, 2)}
_LEGEND_ROW = 6  # entries that fit side by side


def accuracy_distortion(
    curves: pd.DataFrame,
    *,
    certified: pd.DataFrame,
    models: Mapping[str, str],
    norms: Sequence[str],
    epsilons: Mapping[str, float],
) -> plt.Figure:
    """One panel a norm, one curve a model, and a thin dashed one where the model's accuracy is certified.

    curves, certified: model, norm, distance, accuracy; certified may have no rows
    models: labels, in the order of the legend; epsilons: marked by a vertical line
    """
    begin()
    figure, panels = plt.subplots(
        1, len(norms), figsize=(TEXT_WIDTH, 2.2), sharey=True, squeeze=False, layout="constrained"
    )
    styles = model_styles(models)
    for panel, norm in zip(panels[0], norms, strict=True):
        shown = curves[curves["norm"] == norm]
        limit = _limit(shown, epsilons[norm])
        for model in models:
            _draw(panel, shown[shown["model"] == model], limit, {"linewidth": 1.3, **styles[model]})
            known = certified[(certified["model"] == model) & (certified["norm"] == norm)]
            _draw(panel, known, limit, {**_CERTIFIED, "color": styles[model]["color"]})
        if not len(shown):
            panel.text(0.5, 0.5, "no attack was run", ha="center", transform=panel.transAxes)
        panel.axvline(epsilons[norm], color="0.4", linewidth=0.8, linestyle=":")
        panel.set(xlim=(0, limit), ylim=(0, 1.01), xlabel=UNITS[norm], title=NORM_LABELS[norm])
    panels[0][0].set_ylabel("accuracy")
    handles = [plt.Line2D([], [], linewidth=1.3, label=models[model], **styles[model]) for model in models]
    if len(certified):
        handles.append(plt.Line2D([], [], color="0.3", label="certified", **_CERTIFIED))
    rows = -(-len(handles) // _LEGEND_ROW)
    columns = -(-len(handles) // rows)
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, frameon=False, handlelength=2.6)
    sns.despine(figure)
    return figure


def _draw(panel: plt.Axes, curve: pd.DataFrame, limit: float, style: Mapping) -> None:
    """The steps of a curve, drawn on to the edge of the panel; nothing for a curve without points."""
    if len(curve):
        distances = [*curve["distance"], limit]
        accuracies = [*curve["accuracy"], curve["accuracy"].iloc[-1]]
        panel.step(distances, accuracies, where="post", **style)


def _limit(shown: pd.DataFrame, threshold: float) -> float:
    """The end of the axis: where the last curve has nearly come to rest, beyond the threshold at least."""
    falling = shown[shown["accuracy"] > 0.02]["distance"]
    return max(1.3 * threshold, 1.05 * falling.max() if len(falling) else 0.0)
