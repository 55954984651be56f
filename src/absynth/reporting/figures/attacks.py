"""Which attack found the nearest adversarials, and what each cost."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.ticker import LogLocator, NullFormatter

from absynth.reporting.figures.style import NORM_LABELS, TEXT_WIDTH, begin, model_markers, model_styles

_COSTS = {"queries": "queries an image", "seconds": "seconds an image"}


def attacks(
    statistics: pd.DataFrame,
    *,
    models: Mapping[str, str],
    norms: Sequence[str],
    titles: Mapping[str, Mapping[str, str]],
) -> plt.Figure:
    """For each norm: the share of images whose nearest adversarial each attack found, its queries, its time.

    statistics: tables/attacks.csv; titles: by norm, in order, the attacks' row titles
    models: labels; one column of the shares and one marker each
    """
    begin()
    blocks = {
        norm: [
            attack
            for attack in titles[norm]
            if attack in set(statistics[statistics["norm"] == norm]["attack"])
        ]
        for norm in norms
    }
    heights = [len(rows) for rows in blocks.values()]
    figure, panels = plt.subplots(
        len(blocks), 3, figsize=(TEXT_WIDTH, 1.2 + 0.24 * sum(heights) + 0.25 * len(blocks)), squeeze=False,
        width_ratios=(0.42 * len(models) + 0.3, 1.6, 1.6), height_ratios=heights, layout="constrained",
        sharex="col", sharey="row",
    )  # fmt: skip
    for (norm, rows), row in zip(blocks.items(), panels, strict=True):
        shown = statistics[statistics["norm"] == norm]
        _shares(row[0], shown, rows, models)
        row[0].set_yticks(range(len(rows)), [titles[norm][attack] for attack in rows])
        row[0].set_ylabel(NORM_LABELS[norm], rotation=0, labelpad=14, va="center", fontsize=10)
        for panel, cost in zip(row[1:], _COSTS, strict=True):
            _costs(panel, shown, rows, models, cost)
    for panel in panels[-1][1:]:
        _widen(panel)
    for panel in panels[0]:
        panel.xaxis.set_label_position("top")
    panels[0][0].set_xlabel("nearest of all (%)")
    for panel, label in zip(panels[0][1:], _COSTS.values(), strict=True):
        panel.set_xlabel(label)
    panels[-1][0].set_xticks(range(len(models)), models.values(), rotation=40, ha="right")
    handles = [
        plt.Line2D(
            [], [], linestyle="", color=style["color"], marker=marker, markersize=4, label=models[model]
        )
        for (model, style), marker in zip(
            model_styles(models).items(), model_markers(models).values(), strict=True
        )
    ]
    figure.legend(
        handles=handles, loc="outside lower center", ncols=len(models), frameon=False, handletextpad=0.1
    )
    return figure


def _shares(panel: plt.Axes, shown: pd.DataFrame, rows: Sequence[str], models: Mapping[str, str]) -> None:
    """A table of the shares, darker where larger; a dash where the attack does not apply."""
    share = np.full((len(rows), len(models)), np.nan)
    for line in shown.itertuples():
        if line.n:
            share[rows.index(line.attack), list(models).index(line.model)] = 100 * line.minima / line.n
    panel.imshow(share, cmap="Greys", vmin=0, vmax=130, aspect="auto")
    for (i, j), value in np.ndenumerate(share):
        text = "–" if np.isnan(value) else f"{value:.0f}"
        panel.text(j, i, text, ha="center", va="center", fontsize=6.5, color="w" if value > 70 else "0.1")
    panel.set_xticks([])
    panel.tick_params(length=0)
    sns.despine(ax=panel, left=True, bottom=True)


def _costs(
    panel: plt.Axes, shown: pd.DataFrame, rows: Sequence[str], models: Mapping[str, str], cost: str
) -> None:
    """One marker a model on a logarithmic axis; `seconds` of a table are of all images together."""
    styles, markers = model_styles(models), model_markers(models)
    for line in shown[shown["n"] > 0].itertuples():
        value = line.seconds / line.n if cost == "seconds" else getattr(line, cost)
        panel.plot(
            value, rows.index(line.attack), linestyle="", marker=markers[line.model], markersize=4, alpha=0.85,
            color=styles[line.model]["color"], markeredgecolor="w", markeredgewidth=0.3,
        )  # fmt: skip
    panel.set_xscale("log")
    panel.xaxis.set_major_locator(LogLocator(numticks=5))
    panel.xaxis.set_minor_formatter(NullFormatter())
    panel.tick_params(axis="y", length=0)
    panel.grid(axis="y", color="0.92", linewidth=0.6)
    panel.set_axisbelow(True)
    sns.despine(ax=panel, left=True)


def _widen(panel: plt.Axes) -> None:
    """Let a logarithmic axis begin and end at a power of ten, so that it has two labels at least."""
    low, high = np.log10(panel.get_xlim())
    panel.set_xlim(10 ** np.floor(low), 10 ** np.ceil(high))
