"""Nothing in a figure covers a text or leaves the page, with one model or twenty, with short names or long ones."""

from itertools import combinations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from pictures import EPSILONS, LABELS, TITLES, curve, distances, images, minimal, statistics

from absynth.evaluation.accuracy_curve import accuracy_curve
from absynth.evaluation.bracket import bracket_curves, intervals
from absynth.evaluation.selection import by_quantile
from absynth.reporting.figures.accuracy_distortion import accuracy_distortion_figure
from absynth.reporting.figures.adversarials import quantiles_grid
from absynth.reporting.figures.attacks import attacks_figure
from absynth.reporting.figures.bracket import bracket_figure
from absynth.reporting.figures.differences import differences_figure
from absynth.reporting.figures.distribution import distribution_figure
from absynth.reporting.figures.training import training_figure

INF = np.inf
NORMS = ("l2", "linf")
ONE = {"mine": "A"}
LONG = {
    f"m{i}": f"Network {i:02d} of sixty letters, trained against attacks, seed {i:02d}" for i in range(20)
}
SIZES = {"one": ONE, "three": LABELS, "twenty": LONG}
MOST_COSTS = 8  # models whose costs have markers


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def columns_of(models: dict, n: int = 12) -> dict:
    """Adversarials by model and norm; of the first model no attack succeeded on the first two images."""
    found = {(m, norm): minimal(n, norm, seed=i) for i, m in enumerate(models) for norm in NORMS}
    for norm in NORMS:
        found[next(iter(models)), norm]["distance"][:2] = INF
    return found


def bounds_of(found: dict) -> tuple[pd.DataFrame, pd.DataFrame]:
    rows = []
    for (model, norm), columns in found.items():
        lower = pd.DataFrame({"index": columns["index"], "label": columns["label"], "correct": 1})
        lower["joint"] = np.where(np.isinf(columns["distance"]), 1.0, 0.8 * columns["distance"])
        lower["basis"] = "proved"
        rows.append(intervals(lower, columns, "bounds").assign(model=model, norm=norm))
    table = pd.concat(rows)
    curves = [
        bracket_curves(part).assign(model=m, norm=norm)
        for (m, norm), part in table.groupby(["model", "norm"])
    ]
    return table, pd.concat(curves)


def draw(name: str, models: dict) -> plt.Figure:
    found, shared = columns_of(models), {"models": models, "norms": NORMS}
    if name == "accuracy_distortion":
        curves = pd.concat(accuracy_curve(c["distance"], model=m, norm=n) for (m, n), c in found.items())
        _, sides = bounds_of(found)
        lower = sides[sides["side"] == "proved"]
        return accuracy_distortion_figure(curves, lower_bounds=lower, epsilons=EPSILONS, **shared)
    if name == "bracket":
        return bracket_figure(*bounds_of(found), **shared)
    if name == "distribution":
        return distribution_figure(distances(found), epsilons=EPSILONS, **shared)
    if name == "differences":
        return differences_figure(distances(found), **shared)
    if name == "attacks":
        return attacks_figure(statistics(models, TITLES), titles=TITLES, **shared)
    if name == "training":
        classifiers = {model: curve(loss=0.1, accuracy=0.9) for model in models}
        return training_figure(classifiers, {c: curve(loss=40, kl=10) for c in range(10)}, models=models)
    of_norm = {model: found[model, "l2"] for model in models}
    chosen = {model: by_quantile(columns["distance"], 4, seed=0) for model, columns in of_norm.items()}
    return quantiles_grid(of_norm, images(12), chosen, models=models, norm="l2", n=4)


def boxes(figure: plt.Figure) -> list[tuple[str, object]]:
    """Every visible text of a figure with its bounding box, in pixels."""
    figure.draw_without_rendering()
    hidden = {id(text) for panel in figure.axes for text in hidden_ticks(panel)}
    texts = [text for text in figure.findobj(plt.Text) if text.get_visible() and text.get_text().strip()]
    return [(text.get_text(), text.get_window_extent()) for text in texts if id(text) not in hidden]


