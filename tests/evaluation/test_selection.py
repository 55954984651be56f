"""Samples for figures: random, but the same for every model, and one of every class and quartile that occurs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from absynth.evaluation.selection import by_quantile, one_per_class

DISTANCES = st.lists(st.sampled_from([0.0, 0.5, 1.0, 2.5, 7.0, np.inf]), max_size=40)


@given(DISTANCES, st.integers(1, 5), st.integers(0, 3))
def test_quartiles_hold_different_samples_in_order(distance, n, seed):
    distance = np.array(distance)
    parts = by_quantile(distance, n, seed)
    assert len(parts) == 4
    chosen = [i for part in parts for i in part]
    assert len(set(chosen)) == len(chosen)
    assert (np.diff(distance[chosen]) >= 0).all()
    usable = ((distance > 0) & np.isfinite(distance)).sum()
    assert np.isfinite(distance[chosen]).all()
    assert (distance[chosen] > 0).all()
    assert all(min(n, usable // 4) <= len(part) <= n for part in parts)


def test_a_quartile_shows_its_own_distances():
    distance = np.arange(1.0, 101.0)
    for i, part in enumerate(by_quantile(distance, 4, seed=0)):
        assert len(part) == 4
        assert (distance[part] > 25 * i).all()
        assert (distance[part] <= 25 * (i + 1)).all()


def test_the_seed_determines_the_samples():
    distance = np.arange(1.0, 101.0)
    assert by_quantile(distance, 4, seed=0) == by_quantile(distance, 4, seed=0)
    assert by_quantile(distance, 4, seed=0) != by_quantile(distance, 4, seed=1)


def test_one_sample_of_each_class_that_occurs():
    label = np.array([3, 1, 1, 3, 1, 8])
    chosen = one_per_class(np.arange(6), label, {"cnn": np.ones(6)}, seed=0)
    assert label[chosen].tolist() == [1, 3, 8]


@pytest.mark.parametrize("seed", range(5))
def test_samples_on_which_attacks_on_most_models_succeeded_are_preferred(seed):
    label = np.zeros(4, int)
    distances = {"cnn": np.array([1.0, 0, np.inf, 1]), "abs": np.array([0, np.inf, 1.0, 1])}
    assert one_per_class(np.arange(4), label, distances, seed) == [3]


def test_without_samples_none_is_selected():
    assert one_per_class(np.zeros(0, int), np.zeros(0, int), {}, seed=0) == []
