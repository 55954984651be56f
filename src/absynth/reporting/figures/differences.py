"""Differences between models on the same images, image by image."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from absynth.norms import NORMS
from absynth.reporting.figures.style import TEXT_WIDTH, as_written, set_style

_COLOURS = {"larger": "#0173b2", "smaller": "#de8f05"}


def differences_figure(distances: pd.DataFrame, *, models: Mapping[str, str], norms: Sequence[str]) -> Figure:
    """One column per norm, one row per model but the first: its distances less those of the first, sorted.

    distances: model, norm, distance, the images of each model and norm in one order; inf where every attack failed
    models: labels; the first is what the others are compared with
    An image on which one distance alone is infinite is drawn to the edge; one on which both are is left out.
    """
    set_style()
    models = as_written(models)
    first, *others = models
    size = (TEXT_WIDTH, 0.9 + 1.15 * max(1, len(others)))
    figure, panels = plt.subplots(
        max(1, len(others)), len(norms), figsize=size, squeeze=False, layout="constrained", sharex="col"
    )
    for column, norm in zip(panels.T, norms, strict=True):
        of_norm = distances[distances["norm"] == norm].astype({"distance": float})
        by_model = {name: of_norm[of_norm["model"] == name]["distance"].to_numpy() for name in models}
        for panel, other in zip(column, others, strict=False):
            _draw(panel, by_model[first], by_model[other])
        column[0].set_title(NORMS[norm].label)
        column[-1].set_xlabel(f"difference ({NORMS[norm].quantity})")
    for panel, other in zip(panels[:, 0], others, strict=False):
        panel.set_ylabel(f"{models[other]}\nimages", fontsize=6.5)
    figure.suptitle(f"compared with {models[first]}", fontsize=8)
    sns.despine(figure, left=True)
    return figure


def _draw(panel: Axes, first: np.ndarray, other: np.ndarray) -> None:
    """A line for each image, from zero to the difference, and how many are larger and smaller."""
    panel.axvline(0, color="0.4", linewidth=0.6)
    panel.set_yticks([])
    if not len(first) or not len(other):
        panel.text(0.5, 0.5, "not attacked", ha="center", transform=panel.transAxes, fontsize=6.5)
        return
    both = np.isinf(first) & np.isinf(other)
    difference = np.sort(other[~both] - first[~both])
    finite = np.abs(difference[np.isfinite(difference)])
    limit = 1.08 * (finite.max() if len(finite) and finite.max() > 0 else 1.0)
    width = max(0.3, min(2.0, 60 / max(len(difference), 1)))
    for name, chosen in (("larger", difference > 0), ("smaller", difference < 0)):
        ends = np.clip(difference[chosen], -2 * limit, 2 * limit)
        panel.hlines(np.flatnonzero(chosen), 0, ends, color=_COLOURS[name], linewidth=width)
        side, align = (0.99, "right") if name == "larger" else (0.01, "left")
        panel.text(
            side, 0.03 if name == "larger" else 0.86, f"{name}: {chosen.sum()}", ha=align,
            transform=panel.transAxes, fontsize=6.5, color=_COLOURS[name],
        )  # fmt: skip
    panel.set_xlim(-limit, limit)