def hidden_ticks(panel: plt.Axes) -> list[plt.Text]:
    """Labels of ticks that are not drawn, since they are beyond their axis."""
    left = []
    for axis in (panel.xaxis, panel.yaxis):
        drawn = axis._update_ticks() if panel.axison else []
        ticks = [*axis.majorTicks, *axis.minorTicks]
        left += [label for tick in ticks if tick not in drawn for label in (tick.label1, tick.label2)]
    return left


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    "name",
    ["accuracy_distortion", "bracket", "distribution", "differences", "attacks", "training", "quantiles"],
)
def test_no_text_covers_another_or_leaves_the_page(name, size):
    figure = draw(name, SIZES[size])
    found = [(text, box.padded(-0.5)) for text, box in boxes(figure)]
    assert len(found) > len(SIZES[size])
    for (one, box), (other, its) in combinations(found, 2):
        assert not box.overlaps(its), (one, other)
    for one, box in found:
        assert box.x0 >= -1, one
        assert box.x1 <= figure.bbox.x1 + 1, one


@pytest.mark.parametrize("models", [ONE, LABELS, {f"m{i}": f"M{i}" for i in range(MOST_COSTS)}])
def test_no_marker_covers_another(models):
    figure = attacks_figure(statistics(models), models=models, norms=list(TITLES), titles=TITLES)
    figure.draw_without_rendering()
    for panel in figure.axes:
        lines = [line for line in panel.lines if line.get_linestyle() == "None"]
        points = [panel.transData.transform(point) for line in lines for point in line.get_xydata()]
        size = max((line.get_markersize() for line in lines), default=0) * figure.dpi / 72
        assert all(np.abs(a - b).max() >= size for a, b in combinations(points, 2))


def test_models_are_named_above_and_below_the_shares():
    figure = attacks_figure(statistics(), models=LABELS, norms=list(TITLES), titles=TITLES)
    first, last = figure.axes[0], figure.axes[3 * (len(TITLES) - 1)]
    assert [tick.label2.get_text() for tick in first.xaxis.get_major_ticks()] == ["CNN", "ABS", "My model"]
    assert first.xaxis.get_tick_params()["labeltop"]
    assert last.xaxis.get_tick_params()["labelbottom"]
    assert not first.xaxis.get_tick_params()["labelbottom"]


def test_costs_of_many_models_are_ranges():
    models = {f"m{i}": f"M{i}" for i in range(MOST_COSTS + 1)}
    figure = attacks_figure(statistics(models), models=models, norms=["l2"], titles=TITLES)
    _, queries, _ = figure.axes
    assert [line.get_xdata().tolist() for line in queries.lines] == [[200.0], [100.0]]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "range over the models",
        "their median",
    ]


def test_intervals_that_leave_the_axis_are_marked_and_counted():
    found = {("mine", "l2"): minimal(distance=[*np.linspace(1, 2, 97), 50, INF, INF])}
    table, curves = bounds_of(found)
    table.loc[table["upper"] == 50, "lower"] = 1.5
    figure = bracket_figure(table, curves, models=ONE, norms=("l2",))
    panel, _ = figure.axes
    end = panel.get_xlim()[1]
    assert 2 < end < 3
    beyond, infinite = (line for line in panel.lines)
    assert [line.get_xdata().tolist() for line in (beyond, infinite)] == [[end], [end, end]]
    assert beyond.get_ydata().tolist() == [97]
    assert beyond.get_marker() != infinite.get_marker()
    assert [text.get_text() for text in panel.texts] == ["1 beyond the axis, 2 ∞"]
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend[0] == "A"
    assert legend[-2:] == ["best adversarial beyond the axis", "no attack succeeded"]


def test_an_interval_is_beyond_the_axis_of_all_models():
    found = {
        ("mine", "l2"): minimal(distance=[*np.linspace(1, 2, 59), 4]),
        ("other", "l2"): minimal(distance=np.linspace(5, 9, 60)),
    }
    figure = bracket_figure(*bounds_of(found), models={"mine": "A", "other": "B"}, norms=("l2",))
    assert not [text for panel in figure.axes for text in panel.texts]
