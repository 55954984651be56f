"""Differences between models on the same images, image by image."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from absynth.norms import NORMS
from absynth.reporting.figures.panels import Legend, model_handles
from absynth.reporting.figures.style import NORMAL, SMALL, TEXT_WIDTH, model_styles, set_style
from absynth.reporting.figures.text import LINE, as_written, escaped, n_lines, wrapped

Distances = npt.NDArray[np.float64]
_ROW_LABEL = 20  # characters in a line
_TITLE = 100  # characters in a line
_ROWS = 9.0  # inches that the rows share
_COUNTS = 0.17  # inches above the lines, for their numbers


class _Paired(NamedTuple):
    """The sorted differences of one model's distances less the first one's, and what they leave out.

    n: images attacked on both models; equal: those of equal finite distances; both: of two infinite ones
    """

    values: Distances
    n: int
    equal: int
    both: int

    @classmethod
    def of(cls, first: Distances, other: Distances) -> "_Paired":
        if not len(first) or not len(other):
            return cls(np.empty(0), 0, 0, 0)
        both = np.isinf(first) & np.isinf(other)
        values = np.sort(other[~both] - first[~both])
        return cls(values, len(first), int((values == 0).sum()), int(both.sum()))

    @property
    def words(self) -> str:
        """What no line shows."""
        if not self.n:
            return "not attacked"
        if self.both == self.n:
            return f"both ∞ on {'all ' if self.n > 1 else ''}{self.n} image{'s' if self.n > 1 else ''}"
        return ", ".join(f"{name}: {n}" for name, n in (("equal", self.equal), ("both ∞", self.both)) if n)


def differences_figure(distances: pd.DataFrame, *, models: Mapping[str, str], norms: Sequence[str]) -> Figure:
    """One column per norm, one row per model but the first: its distances less those of the first, sorted. A line has
    the colour of the model with the larger distance; above are the numbers of both colours' lines.

    distances: model, norm, distance, the images of each model and norm in one order; inf where every attack failed
    models: labels; the first is what the others are compared with
    An image on which one distance alone is infinite is drawn to the edge, with a mark; one with two infinite
    distances is left out.
    """
    set_style()
    first, *others = models
    labels = as_written(models, _ROW_LABEL)
    legend = Legend(model_handles(models))
    for handle in legend.handles:
        handle.set(marker="", linewidth=4)
    row = max(LINE * n_lines(labels.values()) * NORMAL / 72 + 0.1, min(1.2, _ROWS / max(1, len(others))))
    title = f"Distance of each model less that of {models[first]}, on the same images"
    words = escaped(wrapped(title, _TITLE))
    size = (TEXT_WIDTH, 1.1 + 0.12 * n_lines([words]) + row * max(1, len(others)) + legend.height)
    figure, panels = plt.subplots(
        max(1, len(others)), len(norms), figsize=size, squeeze=False, layout="constrained", sharex="col"
    )
    for column, norm in zip(panels.T, norms, strict=True):
        of_norm = distances[distances["norm"] == norm].astype({"distance": float})
        by_model = {name: of_norm[of_norm["model"] == name]["distance"].to_numpy() for name in models}
        paired = [_Paired.of(by_model[first], by_model[other]) for other in others]
        end = _end(paired)
        for panel, found, other in zip(column, paired, others, strict=False):
            _draw(panel, found, end, {"smaller": first, "larger": other}, models, row)
        column[0].set_title(NORMS[norm].label)
        column[-1].set_xlabel(f"difference of\n{NORMS[norm].quantity}")
    for panel, other in zip(panels[:, 0], others, strict=False):
        panel.set_ylabel(labels[other], rotation=0, ha="right", va="center")
    figure.suptitle(words, fontsize=NORMAL + 0.5)
    legend.draw(figure)
    return figure


def _end(paired: Sequence[_Paired]) -> float:
    """The end of the axis, beyond all finite differences."""
    finite = [abs(value) for found in paired for value in found.values if np.isfinite(value)]
    return 1.08 * max(finite, default=1.0) or 1.0


def _draw(
    panel: Axes, found: _Paired, end: float, robust: Mapping[str, str], models: Mapping[str, str], row: float
) -> None:
    """A line for each image, from zero to its difference, in the colour of the more robust model, and their numbers.

    robust: which model that is where the difference is smaller or larger than zero; row: inches
    """
    room = max(len(found.values), 1)
    panel.vlines(0, -0.5, room - 0.5, color="0.4", linewidth=0.6)
    top = room / (1 - min(0.5, _COUNTS / row))
    panel.set(yticks=[], xlim=(-end, end), ylim=(-0.5, top))
    panel.spines["left"].set_visible(False)
    text: dict[str, Any] = {"va": "top", "transform": panel.transAxes, "fontsize": SMALL}
    panel.text(0.5, 0.99, found.words, ha="center", color="0.3", **text)
    styles, width = model_styles(models), max(0.3, min(2.0, 60 / room))
    for (name, model), at in zip(robust.items(), (0.01, 0.99), strict=True):
        chosen = found.values < 0 if name == "smaller" else found.values > 0
        colour, places = styles[model].colour, np.flatnonzero(chosen)
        panel.hlines(places, 0, np.clip(found.values[chosen], -end, end), color=colour, linewidth=width)
        beyond = places[np.isinf(found.values[chosen])]
        mark, edge = ("<", -end) if name == "smaller" else (">", end)
        if len(beyond):  # a line without points that is not clipped counts as a point in the figure's corner
            panel.plot(
                np.full(len(beyond), edge), beyond, linestyle="", marker=mark, markersize=3.5, color=colour,
                clip_on=False,
            )  # fmt: skip
        if found.n > found.both:
            words = f"{name}: {len(places)}"
            panel.text(at, 0.99, words, ha="left" if at < 0.5 else "right", color=colour, **text)
