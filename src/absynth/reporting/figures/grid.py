"""Grids of images with text around them, laid out in inches."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle

from absynth.reporting.figures.style import NORMAL, TEXT_WIDTH, set_style
from absynth.reporting.figures.text import LINE, n_lines, text_width

LABEL = 18  # characters in a line of a row's label
_CAPTION = 0.11  # inches, a line of text at the size of captions
_TEXT = LINE * NORMAL / 72  # inches, a line of other text
_GAP = 0.04  # inches between images
_GROUP_GAP = 0.12  # inches of extra space between groups of columns
_SMALL = 6.0  # points
_CHANGES = "RdBu_r"  # blue where a pixel gets darker, red where it gets brighter


@dataclass(frozen=True)
class Cell:
    """One image of a grid.

    image (C, H, W) in [0, 1]: grey if C is 1, in colour if 3; of any other number of channels the mean is shown. None
        where there is nothing to show: an empty square if there is a caption, else nothing
    caption: text below it; bold: whether the caption is set in bold type
    change: the image is a change of pixels in [-change, change], shown from blue (darker) by white to red (brighter);
        of several channels the one that changes most
    """

    image: npt.NDArray[Any] | None
    caption: str = ""
    bold: bool = False
    change: float | None = None


@dataclass(frozen=True)
class Row:
    """Images beside each other, named on the left, in lines that the caller breaks (see `LABEL`).

    gap: inches of extra space above it
    header: bold text above it; titles: texts above its groups of columns; note: text in place of images
    """

    label: str
    cells: Sequence[Cell] = ()
    gap: float = 0.0
    header: str = ""
    titles: Sequence[str] = ()
    note: str = ""

    @property
    def head(self) -> float:
        """Inches above its images."""
        return self.gap + _TEXT * (self.header.count("\n") + bool(self.header)) + _TEXT * bool(self.titles)

    @property
    def caption_lines(self) -> int:
        """Lines of text below its images."""
        return max((cell.caption.count("\n") + bool(cell.caption) for cell in self.cells), default=0)

    def height(self, size: float) -> float:
        """Inches of it with images of `size` inches, which its label may exceed."""
        images = size + _GAP + _CAPTION * self.caption_lines if self.cells else 0.0
        return self.head + max(images, _TEXT * (n_lines([self.label]) if self.label else 0), _TEXT)


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


def image_grid(
    rows: Sequence[Row], *, columns: Sequence[str] = (), group: int = 0, title: str = "", largest: float = 0.8
) -> Figure:
    """Draw rows of equally many images, as wide as a page's text; intensity 0 is black.

    columns: titles above the columns
    group: how many columns form a group, set apart by a space from the next; 0 for none
    largest: the most that the side of an image may measure, inches
    """
    set_style()
    n_columns = max((len(row.cells) for row in rows), default=0)
    labels = [row.label for row in rows if row.label]
    left = (text_width(labels, NORMAL) + 0.12 if labels else 0.0) + 0.04
    spaces = (n_columns - 1) // group if group else 0
    size = min(largest, (TEXT_WIDTH - left - _GROUP_GAP * spaces) / max(n_columns, 1) - _GAP)
    layout = _Layout(left, size, 0.2 * bool(title) + 0.18 * bool(columns) + 0.03, group)
    height = max(layout.head + sum(row.height(size) for row in rows), 0.5)
    figure = plt.figure(figsize=(TEXT_WIDTH, height))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, TEXT_WIDTH), ylim=(height, 0))
    axes.set_axis_off()
    if title:
        axes.text(0.04, 0.1, title, fontsize=NORMAL + 0.5, va="center")
    for i, name in enumerate(columns):
        middle = layout.column_left(i) + size / 2
        axes.text(middle, layout.head - 0.09, name, fontsize=NORMAL, ha="center", va="center")
    top = layout.head
    for row in rows:
        _draw_row(axes, row, layout, top)
        top += row.height(size)
    return figure


def _draw_row(axes: Axes, row: Row, layout: _Layout, top: float) -> None:
    left, size, images = layout.left, layout.size, top + row.head
    if row.header:
        axes.text(
            0.04, top + row.gap, row.header, fontsize=NORMAL, weight="bold", va="top", linespacing=LINE - 0.1
        )
    for i, title in enumerate(row.titles):
        start = layout.column_left(i * layout.group)
        axes.text(start, images - _TEXT / 2, title, fontsize=_SMALL + 0.5, va="center")
    if row.label:
        middle = images + max(size if row.cells else 0.0, _TEXT * n_lines([row.label])) / 2
        axes.text(
            left - 0.1, middle, row.label, fontsize=NORMAL, ha="right", va="center", linespacing=LINE - 0.1
        )
    if row.note:
        axes.text(left, images + _TEXT / 2, row.note, fontsize=_SMALL + 0.5, va="center", color="0.35")
    for column, cell in enumerate(row.cells):
        _draw_cell(axes, cell, layout.column_left(column), images, size)


def shown(image: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """An image (C, H, W) as matplotlib draws it: (H, W), or (H, W, 3) in colour."""
    return image.transpose(1, 2, 0) if len(image) == 3 else image.mean(axis=0, dtype=image.dtype)


def largest_change(change: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Of each pixel's changes (C, H, W) the one of largest size, with its sign, (H, W)."""
    channel = np.abs(change).argmax(axis=0, keepdims=True)
    return np.take_along_axis(change, channel, axis=0)[0]


def _draw_cell(axes: Axes, cell: Cell, x: float, y: float, size: float) -> None:
    if cell.image is not None:
        _draw_image(axes, cell, x, y, size)
    elif cell.caption:
        axes.add_patch(Rectangle((x, y), size, size, facecolor="0.95", edgecolor="0.8", linewidth=0.5))
    if cell.caption:
        weight = "bold" if cell.bold else "normal"
        axes.text(
            x + size / 2, y + size + 0.02, cell.caption,
            fontsize=_SMALL, ha="center", va="top", weight=weight, linespacing=1.05,
        )  # fmt: skip


def _draw_image(axes: Axes, cell: Cell, x: float, y: float, size: float) -> None:
    """An image within its square; a frame around a change, whose edge is white."""
    assert cell.image is not None
    image = shown(cell.image) if cell.change is None else largest_change(cell.image)
    ends, cmap = (0.0, 1.0), "gray"
    if cell.change is not None:
        reach = cell.change or 1.0
        ends, cmap = (-reach, reach), _CHANGES
    width, height = (size * (side / max(image.shape[:2])) for side in (image.shape[1], image.shape[0]))
    left, top = x + (size - width) / 2, y + (size - height) / 2
    picture = AxesImage(
        axes, cmap=cmap, norm=Normalize(*ends), interpolation="none",
        extent=(left, left + width, top + height, top),
    )  # fmt: skip
    picture.set_data(image)
    axes.add_image(picture)
    if cell.change is not None:
        frame: dict[str, Any] = {"facecolor": "none", "edgecolor": "0.75", "linewidth": 0.4}
        axes.add_patch(Rectangle((left, top), width, height, **frame))
