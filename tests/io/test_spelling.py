"""What a misspelt name was meant to be."""

import pytest

from absynth.io.spelling import nearest


@pytest.mark.parametrize(
    ("name", "known", "meant"),
    [
        ("fmm", ["mim", "fmn", "fgm", "ddn"], "fmn"),
        ("net", ["Other", "Net"], "Net"),
        ("fgmm", ["fmn", "fgm"], "fgm"),
        ("mnits", ["kmnist", "mnist"], "mnist"),
        ("autoattack", ["quick"], None),
        ("x", [], None),
    ],
)
def test_the_likest_name_is_meant(name, known, meant):
    assert nearest(name, known) == meant
