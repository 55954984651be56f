"""The curves of the models' trainings."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from absynth.reporting.figures.panels import Legend, model_handles
from absynth.reporting.figures.style import SMALL, TEXT_WIDTH, model_styles, set_style

_CLASSIFIERS = {"loss": "loss", "accuracy": "accuracy on training images"}
_COLUMNS = 5  # panels of classes side by side
_LINE: dict[str, Any] = {"linewidth": 1.3, "markersize": 4.0}
_OTHERS: dict[str, Any] = {"color": "0.85", "linewidth": 0.6, "zorder": 1}
_QUANTITIES: dict[str, dict[str, Any]] = {
    "loss": {"color": "0.1", "linestyle": "-"},
    "kl": {"color": "0.5", "linestyle": (0, (4, 1.2))},
}
_VAES = {"loss": "loss", "kl": "KL divergence (nats)"}


def training_figure(
    classifiers: Mapping[str, pd.DataFrame], vaes: Mapping[int, pd.DataFrame], *, models: Mapping[str, str]
) -> Figure:
    """Loss and accuracy of each classifier against the epoch; a panel for each class's VAE, of its loss and its KL
    divergence, with those of the other classes in grey.

    classifiers: by model, epoch, loss and accuracy; vaes: by class, epoch, loss and kl; either may be empty
    models: labels and, by their order, colours
    """
    set_style()
    legend = Legend(model_handles(models, only=classifiers))
    heights = []
    if classifiers:
        heights.append(2.3 + legend.height)
    if vaes:
        heights.append(0.75 + 1.15 * -(-len(vaes) // _COLUMNS))
    figure = plt.figure(figsize=(TEXT_WIDTH, sum(heights) or 1.0), layout="constrained")
    blocks = list(
        figure.subfigures(max(len(heights), 1), 1, height_ratios=heights or [1], squeeze=False)[:, 0]
    )
    if classifiers:
        _draw_classifiers(blocks[0], classifiers, models)
        legend.draw(blocks[0])
    if vaes:
        _draw_vaes(blocks[-1], vaes)
    return figure


def _draw_classifiers(
    block: SubFigure, curves: Mapping[str, pd.DataFrame], models: Mapping[str, str]
) -> None:
    """Two panels, with one line per classifier."""
    styles = model_styles(models)
    panels = block.subplots(1, 2)
    for panel, (quantity, title) in zip(panels, _CLASSIFIERS.items(), strict=True):
        for model, curve in curves.items():
            style = {**styles[model].points(4.0), "linestyle": "-", "linewidth": 1.3}
            every = max(1, len(curve) // 5)
            panel.plot(curve["epoch"], curve[quantity], markevery=every, **style)
        panel.set(xlabel="epoch", ylabel=title)
        _whole_epochs(panel, curves.values(), 8)
    _logarithmic(panels[0])


def _draw_vaes(block: SubFigure, curves: Mapping[int, pd.DataFrame]) -> None:
    """A panel per class, all with the same axes."""
    rows = -(-len(curves) // _COLUMNS)
    columns = min(_COLUMNS, len(curves))
    panels = block.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for place, (panel, (label, curve)) in enumerate(zip(panels.flat, curves.items(), strict=False)):
        for quantity, style in _QUANTITIES.items():
            for other in curves.values():
                if other is not curve:
                    panel.plot(other["epoch"], other[quantity], **_OTHERS)
            mark = "." if len(curve) == 1 else None  # a line of one point shows nothing
            panel.plot(curve["epoch"], curve[quantity], marker=mark, **_LINE, **style)
        panel.set_title(f"class {label}", fontsize=SMALL, pad=2)
        panel.tick_params(labelbottom=place + columns >= len(curves))
    for panel in list(panels.flat)[len(curves) :]:
        panel.set_axis_off()
    _logarithmic(panels[0][0])
    _whole_epochs(panels[0][0], curves.values(), 4)
    block.supxlabel("epoch of the class's VAE", fontsize=SMALL + 1)
    handles = [Line2D([], [], label=_VAES[name], **_LINE, **style) for name, style in _QUANTITIES.items()]
    if len(curves) > 1:
        handles.append(Line2D([], [], label="the other classes", **_OTHERS))
    Legend(handles, "upper").draw(block)


def _whole_epochs(panel: Axes, curves: Sequence[pd.DataFrame] | Any, most: int) -> None:
    """Ticks at whole epochs, from the first to the last."""
    last = max(curve["epoch"].max() for curve in curves)
    panel.xaxis.set_major_locator(MaxNLocator(most, integer=True))
    first = min(curve["epoch"].min() for curve in curves)
    room = 0.03 * (last - first) or 0.5
    panel.set_xlim(first - room, last + room)


def _logarithmic(panel: Axes) -> None:
    """A logarithmic axis with plain numbers."""
    panel.set_yscale("log")
    panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=8))
    panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    panel.yaxis.set_minor_formatter(NullFormatter())
