"""Colours and markers tell models apart, for colour-blind readers and without colour, too; labels fit."""

from itertools import combinations

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from absynth.models.registry import KINDS
from absynth.reporting.figures.panels import Legend, axis_end, model_handles
from absynth.reporting.figures.style import COLOURS, model_styles
from absynth.reporting.figures.text import escaped, text_width, wrapped

# What dichromats see of linear RGB: Machado, Oliveira and Fernandes (2009), IEEE TVCG 15, 1291-1298, severity 1.
SIGHT = {
    "normal": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.01182, 0.04294, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.3039],
    ],
}
_XYZ = [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.072175], [0.0193339, 0.119192, 0.9503041]]
LONG = "A network of sixty letters, trained against attacks, seed 012"


def lab(colour: str, sight: str) -> np.ndarray:
    """CIELAB of a colour as it is seen."""
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(np.array(SIGHT[sight]) @ linear, 0, 1)
    xyz = np.array(_XYZ) @ seen / [0.95047, 1, 1.08883]
    root = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * root[1] - 16, 500 * (root[0] - root[1]), 200 * (root[1] - root[2])])


@pytest.mark.parametrize("sight", SIGHT)
def test_colours_differ_whatever_colours_one_sees(sight):
    least = 25 if sight == "normal" else 15  # ΔE; two colours side by side are told apart from 2 on
    for one, other in combinations([*COLOURS, "#ffffff"], 2):
        assert np.linalg.norm(lab(one, sight) - lab(other, sight)) > least, (one, other)


def test_each_model_has_a_colour_and_marker_of_its_own():
    styles = model_styles([f"m{i}" for i in range(20)]).values()
    assert len({(style.colour, style.marker) for style in styles}) == 20
    assert len({(style.marker, style.filled) for style in list(styles)[:14]}) >= 13  # told apart in greyscale
    assert len({style.colour for style in list(styles)[:8]}) == 8


def test_a_model_of_the_registry_looks_the_same_in_every_run():
    names = [name for name in KINDS if name not in ("substitute", "custom")]
    whole = model_styles(names)
    some = model_styles(["mine", "abs", "cnn", "other"])
    assert some["abs"] == whole["abs"]
    assert some["cnn"] == whole["cnn"]
    assert len({style.colour for style in some.values()}) == 4
    compared = model_styles(["one/abs", "two/abs", "two/cnn"])
    assert (compared["one/abs"], compared["two/cnn"]) == (whole["abs"], whole["cnn"])
    assert len({style.colour for style in compared.values()}) == 3


@pytest.mark.parametrize(
    ("label", "width", "lines"),
    [
        ("CNN", 18, ["CNN"]),
        ("Nearest Neighbor", 10, ["Nearest", "Neighbor"]),
        ("one_long_name_of_a_net", 10, ["one_long_", "name_of_a_", "net"]),
        ("x" * 25, 10, ["x" * 10, "x" * 10, "x" * 5]),
        ("a\nb", 10, ["a", "b"]),
        ("", 10, [""]),
        ("two  spaces", 20, ["two  spaces"]),
    ],
)
def test_labels_are_broken_where_they_may_be(label, width, lines):
    assert wrapped(label, width).split("\n") == lines


def test_no_letter_of_a_label_is_lost():
    for width in range(1, 70):
        assert wrapped(LONG, width).replace("\n", "").replace(" ", "") == LONG.replace(" ", "")
        assert max(map(len, wrapped(LONG, width).split("\n"))) <= width
    assert escaped("a $b$") == r"a \$b\$"


def test_text_is_measured():
    assert text_width(["MMMM"], 10) == pytest.approx(4 * text_width(["M"], 10), rel=0.01)
    assert text_width(["a\nMMMM", "b"], 10) == text_width(["MMMM"], 10)
    assert text_width([], 10) == 0


def test_legends_have_as_many_columns_as_fit():
    short = Legend(model_handles({f"m{i}": f"M{i}" for i in range(4)}))
    many = Legend(model_handles({f"m{i}": LONG for i in range(20)}))
    assert (short.columns, many.columns) == (4, 2)
    assert many.height > 5 * short.height
    assert Legend([]).height == 0


@pytest.mark.parametrize(
    ("last", "epsilon", "end"), [(1, 1.2, 1.26), (1, 2, 1.05), (2, 1, 2.1), (0, 0.3, 0.39), (0, 0, 1)]
)
def test_an_axis_holds_epsilon_if_that_does_not_squeeze_the_data(last, epsilon, end):
    assert axis_end(last, epsilon) == pytest.approx(end)
