"""Grids of images with text around them, laid out in inches."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib.pyplot as plt
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from absynth.reporting.figures.style import TEXT_WIDTH, set_style

_LINE = 0.11  # inches, a line of text at the size of captions
_CHARACTER = 0.062  # inches, the width of one in a row's label
_GAP = 0.04  # inches between images
_GROUP_GAP = 0.12  # inches of extra space between groups of columns
_SMALL, _NORMAL = 6.0, 7.5  # points


@dataclass(frozen=True)
class Cell:
    """One image of a grid.

    image (C, H, W) in [0, 1], or None where there is nothing to show: grey if C is 1, in colour if 3; of any other
        number of channels the mean is shown
    caption: text below it; bold: whether the caption is set in bold type
    """

    image: npt.NDArray[Any] | None
    caption: str = ""
    bold: bool = False


@dataclass(frozen=True)
class Row:
    """Images beside each other, named on the left.

    gap: inches of extra space above it
    """

    label: str
    cells: Sequence[Cell]
    gap: float = 0.0

    @property
    def caption_lines(self) -> int:
        """Lines of text below its images."""
        return max((cell.caption.count("\n") + bool(cell.caption) for cell in self.cells), default=0)


@dataclass(frozen=True)
class _Layout:
    """Places in inches, from the upper left corner.

    left: where the first column starts; size: side of an image; head: height above the first row
    group: columns that belong together, 0 for none
    """

    left: float
    size: float
    head: float
    group: int

    def column_left(self, column: int) -> float:
        space = _GROUP_GAP * (column // self.group) if self.group else 0
        return self.left + column * (self.size + _GAP) + space

    def row_height(self, row: Row) -> float:
        return row.gap + self.size + _GAP + _LINE * row.caption_lines


def image_grid(
    rows: Sequence[Row], *, columns: Sequence[str] = (), group: int = 0, title: str = "", largest: float = 0.8
) -> Figure:
    """Draw rows of equally many images, as wide as a page's text; intensity 0 is black.

    columns: titles above the columns, or above groups of columns
    group: how many columns form a group, set apart by a space from the next; 0 for none
    largest: the most that the side of an image may measure, inches
    """
    set_style()
    n_columns = max((len(row.cells) for row in rows), default=0)
    left = 0.16 + _CHARACTER * max((len(line) for row in rows for line in row.label.split("\n")), default=0)
    spaces = (n_columns - 1) // group if group else 0
    size = min(largest, (TEXT_WIDTH - left - _GROUP_GAP * spaces) / max(n_columns, 1) - _GAP)
    layout = _Layout(left, size, 0.2 * bool(title) + 0.18 * bool(columns) + 0.03, group)
    height = max(layout.head + sum(map(layout.row_height, rows)), 0.5)
    figure = plt.figure(figsize=(TEXT_WIDTH, height))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, TEXT_WIDTH), ylim=(height, 0))
    axes.set_axis_off()
    if title:
        axes.text(left, 0.1, title, fontsize=_NORMAL + 0.5, va="center")
    span = group if group and len(columns) < n_columns else 1  # columns under one title
    for i, name in enumerate(columns):
        middle = (layout.column_left(i * span) + layout.column_left((i + 1) * span - 1) + size) / 2
        axes.text(middle, layout.head - 0.09, name, fontsize=_NORMAL, ha="center", va="center")
    top = layout.head
    for row in rows:
        image_top = top + row.gap
        axes.text(left - 0.08, image_top + size / 2, row.label, fontsize=_NORMAL, ha="right", va="center")
        for column, cell in enumerate(row.cells):
            _draw_cell(axes, cell, layout.column_left(column), image_top, size)
        top += layout.row_height(row)
    return figure


def shown(image: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """An image (C, H, W) as matplotlib draws it: (H, W), or (H, W, 3) in colour."""
    return image.transpose(1, 2, 0) if len(image) == 3 else image.mean(axis=0, dtype=image.dtype)


def _draw_cell(axes: Axes, cell: Cell, x: float, y: float, size: float) -> None:
    if cell.image is None:
        axes.add_patch(Rectangle((x, y), size, size, facecolor="0.95", edgecolor="0.8", linewidth=0.5))
    else:
        image = shown(cell.image)
        width, height = (size * (side / max(image.shape[:2])) for side in (image.shape[1], image.shape[0]))
        left, top = x + (size - width) / 2, y + (size - height) / 2
        extent = (left, left + width, top + height, top)
        axes.imshow(image, cmap="gray", vmin=0, vmax=1, extent=extent, aspect="auto", interpolation="none")
    if cell.caption:
        weight = "bold" if cell.bold else "normal"
        axes.text(
            x + size / 2, y + size + 0.02, cell.caption,
            fontsize=_SMALL, ha="center", va="top", weight=weight, linespacing=1.05,
        )  # fmt: skip
