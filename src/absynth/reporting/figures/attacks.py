"""Which attack found the best adversarials, and what each cost."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullFormatter

from absynth.norms import NORMS
from absynth.reporting.figures.style import (
    TEXT_WIDTH,
    as_written,
    hide_frame,
    model_markers,
    model_styles,
    set_style,
)

_COSTS = {"queries": "queries per image", "seconds": "seconds per image"}


def attacks_figure(
    statistics: pd.DataFrame,
    *,
    models: Mapping[str, str],
    norms: Sequence[str],
    titles: Mapping[str, Mapping[str, str]],
) -> Figure:
    """For each norm and attack: the share of images whose best adversarial it found, its queries, its time.

    statistics: tables/attacks.csv; titles: by norm, in order, the attacks' row titles
    models: labels; one column of the shares and one marker each
    """
    set_style()
    models = as_written(models)
    titles = {norm: as_written(of_norm) for norm, of_norm in titles.items()}
    rows = {
        norm: [attack for attack in titles[norm] if attack in set(of_norm["attack"])]
        for norm, of_norm in ((norm, statistics[statistics["norm"] == norm]) for norm in norms)
    }
    heights = [len(attacks) for attacks in rows.values()]
    figure, panels = plt.subplots(
        len(rows), 3, figsize=(TEXT_WIDTH, 1.2 + 0.24 * sum(heights) + 0.25 * len(rows)), squeeze=False,
        width_ratios=(0.42 * len(models) + 0.3, 1.6, 1.6), height_ratios=heights, layout="constrained",
        sharex="col", sharey="row",
    )  # fmt: skip
    for (norm, attacks), row in zip(rows.items(), panels, strict=True):
        of_norm = statistics[statistics["norm"] == norm]
        _draw_shares(row[0], of_norm, attacks, models)
        row[0].set_yticks(range(len(attacks)), [titles[norm][attack] for attack in attacks])
        row[0].set_ylabel(NORMS[norm].label, rotation=0, labelpad=14, va="center", fontsize=10)
        for panel, cost in zip(row[1:], _COSTS, strict=True):
            _draw_costs(panel, of_norm, attacks, models, cost)
    for panel in panels[-1][1:]:
        _widen(panel)
    for panel, label in zip(panels[0], ("best of all (%)", *_COSTS.values()), strict=True):
        panel.xaxis.set_label_position("top")
        panel.set_xlabel(label)
    panels[-1][0].set_xticks(range(len(models)), models.values(), rotation=40, ha="right")
    _draw_legend(figure, models)
    return figure


def _draw_shares(panel: Axes, shown: pd.DataFrame, attacks: Sequence[str], models: Mapping[str, str]) -> None:
    """A table of the shares, darker where larger; a dash where the attack does not apply."""
    share = np.full((len(attacks), len(models)), np.nan)
    for line in shown[shown["n"] > 0].to_dict("records"):
        place = attacks.index(line["attack"]), list(models).index(line["model"])
        share[place] = 100 * line["minima"] / line["n"]
    panel.imshow(share, cmap="Greys", vmin=0, vmax=130, aspect="auto")
    for (i, j), value in np.ndenumerate(share):
        text = "–" if np.isnan(value) else f"{value:.0f}"
        panel.text(j, i, text, ha="center", va="center", fontsize=6.5, color="w" if value > 70 else "0.1")
    panel.set_xticks([])
    panel.tick_params(length=0)
    hide_frame([panel], "left", "bottom")


def _draw_costs(
    panel: Axes, shown: pd.DataFrame, attacks: Sequence[str], models: Mapping[str, str], cost: str
) -> None:
    """One marker per model on a logarithmic axis; the table's `seconds` are those of all images together."""
    styles, markers = model_styles(models), model_markers(models)
    for line in shown[shown["n"] > 0].to_dict("records"):
        value = line["seconds"] / line["n"] if cost == "seconds" else line[cost]
        panel.plot(
            value, attacks.index(line["attack"]), linestyle="", marker=markers[line["model"]], markersize=4,
            alpha=0.85, color=styles[line["model"]]["color"], markeredgecolor="w", markeredgewidth=0.3,
        )  # fmt: skip
    panel.set_xscale("log")
    panel.xaxis.set_major_locator(LogLocator(numticks=5))
    panel.xaxis.set_minor_formatter(NullFormatter())
    panel.tick_params(axis="y", length=0)
    panel.grid(axis="y", color="0.92", linewidth=0.6)
    panel.set_axisbelow(True)
    hide_frame([panel], "left")


def _widen(panel: Axes) -> None:
    """Let a logarithmic axis start and end at a power of ten, so that it has at least two labels."""
    low, high = np.log10(panel.get_xlim())
    panel.set_xlim(10 ** np.floor(low), 10 ** np.ceil(high))


def _draw_legend(figure: Figure, models: Mapping[str, str]) -> None:
    styles, markers = model_styles(models), model_markers(models)
    handles = [
        Line2D(
            [], [], linestyle="", color=styles[model]["color"], marker=markers[model], markersize=4, label=label
        )
        for model, label in models.items()
    ]  # fmt: skip
    figure.legend(
        handles=handles, loc="outside lower center", ncols=len(models), frameon=False, handletextpad=0.1
    )
