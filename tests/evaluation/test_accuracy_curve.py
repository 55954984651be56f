"""Accuracy-distortion curves against answers known on paper, and against the statistics of tables."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from absynth.evaluation.accuracy_curve import accuracy_curve
from absynth.evaluation.minima import summarise

INF = np.inf


def test_curve_on_paper():
    curve = accuracy_curve(np.array([2.0, 0, 1.0, INF, 2.0]), model="abs")
    assert curve.columns.tolist() == ["model", "distance", "accuracy"]
    assert curve["model"].tolist() == ["abs"] * 3
    assert curve["distance"].tolist() == [0, 1, 2]
    np.testing.assert_allclose(curve["accuracy"], [0.8, 0.6, 0.2])


def test_curve_of_a_model_that_no_attack_fools_is_flat():
    curve = accuracy_curve(np.array([INF, INF]))
    assert (curve["distance"].tolist(), curve["accuracy"].tolist()) == ([0], [1])


@given(st.lists(st.one_of(st.sampled_from([0.0, INF, 1.5]), st.floats(0, 5)), min_size=1, max_size=30))
def test_curve_agrees_with_the_table_at_every_size(distance):
    distance = np.array(distance)
    curve = accuracy_curve(distance)
    assert curve["distance"][0] == 0
    assert (np.diff(curve["distance"]) > 0).all()
    assert (np.diff(curve["accuracy"]) <= 0).all()
    for size, share in zip(curve["distance"], curve["accuracy"], strict=True):
        assert summarise(distance, size)["accuracy"] == pytest.approx(share)
