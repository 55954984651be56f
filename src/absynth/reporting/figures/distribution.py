"""Figure 8: the distribution of the distances of the best adversarials."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from absynth.norms import NORMS
from absynth.reporting.figures.style import TEXT_WIDTH, as_written, hide_frame, model_styles, set_style

_BOX: dict[str, Any] = {
    "orientation": "horizontal",
    "widths": 0.55,
    "showfliers": False,
    "patch_artist": True,
    "medianprops": {"color": "0.1", "linewidth": 1.4},
    "manage_ticks": False,
}


def distribution_figure(
    distances: pd.DataFrame,
    *,
    models: Mapping[str, str],
    norms: Sequence[str],
    epsilons: Mapping[str, float],
) -> Figure:
    """One panel per norm, one box per model over all its finite distances, one dot per image.

    distances: model, norm, distance (0 where the clean image is misclassified, as in the paper; inf where every
        attack failed: the share of those is written at the right)
    models: labels, in order from above; epsilons: marked by a vertical line
    """
    set_style()
    models = as_written(models)
    size = (TEXT_WIDTH, 0.55 + 0.32 * max(len(models), 2))
    figure, panels = plt.subplots(
        1, len(norms), figsize=size, sharey=True, squeeze=False, layout="constrained"
    )
    for panel, norm in zip(panels[0], norms, strict=True):
        shown = distances[distances["norm"] == norm].astype({"distance": float})
        finite = shown[np.isfinite(shown["distance"])]["distance"]
        room = 1.05 if len(finite) == len(shown) else 1.25  # for the share of failures
        limit = room * max(1.2 * epsilons[norm], finite.max() if len(finite) else 0.0)
        for place, (model, style) in enumerate(model_styles(models).items()):
            of_model = shown[shown["model"] == model]["distance"].to_numpy()
            _draw_row(panel, of_model, place, style["color"], limit)
        panel.axvline(epsilons[norm], color="0.4", linewidth=0.8, linestyle=":")
        panel.set(xlim=(-0.02 * limit, limit), xlabel=NORMS[norm].quantity, title=NORMS[norm].label)
    panels[0][0].set_yticks(range(len(models)), models.values())
    panels[0][0].set_ylim(len(models) - 0.5, -0.5)
    hide_frame(figure.axes)
    return figure


def _draw_row(
    panel: Axes,
    distance: npt.NDArray[np.float64],
    place: int,
    colour: tuple[float, float, float],
    limit: float,
) -> None:
    """The dots, box and share of failures of one model."""
    finite = distance[np.isfinite(distance)]
    if not len(distance):
        panel.text(0.02 * limit, place, "not attacked", va="center", fontsize=6.5, color="0.3")
        return
    if len(finite):
        jitter = np.random.default_rng(0).uniform(-0.22, 0.22, len(finite))
        panel.scatter(
            finite, place + jitter, s=3, color="0.25", alpha=min(0.6, 30 / len(finite) + 0.1), linewidths=0,
            rasterized=True, zorder=3,
        )  # fmt: skip
        (box,) = panel.boxplot([finite], positions=[place], **_BOX)["boxes"]
        box.set(facecolor=(*colour, 0.55), edgecolor="0.2", linewidth=0.8)
    failed = len(distance) - len(finite)
    if failed:
        share = f"∞: {100 * failed / len(distance):.0f} %"
        panel.text(0.99 * limit, place, share, va="center", ha="right", fontsize=6.5)
