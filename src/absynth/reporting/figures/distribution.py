"""Figure 8: the distribution of the distances of the best adversarials."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from absynth.norms import NORMS
from absynth.reporting.figures.panels import TITLE_PAD, axis_end, label_distances, mark_epsilon
from absynth.reporting.figures.style import NORMAL, SMALL, TEXT_WIDTH, model_styles, set_style
from absynth.reporting.figures.text import LINE, as_written, n_lines

_ROW_LABEL = 22  # characters in a line
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
    models: labels, in order from above; epsilons: marked by a vertical line, or an arrow where far beyond the data
    """
    set_style()
    labels = as_written(models, _ROW_LABEL)
    row = max(0.3, LINE * n_lines(labels.values()) * NORMAL / 72 + 0.04)
    size = (TEXT_WIDTH, 0.75 + row * max(len(models), 2))
    figure, panels = plt.subplots(
        1, len(norms), figsize=size, sharey=True, squeeze=False, layout="constrained"
    )
    for panel, norm in zip(panels[0], norms, strict=True):
        shown = distances[distances["norm"] == norm].astype({"distance": float})
        finite = shown[np.isfinite(shown["distance"])]["distance"]
        end = axis_end(finite.max() if len(finite) else 0.0, epsilons[norm])
        if len(finite) < len(shown):
            end *= 1.25  # room for the share of failures
        for place, (model, style) in enumerate(model_styles(models).items()):
            of_model = shown[shown["model"] == model]["distance"].to_numpy()
            _draw_row(panel, of_model, place, style.colour, end)
        mark_epsilon(panel, epsilons[norm], end)
        panel.set(xlim=(-0.02 * end, end))
        label_distances(panel, norm)
        panel.set_title(NORMS[norm].label, pad=TITLE_PAD)
        panel.tick_params(axis="y", length=0)
    panels[0][0].set_yticks(range(len(models)), labels.values())
    panels[0][0].set_ylim(len(models) - 0.5, -0.5)
    return figure


def _draw_row(panel: Axes, distance: npt.NDArray[np.float64], place: int, colour: str, end: float) -> None:
    """The dots, box and share of failures of one model."""
    finite = distance[np.isfinite(distance)]
    if not len(distance):
        panel.text(0.02 * end, place, "not attacked", va="center", fontsize=SMALL, color="0.3")
        return
    if len(finite):
        jitter = np.random.default_rng(0).uniform(-0.22, 0.22, len(finite))
        panel.scatter(
            finite, place + jitter, s=3, color="0.25", alpha=min(0.6, 30 / len(finite) + 0.1), linewidths=0,
            rasterized=True, zorder=3, clip_on=False,
        )  # fmt: skip
        (box,) = panel.boxplot([finite], positions=[place], **_BOX)["boxes"]
        box.set(facecolor=to_rgba(colour, 0.55), edgecolor="0.2", linewidth=0.8)
    failed = len(distance) - len(finite)
    if failed:
        share = f"∞: {100 * failed / len(distance):.0f} %"
        panel.text(0.99 * end, place, share, va="center", ha="right", fontsize=SMALL)
