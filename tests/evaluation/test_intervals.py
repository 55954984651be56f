"""Confidence intervals that hold what they promise."""

import math

import numpy as np
import pytest
from scipy.stats import binom, binomtest

from absynth.evaluation.intervals import median_interval, share_interval


@pytest.mark.parametrize(("hits", "n"), [(0, 1), (0, 10), (3, 10), (10, 10), (83, 100), (999, 1000)])
def test_shares_have_the_interval_of_clopper_and_pearson(hits, n):
    exact = binomtest(hits, n).proportion_ci(0.95, method="exact")
    assert share_interval(hits, n) == pytest.approx((exact.low, exact.high), abs=1e-9)


@pytest.mark.parametrize(("hits", "n"), [(0, 0), (-1, 3), (4, 3)])
def test_what_is_no_share_is_refused(hits, n):
    with pytest.raises(ValueError, match="is no share"):
        share_interval(hits, n)


def test_the_interval_of_a_median_is_the_shortest_of_its_kind_that_covers():
    for n in range(6, 200):
        low, high = median_interval(np.arange(n)[::-1])
        assert low + high == n - 1
        covered = binom.cdf(high, n, 0.5) - binom.cdf(low, n, 0.5)  # the median lies between the two
        shorter = binom.cdf(high - 1, n, 0.5) - binom.cdf(low + 1, n, 0.5)
        assert shorter < 0.95 <= covered


def test_few_values_tell_nothing_of_a_median_and_infinite_ones_are_values():
    assert median_interval([]) == median_interval([1.0] * 5) == (-math.inf, math.inf)
    assert median_interval([1, 2, 3, 4, math.inf, math.inf]) == (1, math.inf)


def test_a_median_of_a_known_distribution_is_covered_as_often_as_promised():
    random = np.random.default_rng(0)
    covered = 0
    for _ in range(2000):
        low, high = median_interval(random.normal(size=25))
        covered += low <= 0 <= high
    assert 0.945 <= covered / 2000 <= 0.985  # exact: 0.957
