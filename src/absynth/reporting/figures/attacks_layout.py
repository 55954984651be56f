"""Where the parts of the figure of attacks are, in inches: its tables, its panels of costs, and what names them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from absynth.reporting.figures.style import NORMAL, SMALL, TEXT_WIDTH
from absynth.reporting.figures.text import LINE, escaped, n_lines, text_width, wrapped

ROW_LABEL = 26  # characters in a line
_MOST_LANES = 8
_MOST_LINES = 4  # of a model's name that is not turned
_GAP = 0.28  # inches between norms, and between the panels
_NORM = 0.4  # inches for the name of a norm
_HEAD, _TICKS = 0.2, 0.2  # inches for a line of text above, and for an axis's numbers


@dataclass(frozen=True)
class Layout:
    """The figure's measures.

    marker: points, the size of markers of costs
    lanes: places within a row, one for each model; 0 if there are too many models
    left, column, cost: inches left of the table, of one of its columns, of a panel of costs
    row: inches of a row; heights: rows of each norm
    names, rotation: the models' names and how they are turned; head: inches that they take
    """

    marker: ClassVar[float] = 3.4
    lanes: int
    left: float
    column: float
    cost: float
    row: float
    heights: Sequence[int]
    names: Sequence[str]
    rotation: float
    head: float

    @classmethod
    def of(cls, models: Mapping[str, str], rows: Mapping[str, Sequence[str]]) -> "Layout":
        """The layout for the models' labels and, by norm, the names of the rows."""
        named = [name for of_norm in rows.values() for name in of_norm]
        lanes = len(models) if len(models) <= _MOST_LANES else 0
        left = _NORM + text_width(named, NORMAL) + 0.1
        least = 1.1 if lanes else 0.8  # of a panel of costs
        column = min(0.55, (TEXT_WIDTH - left - 2 * (least + _GAP) - 0.1) / max(len(models), 1))
        cost = (TEXT_WIDTH - left - column * len(models) - 2 * _GAP - 0.1) / 2
        row = max(0.22, (cls.marker + 1.2) / 72 * lanes + 0.05, LINE * n_lines(named) * NORMAL / 72 + 0.04)
        names, rotation = _names(list(models.values()), column)
        head = text_width(names, SMALL) if rotation else LINE * n_lines(names) * SMALL / 72
        heights = [max(len(of_norm), 1) for of_norm in rows.values()]
        return cls(lanes, left, column, cost, row, heights, names, rotation, max(head, 0.1) + 0.06)

    @property
    def number_size(self) -> float:
        """Points in which three digits fit a column."""
        return min(SMALL, self.column * 72 / 2.4)

    def size(self, foot: float) -> tuple[float, float]:
        """Width and height of the figure, with `foot` inches for the legend."""
        within = self.row * sum(self.heights) + _GAP * (len(self.heights) - 1)
        return TEXT_WIDTH, _HEAD + 2 * max(self.head, _TICKS) + within + foot

    def offsets(self, models: Mapping[str, str]) -> dict[str, float]:
        """Where each model's lane is, in rows from the middle of the row; none without lanes."""
        lane = (self.row - 0.05) / self.row / max(self.lanes, 1)
        return {m: (i - (self.lanes - 1) / 2) * lane for i, m in enumerate(models)} if self.lanes else {}

    def add_panels(self, figure: Figure) -> list[list[Axes]]:
        """The axes of the tables, of the queries and of the seconds, each a list by norm."""
        width, height = figure.get_size_inches()
        table = self.column * len(self.names)
        starts = [self.left, self.left + table + _GAP, self.left + table + 2 * _GAP + self.cost]
        columns: list[list[Axes]] = [[], [], []]
        top = _HEAD + max(self.head, _TICKS)
        for rows in self.heights:
            inches = rows * self.row
            bottom = (height - top - inches) / height
            for column, x, w in zip(columns, starts, (table, self.cost, self.cost), strict=True):
                panel = figure.add_axes((x / width, bottom, w / width, inches / height))
                panel.set_ylim(rows - 0.5, -0.5)
                panel.set_yticks([])
                panel.spines[["left", *(["bottom"] if column is columns[0] else [])]].set_visible(False)
                column.append(panel)
            top += inches + _GAP
        return columns

    def name_columns(self, tables: Sequence[Axes]) -> None:
        """The models' names above the first table and below the last one."""
        for table in tables:
            ticks = range(len(self.names))
            table.set_xticks(ticks, self.names, rotation=self.rotation, fontsize=SMALL)
            table.tick_params(length=0, pad=2, labelbottom=table is tables[-1], labeltop=table is tables[0])
            table.tick_params(axis="y", labelsize=NORMAL)

    def name_norms(self, figure: Figure, labels: Sequence[str]) -> None:
        """The norms at the left of their rows."""
        _, height = figure.get_size_inches()
        top = _HEAD + max(self.head, _TICKS)
        for rows, label in zip(self.heights, labels, strict=True):
            middle = 1 - (top + rows * self.row / 2) / height
            figure.text(0.02, middle, label, fontsize=NORMAL + 2, va="center")
            top += rows * self.row + _GAP

    def name(self, figure: Figure, panel: Axes, title: str) -> None:
        """The title of a column of panels, in the figure's first line."""
        _, height = figure.get_size_inches()
        place = panel.get_position()
        middle = (place.x0 + place.x1) / 2
        figure.text(middle, 1 - 0.09 / height, title, ha="center", va="center", fontsize=NORMAL)


def _names(labels: Sequence[str], column: float) -> tuple[list[str], float]:
    """Names for columns of so many inches, and their rotation: 0 in up to four lines if these fit, else 90."""
    room = column - 0.04
    for width in range(max(map(len, labels), default=0), 0, -1):
        lines = [wrapped(label, width) for label in labels]
        if n_lines(lines) > _MOST_LINES or _broken(labels, width):
            break
        if text_width(lines, SMALL) <= room:
            return [escaped(label) for label in lines], 0.0
    most = max(1, int(room / (LINE * SMALL / 72)))
    width = 18
    while n_lines(wrapped(label, width) for label in labels) > most:
        width += 1
    return [escaped(wrapped(label, width)) for label in labels], 90.0


def _broken(labels: Sequence[str], width: int) -> bool:
    """Whether a word of a label is longer than a line."""
    return any(len(word) > width for label in labels for word in label.split())
