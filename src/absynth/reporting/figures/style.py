"""One palette and one look for every figure, and how figures are written."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.rcsetup import cycler

from absynth.io.atomic import replacing

TEXT_WIDTH = 7.0  # inches, both columns of a two-column paper
_MARKERS = "osD^vPX*"
_DASHES = ["-", (0, (5, 1)), (0, (1, 1)), (0, (3, 1, 1, 1)), (0, (5, 1, 1, 1, 1, 1)), (0, (2, 2))]
Style = dict[str, Any]  # keyword arguments of matplotlib's lines

# Seaborn's style "ticks", context "paper" at font scale 0.9, palettes "deep" and "colorblind" (Waskom 2021), without
# its import, which takes as long as all else that most figures import.
_DEEP = "#4C72B0 #DD8452 #55A868 #C44E52 #8172B3 #937860 #DA8BC3 #8C8C8C #CCB974 #64B5CD"
_COLORBLIND = "#0173B2 #DE8F05 #029E73 #D55E00 #CC78BC #CA9161 #FBAFE4 #949494 #ECE133 #56B4E9"
_DARK, _SCALE, _FONTS = ".15", 0.8, 0.9
_LOOK: dict[Any, Any] = {
    "font.sans-serif": ["Arial", "DejaVu Sans", "Liberation Sans", "Bitstream Vera Sans", "sans-serif"],
    **dict.fromkeys(
        ("font.size", "axes.labelsize", "axes.titlesize", "legend.title_fontsize"), 12 * _SCALE * _FONTS
    ),
    **dict.fromkeys(("legend.fontsize", "xtick.labelsize", "ytick.labelsize"), 11 * _SCALE * _FONTS),
    **dict.fromkeys(("axes.edgecolor", "axes.labelcolor", "text.color", "xtick.color", "ytick.color"), _DARK),
    **dict.fromkeys(("axes.linewidth", "xtick.major.width", "ytick.major.width"), 1.25 * _SCALE),
    **dict.fromkeys(("patch.linewidth", "xtick.minor.width", "ytick.minor.width"), _SCALE),
    **dict.fromkeys(("lines.markersize", "xtick.major.size", "ytick.major.size"), 6 * _SCALE),
    **dict.fromkeys(("xtick.minor.size", "ytick.minor.size"), 4 * _SCALE),
    "axes.axisbelow": True,
    "axes.prop_cycle": cycler(color=_DEEP.split()),
    "grid.color": ".8",
    "lines.linewidth": 1.5 * _SCALE,
    "lines.solid_capstyle": "round",
    "patch.edgecolor": "w",
    "patch.force_edgecolor": True,
    "svg.hashsalt": "absynth",
}


def set_style() -> None:
    """Set matplotlib's look, whatever it was: plain axes with ticks, fonts that stay readable in a paper's column."""
    matplotlib.rcdefaults()
    matplotlib.rcParams.update(_LOOK)


def hide_frame(panels: Iterable[Axes], *sides: str) -> None:
    """Leave out the lines around panels at the top, on the right, and at the further `sides`."""
    for panel in panels:
        for side in ("top", "right", *sides):
            panel.spines[side].set_visible(False)


def as_written(labels: Mapping[str, str]) -> dict[str, str]:
    """A user's labels as matplotlib shows them as they are written: it would set formulas between two `$`."""
    return {name: label.replace("$", r"\$") for name, label in labels.items()}


def model_styles(models: Iterable[str]) -> dict[str, Style]:
    """Colour and line style of each model, distinct in greyscale too; the same for the same list of models."""
    models = list(models)
    colours = [matplotlib.colors.to_rgb(colour) for colour in _COLORBLIND.split()]
    return _styles(models, [colours[i % len(colours)] for i in range(len(models))])


def line_styles(names: Iterable[str]) -> dict[str, Style]:
    """Colour and line style of lines that do not stand for models but, say, for classes; from dark to light."""
    names = list(names)
    inner = np.linspace(0, 1, len(names) + 2)[1:-1]
    return _styles(names, [tuple(colour) for colour in plt.get_cmap("viridis")(inner)[:, :3].tolist()])


def _styles(names: Sequence[str], colours: Sequence[tuple[float, ...]]) -> dict[str, Style]:
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
