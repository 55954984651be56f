"""Paired tests against answers known on paper, every choice of signs, and SciPy."""

from itertools import product

import numpy as np
import pytest
from scipy.stats import rankdata, wilcoxon

from absynth.evaluation.paired import compare_pair, holm, mcnemar, signed_rank


@pytest.mark.parametrize(
    ("first", "second", "p"),
    [(0, 0, 1.0), (1, 1, 1.0), (5, 0, 2 / 32), (0, 5, 2 / 32), (8, 2, 2 * 56 / 1024)],
)
def test_mcnemar_is_the_sign_test_of_the_discordant_pairs(first, second, p):
    assert mcnemar(first, second) == pytest.approx(p, abs=1e-15)


def by_every_choice(first, second):
    """The p-value by trying every choice of signs."""
    pairs = [(a, b) for a, b in zip(first, second, strict=True) if a != b]
    sizes = [abs(a - b) for a, b in pairs]
    ranks = rankdata(sizes)
    seen = sum(rank for rank, (a, b) in zip(ranks, pairs, strict=True) if a > b)
    middle = sum(ranks) / 2
    sums = [
        sum(r for r, s in zip(ranks, signs, strict=True) if s) for signs in product((0, 1), repeat=len(ranks))
    ]
    return np.mean([abs(total - middle) >= abs(seen - middle) - 1e-9 for total in sums])


@pytest.mark.parametrize("seed", range(5))
def test_signed_rank_with_ties_and_infinities_is_exact(seed):
    rng = np.random.default_rng(seed)
    first, second = rng.integers(0, 6, (2, 11)).astype(float)
    first[0], second[1], first[2], second[2] = np.inf, np.inf, np.inf, np.inf
    assert signed_rank(first, second) == pytest.approx(by_every_choice(first, second), abs=1e-12)


@pytest.mark.parametrize(("n", "method"), [(30, "exact"), (300, "approx")])
def test_signed_rank_agrees_with_scipy_where_nothing_is_tied(n, method):
    rng = np.random.default_rng(n)
    first, second = rng.uniform(size=(2, n)) + np.array([[0.1], [0]])
    expected = wilcoxon(first, second, method=method, correction=False).pvalue
    assert signed_rank(first, second) == pytest.approx(expected, rel=1e-9)


def test_a_failed_attack_counts_as_the_largest_distance():
    first = np.array([np.inf, 1.0, 1.0, 1.0])
    second = np.array([9.0, 1.5, 1.25, 1.125])
    assert signed_rank(first, second) == pytest.approx(
        2 * 7 / 16
    )  # all sums but 5 are as far from 5 as rank 4 is
    assert signed_rank(np.full(3, np.inf), np.full(3, np.inf)) == 1.0


def test_a_pair_is_counted_on_both_sides():
    found = compare_pair(np.array([0.0, 1.0, 3.0, np.inf]), np.array([0.0, 2.5, 1.0, np.inf]), epsilon=2.0)
    assert (found.n, found.only_first, found.only_second, found.p_accuracy) == (4, 1, 1, 1.0)
    assert (found.shorter, found.longer, found.equal) == (1, 1, 2)


def test_holm_on_paper():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []
