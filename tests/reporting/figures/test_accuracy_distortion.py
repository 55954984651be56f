"""Figure 2 shows what the table of curves holds, whatever is missing from it."""

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from absynth.reporting.figures.accuracy_distortion import accuracy_distortion_figure
from absynth.reporting.figures.style import model_styles, save_figure

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


def steps(panel: plt.Axes) -> list[list[tuple[float, float]]]:
    """The curves of a panel, without the line that marks epsilon."""
    return [list(zip(*line.get_data(), strict=True)) for line in panel.lines[:-1]]


def test_curves_are_those_of_the_table_and_end_at_the_edge():
    panels = draw(ROWS).axes
    limit = 1.3 * 1.5  # of epsilon; the last point above 2 % lies at 2.0, so 1.05 × that
    assert steps(panels[0]) == [
        [(0, 0.99), (1.0, 0.5), (3.0, 0.0), (max(limit, 2.1), 0.0)],
        [(0, 0.98), (2.0, 0.4), (max(limit, 2.1), 0.4)],
    ]
    assert {line.get_drawstyle() for line in panels[0].lines[:-1]} == {"steps-post"}
    assert panels[0].get_xlim() == pytest.approx((0, 2.1))
    assert panels[2].get_xlim() == pytest.approx((0, 1.3 * 12))  # the tail below 2 % does not stretch it
    assert [panel.lines[-1].get_xdata()[0] for panel in panels] == [1.5, 0.3, 12]


@pytest.mark.parametrize("basis", ["proved", "searched"])
def test_curve_of_lower_bounds_is_thin_and_dashed_in_its_models_colour(basis):
    points = [("abs", "l2", 0.0, 0.98, basis), ("abs", "l2", 1.5, 0.3, basis)]
    panels = draw(ROWS, lower_bounds=points).axes
    *_, attacked, guaranteed, _ = panels[0].lines
    assert list(zip(*guaranteed.get_data(), strict=True)) == [(0, 0.98), (1.5, 0.3), (2.1, 0.3)]
    assert guaranteed.get_color() == attacked.get_color()
    assert guaranteed.get_linewidth() < attacked.get_linewidth()
    assert guaranteed.is_dashed()
    legend = [text.get_text() for text in panels[0].figure.legends[0].get_texts()]
    assert legend == ["CNN", "ABS", f"lower bound ({basis})"]
    assert len(panels[2].lines) == 2  # one curve and epsilon


def test_norm_without_attacks_says_so():
    panels = draw(ROWS).axes
    assert [[text.get_text() for text in panel.texts] for panel in panels] == [[], ["no attack was run"], []]


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


def test_models_differ_in_colour_and_line():
    styles = model_styles([f"m{i}" for i in range(6)])
    assert len({tuple(style["color"]) for style in styles.values()}) == 6
    assert len({str(style["linestyle"]) for style in styles.values()}) == 6
