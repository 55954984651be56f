"""Which attack found the best adversarials, and what each cost."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from absynth.norms import NORMS
from absynth.reporting.figures.attacks_layout import ROW_LABEL, Layout
from absynth.reporting.figures.panels import Legend, model_handles, range_handles
from absynth.reporting.figures.style import SMALL, model_styles, set_style
from absynth.reporting.figures.text import as_written

_COSTS = {"queries": "queries per image", "seconds": "seconds per image"}
_SHARES = "best adversarial (% of images)"


def attacks_figure(
    statistics: pd.DataFrame,
    *,
    models: Mapping[str, str],
    norms: Sequence[str],
    titles: Mapping[str, Mapping[str, str]],
) -> Figure:
    """For each norm and attack: the share of images whose best adversarial it found, its queries, its time.

    statistics: tables/attacks.csv; titles: by norm, in order, the attacks' row titles
    models: labels; one column of the shares, named above and below, and one marker each, which has a place of its own
        in every row; of more than eight models the range of the costs is drawn, with its median
    """
    set_style()
    titles = {norm: as_written(of_norm, ROW_LABEL) for norm, of_norm in titles.items()}
    by_norm = {norm: statistics[statistics["norm"] == norm] for norm in norms}
    rows = {norm: [a for a in titles[norm] if a in set(by_norm[norm]["attack"])] for norm in norms}
    named = {norm: [titles[norm][attack] for attack in attacks] for norm, attacks in rows.items()}
    layout = Layout.of(models, named)
    legend = Legend(model_handles(models, lines=False) if layout.lanes else range_handles())
    figure = plt.figure(figsize=layout.size(legend.height))
    columns = layout.add_panels(figure)
    for place, (norm, attacks) in enumerate(rows.items()):
        attacked = by_norm[norm][by_norm[norm]["n"] > 0]
        table, *costs = (column[place] for column in columns)
        _draw_shares(table, attacked, attacks, models, layout.number_size)
        table.set_yticks(range(len(attacks)), named[norm])
        for panel, cost in zip(costs, _COSTS, strict=True):
            _draw_costs(panel, _costs(attacked, cost), attacks, layout.offsets(models))
    layout.name_columns(columns[0])
    layout.name_norms(figure, [NORMS[norm].label for norm in rows])
    for column, title in zip(columns, (_SHARES, *_COSTS.values()), strict=True):
        layout.name(figure, column[0], title)
    for column, cost in zip(columns[1:], _COSTS, strict=True):
        _scale(column, _costs(statistics[statistics["n"] > 0], cost)["cost"])
    legend.place_at_foot(figure)
    return figure


def _costs(attacked: pd.DataFrame, cost: str) -> pd.DataFrame:
    """model, attack and cost per image; the table's `seconds` are those of all images together."""
    values = attacked["seconds"] / attacked["n"] if cost == "seconds" else attacked[cost]
    return attacked[["model", "attack"]].assign(cost=values.astype(float))


def _draw_shares(
    panel: Axes, shown: pd.DataFrame, attacks: Sequence[str], models: Mapping[str, str], size: float
) -> None:
    """A table of the shares, darker where larger; a dash where the attack does not apply."""
    share = np.full((len(attacks), len(models)), np.nan)
    for line in shown.to_dict("records"):
        place = attacks.index(line["attack"]), list(models).index(line["model"])
        share[place] = 100 * line["minima"] / line["n"]
    panel.imshow(share, cmap="Greys", vmin=0, vmax=130, aspect="auto")
    for (i, j), value in np.ndenumerate(share):
        text = "–" if np.isnan(value) else f"{value:.0f}"
        panel.text(j, i, text, ha="center", va="center", fontsize=size, color="w" if value > 70 else "0.1")


def _draw_costs(
    panel: Axes, costs: pd.DataFrame, attacks: Sequence[str], offsets: Mapping[str, float]
) -> None:
    """A marker per model, each in its lane; without lanes the range over models and its median."""
    styles = model_styles(offsets)
    for row in range(0, len(attacks), 2):
        panel.axhspan(row - 0.5, row + 0.5, color="0.95", linewidth=0)
    if offsets:
        for model, style in styles.items():
            of_model = costs[costs["model"] == model]
            places = [attacks.index(attack) + offsets[model] for attack in of_model["attack"]]
            panel.plot(of_model["cost"], places, **style.points(Layout.marker))
        return
    for attack, values in costs.groupby("attack")["cost"]:
        place = attacks.index(str(attack))
        panel.hlines(place, values.min(), values.max(), color="0.5", linewidth=1.5)
        panel.plot([values.median()], [place], linestyle="", marker="|", markersize=7, color="0.1")


def _scale(column: Sequence[Axes], costs: pd.Series) -> None:
    """One logarithmic axis for all norms, from a power of ten to another, with numbers above and below."""
    usable = costs[np.isfinite(costs) & (costs > 0)]
    low, high = (np.log10(end(usable)) for end in (np.min, np.max)) if len(usable) else (0.0, 1.0)
    start = np.floor(low - 0.05)
    for panel in column:
        panel.set_xscale("log")
        panel.set_xlim(10**start, 10 ** max(np.ceil(high + 0.05), start + 1))
        panel.xaxis.set_major_locator(LogLocator(numticks=4))
        panel.xaxis.set_minor_formatter(NullFormatter())
        panel.tick_params(which="minor", length=1.5)
        panel.tick_params(labelbottom=panel is column[-1], labelsize=SMALL, length=2.5)
    column[0].tick_params(labeltop=True, top=True, which="major", labelsize=SMALL)
