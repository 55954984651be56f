"""One palette, one label and one look for every figure."""

from collections.abc import Iterable
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import seaborn as sns

from absynth.io.atomic import replacing
from absynth.norms import NORMS

TEXT_WIDTH = 7.0  # inches, both columns of a two-column paper
NORM_LABELS = {"l2": "$L_2$", "linf": r"$L_\infty$", "l0": "$L_0$"}
UNITS = {"l2": "Euclidean distance", "linf": "largest change of a pixel", "l0": "changed pixels"}
_MARKERS = "osD^vPX*"
_MARKS = ["-", (0, (5, 1)), (0, (1, 1)), (0, (3, 1, 1, 1)), (0, (5, 1, 1, 1, 1, 1)), (0, (2, 2))]


def begin() -> None:
    """Set the look: seaborn's ticks, small fonts that survive a paper's column."""
    sns.set_theme(context="paper", style="ticks", font_scale=0.9, rc={"svg.hashsalt": "absynth"})


def model_styles(models: Iterable[str]) -> dict[str, dict]:
    """Colour and line style of each model, told apart in grey too; the same for the same list of models."""
    models = list(models)
    colours = sns.color_palette("colorblind", max(len(models), 1))
    return {m: {"color": colours[i], "linestyle": _MARKS[i % len(_MARKS)]} for i, m in enumerate(models)}


def line_styles(names: Iterable[str]) -> dict[str, dict]:
    """Colour and line style of lines that stand for no model, say for classes; from dark to light."""
    names = list(names)
    colours = sns.color_palette("viridis", max(len(names), 1))
    return {name: {"color": colours[i], "linestyle": _MARKS[i % len(_MARKS)]} for i, name in enumerate(names)}


def model_markers(models: Iterable[str]) -> dict[str, str]:
    """The marker of each model, where points stand for it; the same for the same list of models."""
    return {model: _MARKERS[i % len(_MARKERS)] for i, model in enumerate(models)}


def format_distance(distance: float, norm: str) -> str:
    """A distance with the decimals that are worth showing."""
    return NORMS[norm].format(distance)


def save(figure: plt.Figure, paths: Iterable[str | Path]) -> None:
    """Write the figure to each path, in the format of its suffix; the same data give the same bytes."""
    for path in map(Path, paths):
        metadata = {"Date": None} if path.suffix == ".svg" else {"Software": None}
        with replacing(path) as temporary:
            figure.savefig(temporary, dpi=200, bbox_inches="tight", metadata=metadata)
    plt.close(figure)
