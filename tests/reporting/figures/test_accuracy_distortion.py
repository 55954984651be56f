"""Figure 2 shows what the table of curves holds, whatever is missing from it."""

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from absynth.reporting.figures.accuracy_distortion import accuracy_distortion_figure
from absynth.reporting.figures.style import LOWER_BOUNDS, model_styles, save_figure

EPSILONS = {"l2": 1.5, "linf": 0.3, "l0": 12}
NORMS = ("l2", "linf", "l0")
ROWS = [
    *(("cnn", "l2", d, a) for d, a in [(0, 0.99), (1.0, 0.5), (3.0, 0.0)]),
    *(("abs", "l2", d, a) for d, a in [(0, 0.98), (2.0, 0.4)]),
    *(("cnn", "l0", d, a) for d, a in [(0, 0.99), (4.0, 0.1), (400.0, 0.01)]),
]


def draw(rows, models=("cnn", "abs"), norms=NORMS, lower_bounds=()) -> plt.Figure:
    columns = ["model", "norm", "distance", "accuracy"]
    curves = pd.DataFrame(rows, columns=columns)
    known = pd.DataFrame(lower_bounds, columns=[*columns, "side"])
    labels = {model: model.upper() for model in models}
    return accuracy_distortion_figure(
        curves, lower_bounds=known, models=labels, norms=norms, epsilons=EPSILONS
    )


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def curves(panel: plt.Axes, *, dashed: bool = False) -> list[plt.Line2D]:
    """The steps of a panel: those under attack, or those of lower bounds."""
    lines = [line for line in panel.lines if line.get_drawstyle() == "steps-post"]
    return [line for line in lines if line.is_dashed() is dashed]


def steps(panel: plt.Axes) -> list[list[tuple[float, float]]]:
    return [list(zip(*line.get_data(), strict=True)) for line in curves(panel)]


def markers(panel: plt.Axes) -> list[plt.Line2D]:
    return [line for line in panel.lines if line.get_linestyle() == "None"]


def test_curves_are_those_of_the_table_and_end_at_the_edge():
    panels = draw(ROWS).axes
    assert steps(panels[0]) == [
        [(0, 0.99), (1.0, 0.5), (3.0, 0.0), (2.1, 0.0)],  # the long tail to 3.0 is cut off
        [(0, 0.98), (2.0, 0.4), (2.1, 0.4)],
    ]
    assert panels[0].get_xlim() == pytest.approx((0, 2.1))


def test_epsilon_is_on_the_axis_unless_it_squeezes_the_data():
    l2, _, l0 = draw(ROWS).axes
    assert [text.get_text() for text in l2.texts] == ["ε = 1.5"]
    assert [line.get_xdata()[0] for line in l2.lines if list(line.get_ydata()) == [0, 1]] == [1.5]
    assert l0.get_xlim() == pytest.approx((0, 1.05 * 4))  # neither 12 nor the tail below 2 % stretches it
    assert [text.get_text() for text in l0.texts] == ["ε = 12 →"]
    assert not [line for line in l0.lines if list(line.get_ydata()) == [0, 1]]


@pytest.mark.parametrize("basis", ["proved", "searched"])
def test_curve_of_lower_bounds_is_thin_and_dashed_in_its_models_colour(basis):
    points = [("abs", "l2", 0.0, 0.98, basis), ("abs", "l2", 1.5, 0.3, basis)]
    panels = draw(ROWS, lower_bounds=points).axes
    (bounded,) = curves(panels[0], dashed=True)
    _, attacked = curves(panels[0])
    assert list(zip(*bounded.get_data(), strict=True)) == [(0, 0.98), (1.5, 0.3), (2.1, 0.3)]
    assert bounded.get_color() == attacked.get_color() == model_styles(["cnn", "abs"])["abs"].colour
    assert bounded.get_linewidth() < attacked.get_linewidth()
    legends = [[text.get_text() for text in legend.get_texts()] for legend in panels[0].figure.legends]
    said = {"proved": "certified (proved lower bound)", "searched": "searched lower bound"}
    assert legends == [["CNN", "ABS"], ["under attack", said[basis]]]
    assert not curves(panels[2], dashed=True)


def test_dashes_stand_for_what_bounds_rest_on_and_for_no_model():
    panels = draw(
        [(f"m{i}", "l2", 0.0, 0.9) for i in range(12)], tuple(f"m{i}" for i in range(12)), ("l2",)
    ).axes
    assert len(curves(panels[0])) == 12
    assert len({str(line["linestyle"]) for line in LOWER_BOUNDS.values()}) == 2


def test_markers_lie_on_the_curve_of_their_model():
    (panel, *_) = draw(ROWS).axes
    for marked, line in zip(markers(panel), curves(panel), strict=True):
        assert len(marked.get_xdata())
        assert marked.get_color() == line.get_color()
        xs, ys = line.get_data()
        for x, y in zip(*marked.get_data(), strict=True):
            assert y == [height for at, height in zip(xs, ys, strict=True) if at <= x][-1] > 0


def test_norm_without_attacks_says_so():
    panels = draw(ROWS).axes
    said = [[text.get_text() for text in panel.texts if "ε" not in text.get_text()] for panel in panels]
    assert said == [[], ["no attack was run"], []]


@pytest.mark.parametrize(
    ("rows", "models", "norms"),
    [
        (ROWS, ("cnn", "abs"), NORMS),
        (ROWS[:3], ("cnn",), ("l2",)),
        (
            [("cnn", norm, 0.0, 1.0) for norm in NORMS],
            ("cnn",),
            NORMS,
        ),  # never fooled: all distances infinite
        ([("cnn", "l2", 0.0, 0.0)], ("cnn",), ("l2",)),  # every clean image misclassified
        ([], ("cnn",), ("l2",)),
        ([(f"m{i}", "l2", 0.0, 0.9) for i in range(12)], tuple(f"m{i}" for i in range(12)), ("l2",)),
    ],
    ids=["all", "one model", "all infinite", "all misclassified", "empty", "many models"],
)
def test_figure_is_written_in_both_formats(tmp_path, rows, models, norms):
    paths = [tmp_path / "figure.png", tmp_path / "figure.svg"]
    save_figure(draw(rows, models, norms), paths)
    assert paths[0].read_bytes().startswith(b"\x89PNG")
    assert "</svg>" in paths[1].read_text(encoding="utf-8")
    assert not plt.get_fignums()


def test_curve_of_a_model_never_fooled_is_drawn_over_the_whole_panel():
    (panel,) = draw([("cnn", "l2", 0.0, 1.0)], ("cnn",), ("l2",)).axes
    assert steps(panel) == [[(0, 1), (1.3 * 1.5, 1)]]


def test_same_data_give_the_same_bytes(tmp_path):
    for name in ("one", "other"):
        save_figure(draw(ROWS), [tmp_path / f"{name}.png", tmp_path / f"{name}.svg"])
    for suffix in ("png", "svg"):
        assert (tmp_path / f"one.{suffix}").read_bytes() == (tmp_path / f"other.{suffix}").read_bytes()
