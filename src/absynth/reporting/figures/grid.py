"""Grids of images with words around them, laid out in inches."""

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np

from absynth.reporting.figures.style import TEXT_WIDTH, begin

_LINE = 0.11  # inches, a line of text at the size of captions
_CHARACTER = 0.062  # inches, the width of one in a row's label
_GAP = 0.04  # inches between images
_SMALL, _NORMAL = 6.0, 7.5  # points


@dataclass(frozen=True)
class Cell:
    """One picture of a grid.

    image (28, 28) in [0, 1], or None where there is nothing to show
    caption: stands below it; strong: is set in bold type
    """

    image: np.ndarray | None
    caption: str = ""
    strong: bool = False


@dataclass(frozen=True)
class Row:
    """Pictures beside each other, named on the left.

    gap: inches of extra space above it
    """

    label: str
    cells: Sequence[Cell]
    gap: float = 0.0


def image_grid(
    rows: Sequence[Row], *, columns: Sequence[str] = (), group: int = 0, title: str = "", largest: float = 0.8
) -> plt.Figure:
    """Draw rows of equally many pictures, as wide as a page's text; intensity 0 is black.

    columns: titles above the columns, or above groups of columns; group: columns that belong together, set
    apart by a space from the next; largest: side of a picture at most, inches
    """
    begin()
    width = TEXT_WIDTH
    n_columns = max((len(row.cells) for row in rows), default=0)
    left = 0.16 + _CHARACTER * max((len(line) for row in rows for line in row.label.split("\n")), default=0)
    spaces = (n_columns - 1) // group if group else 0
    size = min(largest, (width - left - 0.12 * spaces) / max(n_columns, 1) - _GAP)
    lines = [
        max((cell.caption.count("\n") + bool(cell.caption) for cell in row.cells), default=0) for row in rows
    ]
    head = 0.2 * bool(title) + 0.18 * bool(columns) + 0.03
    height = head + sum(row.gap + size + _GAP + _LINE * n for row, n in zip(rows, lines, strict=True))
    figure = plt.figure(figsize=(width, max(height, 0.5)))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(max(height, 0.5), 0))
    axes.set_axis_off()

    def left_of(column: int) -> float:
        return left + column * (size + _GAP) + (0.12 * (column // group) if group else 0)

    if title:
        axes.text(left, 0.1, title, fontsize=_NORMAL + 0.5, va="center")
    for i, name in enumerate(columns):
        span = group if group and len(columns) < n_columns else 1
        middle = (left_of(i * span) + left_of((i + 1) * span - 1) + size) / 2
        axes.text(middle, head - 0.09, name, fontsize=_NORMAL, ha="center", va="center")
    top = head
    for row, n_lines in zip(rows, lines, strict=True):
        top += row.gap
        axes.text(left - 0.08, top + size / 2, row.label, fontsize=_NORMAL, ha="right", va="center")
        for column, cell in enumerate(row.cells):
            _draw(axes, cell, left_of(column), top, size)
        top += size + _GAP + _LINE * n_lines
    return figure


def _draw(axes: plt.Axes, cell: Cell, x: float, y: float, size: float) -> None:
    if cell.image is None:
        axes.add_patch(plt.Rectangle((x, y), size, size, facecolor="0.95", edgecolor="0.8", linewidth=0.5))
    else:
        extent = (x, x + size, y + size, y)
        axes.imshow(
            cell.image, cmap="gray", vmin=0, vmax=1, extent=extent, aspect="auto", interpolation="none"
        )
    if cell.caption:
        weight = "bold" if cell.strong else "normal"
        axes.text(
            x + size / 2, y + size + 0.02, cell.caption,
            fontsize=_SMALL, ha="center", va="top", weight=weight, linespacing=1.05,
        )  # fmt: skip
