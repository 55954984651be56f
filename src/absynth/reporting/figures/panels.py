"""What panels of several figures share: where their axes end, the mark at epsilon, and legends that fit."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from absynth.norms import NORMS
from absynth.reporting.figures.style import (
    ATTACKED,
    BOUND_TITLES,
    LOWER_BOUNDS,
    NORMAL,
    SMALL,
    TEXT_WIDTH,
    model_styles,
)
from absynth.reporting.figures.text import LINE, as_written, n_lines, text_width

TITLE_PAD = 13.0  # points between a panel and its title: room for what `mark_epsilon` writes
_LEGEND_LABEL = 34  # characters in a line of a legend
_NEAR = 1.35  # epsilon is shown on an axis that it makes longer by no more than this
_HANDLE, _SPACE = 2.4, 1.2  # of a legend, font sizes


def axis_end(last: float, epsilon: float) -> float:
    """Where an axis of distances ends that shows data up to `last`.

    It holds epsilon only if that does not squeeze the data; see `mark_epsilon`. Without data, `last` being 0, it ends
    beyond epsilon.
    """
    if last <= 0:
        return 1.3 * epsilon or 1.0
    return 1.05 * (max(last, epsilon) if epsilon <= _NEAR * last else last)


def mark_epsilon(panel: Axes, epsilon: float, end: float) -> None:
    """A vertical line at epsilon, which is written above it; an arrow at the end of the axis if it lies beyond."""
    words, beyond = f"ε = {epsilon:g}", epsilon > end
    if not beyond:
        panel.axvline(epsilon, color="0.35", linewidth=0.8, linestyle=(0, (1, 2)), zorder=1)
    align = "right" if epsilon > 0.85 * end else "left" if epsilon < 0.1 * end else "center"
    panel.text(
        min(epsilon, end), 1.02, f"{words} →" if beyond else words, transform=panel.get_xaxis_transform(),
        ha=align, va="bottom", fontsize=SMALL, color="0.35",
    )  # fmt: skip


def label_distances(panel: Axes, norm: str) -> None:
    """Name the horizontal axis by what the norm measures, with whole numbers if it counts."""
    panel.set_xlabel(NORMS[norm].quantity)
    panel.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10], integer=NORMS[norm].decimals == 0))


def model_handles(
    models: Mapping[str, str], *, only: Collection[str] | None = None, lines: bool = True
) -> list[Line2D]:
    """An entry of a legend for each model, or for `only` these: its line and marker, or its marker alone.

    models: labels of all models
    """
    styles, line = model_styles(models), {**ATTACKED, "linestyle": "-"} if lines else {}
    return [
        Line2D([], [], label=label, **{**styles[model].points(4.0), **line})
        for model, label in as_written(models, _LEGEND_LABEL).items()
        if only is None or model in only
    ]


def line_handles(bases: Iterable[str]) -> list[Line2D]:
    """An entry for accuracy under attack, and one for the lower bounds of each basis."""
    attacked = Line2D([], [], color="0.3", label="under attack", **ATTACKED)
    return [attacked, *(Line2D([], [], color="0.3", label=BOUND_TITLES[b], **LOWER_BOUNDS[b]) for b in bases)]


def range_handles() -> list[Line2D]:
    """Entries for costs of many models, drawn as a range."""
    return [
        Line2D([], [], color="0.5", linewidth=1.5, label="range over the models"),
        Line2D([], [], color="0.1", linestyle="", marker="|", markersize=7, label="their median"),
    ]


@dataclass(frozen=True)
class Legend:
    """A legend outside of a figure's panels, in as few rows as fit its width.

    place: "lower" or "upper"
    """

    handles: Sequence[Line2D]
    place: str = "lower"

    @property
    def columns(self) -> int:
        widest = text_width(self._labels, NORMAL) + (_HANDLE + 0.8 + _SPACE) * NORMAL / 72
        fitting = max(1, int((TEXT_WIDTH - 0.2) / widest))
        rows = -(-len(self.handles) // fitting)
        return -(-len(self.handles) // max(rows, 1)) or 1

    @property
    def height(self) -> float:
        """Inches that it takes; 0 if it has no entry."""
        rows = -(-len(self.handles) // self.columns)
        line = LINE * n_lines(self._labels) * NORMAL / 72
        return rows * (line + 0.05) + 0.1 if rows else 0.0

    @property
    def _labels(self) -> list[str]:
        return [str(handle.get_label()) for handle in self.handles]

    def draw(self, figure: Figure | SubFigure) -> None:
        """Add it to a figure with constrained layout; nothing if it has no entry."""
        if self.handles:
            place: Any = f"outside {self.place} center"
            figure.legend(
                handles=self.handles, loc=place, ncols=self.columns,
                handlelength=_HANDLE, columnspacing=_SPACE,
            )  # fmt: skip

    def place_at_foot(self, figure: Figure) -> None:
        """Add it to a figure that is laid out in inches, at its lower end."""
        if self.handles:
            figure.legend(
                handles=self.handles, loc="lower center", ncols=self.columns, handlelength=_HANDLE,
                columnspacing=_SPACE, borderaxespad=0.0,
            )  # fmt: skip
