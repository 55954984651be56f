"""The program that times the figures: it can draw all of them."""

import figures


def test_every_figure_can_be_drawn():
    for draw in figures.drawings(5).values():
        assert draw().axes
