"""The figure of differences between models, image by image."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from absynth.reporting.figures.differences import differences_figure
from absynth.reporting.figures.style import model_styles

INF = np.inf


def drawn(**models):
    rows = [
        {"model": name, "norm": norm, "distance": value}
        for name, by_norm in models.items()
        for norm, values in by_norm.items()
        for value in values
    ]
    frame = pd.DataFrame(rows, columns=["model", "norm", "distance"])
    return differences_figure(frame, models={name: name for name in models}, norms=["l2"])


def panels(figure):
    return [axes for axes in figure.axes if axes.get_xlabel() or axes.get_ylabel()]


def ends(axes):
    """Where the lines of images end; the line at zero is upright."""
    segments = [segment for collection in axes.collections for segment in collection.get_segments()]
    return sorted(segment[-1][0] for segment in segments if segment[0][1] == segment[-1][1])


def marks(axes):
    return [(line.get_marker(), x) for line in axes.lines for x in line.get_xdata()]


def test_differences_are_those_of_the_same_images():
    figure = drawn(a={"l2": [1.0, 2.0, 3.0, INF]}, b={"l2": [1.5, 1.0, 3.0, INF]})
    (panel,) = panels(figure)
    assert ends(panel) == [-1.0, 0.5]  # equal and two infinite ones are left out
    said = {text.get_text() for text in panel.texts}
    assert said == {"larger: 1", "smaller: 1", "equal: 1, both ∞: 1"}


def test_a_line_has_the_colour_of_the_model_with_the_larger_distance():
    figure = drawn(a={"l2": [1.0, 2.0]}, b={"l2": [1.5, 1.0]})
    (panel,) = panels(figure)
    styles = model_styles(["a", "b"])
    by_end = {
        lines.get_segments()[0][-1][0]: to_hex(lines.get_color()[0])
        for lines in panel.collections
        if lines.get_segments()
    }
    assert (by_end[-1.0], by_end[0.5]) == (styles["a"].colour, styles["b"].colour)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a", "b"]


def test_one_infinite_distance_is_marked_at_the_end_of_the_axis_which_all_rows_share():
    figure = drawn(a={"l2": [1.0, 1.0]}, b={"l2": [INF, 2.0]}, c={"l2": [6.0, 1.0]})
    first, second = panels(figure)
    assert first.get_xlim() == second.get_xlim() == pytest.approx((-5.4, 5.4))
    assert marks(first) == [(">", pytest.approx(5.4))]
    assert ends(second) == [5.0]
    assert not marks(second)


def test_a_model_that_was_not_attacked_says_so():
    figure = drawn(a={"l2": [1.0]}, b={"l0": [2.0]})
    assert [text.get_text() for text in panels(figure)[0].texts] == ["not attacked"]


def test_models_that_no_attack_broke_are_not_said_to_be_spared():
    figure = drawn(a={"l2": [INF] * 3}, b={"l2": [INF] * 3})
    assert [text.get_text() for text in panels(figure)[0].texts] == ["both ∞ on all 3 images"]
    figure = drawn(a={"l2": [INF]}, b={"l2": [INF]})
    assert [text.get_text() for text in panels(figure)[0].texts] == ["both ∞ on 1 image"]
