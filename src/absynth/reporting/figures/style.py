"""One look for every figure: colours and markers of models, lines of what is drawn, and how figures are written."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from absynth.io.atomic import replacing
from absynth.models.registry import KINDS

TEXT_WIDTH = 7.0  # inches, both columns of a two-column paper
SMALL, NORMAL = 6.5, 7.5  # points

# Each differs from all others for colour-blind readers, too. One marker more than colours: no pair of both repeats
# before 72 models.
COLOURS = ("#0072b2", "#6a0036", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#332288", "#cfae00")
MARKERS = "os^DvPX<>"
_INK = "0.15"
_LOOK: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "axes.labelsize": NORMAL,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": NORMAL + 0.5,
    "font.size": NORMAL,
    "legend.fontsize": NORMAL,
    "legend.frameon": False,
    "lines.solid_capstyle": "butt",
    "svg.hashsalt": "absynth",
    "text.color": _INK,
    "xtick.color": _INK,
    "xtick.labelsize": NORMAL - 0.5,
    "ytick.color": _INK,
    "ytick.labelsize": NORMAL - 0.5,
}
ATTACKED: dict[str, Any] = {"linewidth": 1.5}
LOWER_BOUNDS: dict[str, dict[str, Any]] = {  # by what they rest on
    "proved": {"linewidth": 0.9, "linestyle": (0, (4, 1.5))},
    "searched": {"linewidth": 0.9, "linestyle": (0, (1, 1.2))},
}
BOUND_TITLES = {"proved": "certified (proved lower bound)", "searched": "searched lower bound"}


@dataclass(frozen=True)
class ModelStyle:
    """How a model is drawn in every figure: its colour, and its marker, which tells it apart without colour."""

    colour: str
    marker: str
    filled: bool

    def points(self, size: float) -> dict[str, Any]:
        """Keyword arguments of matplotlib's lines for its markers alone, `size` points wide."""
        face = self.colour if self.filled else "w"
        return {
            "linestyle": "", "marker": self.marker, "markersize": size, "color": self.colour,
            "markerfacecolor": face, "markeredgewidth": 0.7,
        }  # fmt: skip


def set_style() -> None:
    """Set matplotlib's look, whatever it was: thin axes, fonts that stay readable in a paper's column."""
    matplotlib.rcdefaults()
    matplotlib.rcParams.update(_LOOK)


def model_styles(models: Iterable[str]) -> dict[str, ModelStyle]:
    """The style of each model, all of them distinct up to 72 models.

    A model of the registry has that of its place there, in every run; others have those left free, in their order. So
    has the first model of its name among those of several runs, which are named run/model.
    """
    names, known = list(models), {name: i for i, name in enumerate(KINDS)}
    own: dict[str, int] = {}
    for name in names:
        place = known.get(name.rpartition("/")[2])
        if place is not None and place not in own.values():
            own[name] = place
    free = (i for i in range(len(names) + len(KINDS)) if i not in own.values())
    return {name: _style(own[name] if name in own else next(free)) for name in names}


def _style(place: int) -> ModelStyle:
    cycle, colour = divmod(place, len(COLOURS))
    return ModelStyle(COLOURS[colour], MARKERS[place % len(MARKERS)], filled=cycle % 2 == 0)


def save_figure(figure: Figure, paths: Iterable[str | Path]) -> None:
    """Write the figure to each path, in the format of its suffix; the same data give the same bytes."""
    for path in map(Path, paths):
        metadata = {"Date": None} if path.suffix == ".svg" else {"Software": None}
        with replacing(path) as temporary:
            figure.savefig(temporary, dpi=200, bbox_inches="tight", metadata=metadata)
    plt.close(figure)
