"""Differences between models on the same images, image by image."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from absynth.norms import NORMS
from absynth.reporting.figures.style import TEXT_WIDTH, as_written, hide_frame, set_style

Distances = npt.NDArray[np.float64]
_COLOURS = {"larger": "#0173b2", "smaller": "#de8f05"}
_PLACES = {
    "larger": (0.99, 0.03, "right"),
    "smaller": (0.01, 0.86, "left"),
}  # x, y and alignment of the counts


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
        differences = [_difference(by_model[first], by_model[other]) for other in others]
        limit = _limit(differences)
        for panel, difference, other in zip(column, differences, others, strict=False):
            _draw(panel, difference, limit, min(len(by_model[first]), len(by_model[other])))
        column[0].set_title(NORMS[norm].label)
        column[-1].set_xlabel(f"difference ({NORMS[norm].quantity})")
    for panel, other in zip(panels[:, 0], others, strict=False):
        panel.set_ylabel(f"{models[other]}\nimages", fontsize=6.5)
    figure.suptitle(f"compared with {models[first]}", fontsize=8)
    hide_frame(figure.axes, "left")
    return figure


def _difference(first: Distances, other: Distances) -> Distances:
    """The sorted differences of distances, without those of two infinite ones; empty if one was not attacked."""
    if not len(first) or not len(other):
        return np.empty(0)
    kept = np.isfinite(first) | np.isfinite(other)
    return np.sort(other[kept] - first[kept])


def _limit(differences: Sequence[Distances]) -> float:
    """The end of the axis, beyond all finite differences."""
    finite = [abs(value) for part in differences for value in part if np.isfinite(value)]
    return 1.08 * max(finite, default=1.0) or 1.0


def _nothing(n: int) -> str:
    """Why no image has a difference: n were attacked in both models."""
    return f"both ∞ on {'all ' if n > 1 else ''}{n} image{'s' if n > 1 else ''}" if n else "not attacked"


def _draw(panel: Axes, difference: Distances, limit: float, n: int) -> None:
    """A line for each of n images, from zero to the difference, and how many are larger and smaller."""
    panel.axvline(0, color="0.4", linewidth=0.6)
    panel.set(yticks=[], xlim=(-limit, limit))
    if not len(difference):
        panel.text(0.5, 0.5, _nothing(n), ha="center", transform=panel.transAxes, fontsize=6.5)
        return
    width = max(0.3, min(2.0, 60 / len(difference)))
    for name, chosen in (("larger", difference > 0), ("smaller", difference < 0)):
        ends = np.clip(difference[chosen], -2 * limit, 2 * limit)
        panel.hlines(np.flatnonzero(chosen), 0, ends, color=_COLOURS[name], linewidth=width)
        side, height, align = _PLACES[name]
        panel.text(
            side, height, f"{name}: {chosen.sum()}", ha=align, transform=panel.transAxes, fontsize=6.5,
            color=_COLOURS[name],
        )  # fmt: skip
