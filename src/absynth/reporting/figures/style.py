"""One palette and one look for every figure, and how figures are written."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import seaborn as sns
from matplotlib.figure import Figure

from absynth.io.atomic import replacing

TEXT_WIDTH = 7.0  # inches, both columns of a two-column paper
_MARKERS = "osD^vPX*"
_DASHES = ["-", (0, (5, 1)), (0, (1, 1)), (0, (3, 1, 1, 1)), (0, (5, 1, 1, 1, 1, 1)), (0, (2, 2))]
Style = dict[str, Any]  # keyword arguments of matplotlib's lines


def set_style() -> None:
    """Set matplotlib's look, whatever it was: seaborn's ticks, fonts that stay readable in a paper's column."""
    matplotlib.rcdefaults()
    sns.set_theme(context="paper", style="ticks", font_scale=0.9, rc={"svg.hashsalt": "absynth"})


def as_written(labels: Mapping[str, str]) -> dict[str, str]:
    """A user's labels as matplotlib shows them as they are written: it would set formulas between two `$`."""
    return {name: label.replace("$", r"\$") for name, label in labels.items()}


def model_styles(models: Iterable[str]) -> dict[str, Style]:
    """Colour and line style of each model, distinct in greyscale too; the same for the same list of models."""
    return _styles(models, "colorblind")


def line_styles(names: Iterable[str]) -> dict[str, Style]:
    """Colour and line style of lines that do not stand for models but, say, for classes; from dark to light."""
    return _styles(names, "viridis")


def _styles(names: Iterable[str], palette: str) -> dict[str, Style]:
    names = list(names)
    colours = sns.color_palette(palette, max(len(names), 1))
    return {
        name: {"color": colours[i], "linestyle": _DASHES[i % len(_DASHES)]} for i, name in enumerate(names)
    }


def model_markers(models: Iterable[str]) -> dict[str, str]:
    """The marker of each model, where points stand for it; the same for the same list of models."""
    return {model: _MARKERS[i % len(_MARKERS)] for i, model in enumerate(models)}


def save_figure(figure: Figure, paths: Iterable[str | Path]) -> None:
    """Write the figure to each path, in the format of its suffix; the same data give the same bytes."""
    for path in map(Path, paths):
        metadata = {"Date": None} if path.suffix == ".svg" else {"Software": None}
        with replacing(path) as temporary:
            figure.savefig(temporary, dpi=200, bbox_inches="tight", metadata=metadata)
    plt.close(figure)
