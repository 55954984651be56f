"""How near each attack comes to the best of all."""

import numpy as np
import pytest

from absynth.evaluation.audit import Limits, Outcome, Role, audit
from absynth.evaluation.optimality import local_optimality, optimality_rows, smallest_selection

LIMITS = Limits(tolerance=0.01, share=0.1, failures=0.5)


def outcomes(**distances):
    return {
        name: Outcome(np.array(values, dtype=float), np.zeros(len(values), dtype=int))
        for name, values in distances.items()
    }


def by_attack(rows):
    return {row["attack"]: row for row in rows}


def test_the_best_attack_has_optimality_one_and_others_the_share_of_its_area():
    rows = by_attack(optimality_rows(outcomes(best=[0, 1, 2, 3], worse=[0, 2, 2.5, 9]), 0.01))
    assert rows["best"]["optimality"] == 1
    assert rows["worse"]["optimality"] == pytest.approx((1 + 0.5 + 0) / (2 + 1 + 0))
    assert (rows["best"]["excess"], rows["worse"]["excess"]) == (0, 1)


def test_the_area_is_that_between_curves_of_accuracy():
    """By definition: the integral, over sizes up to the largest best distance, of the share of images fooled."""
    rng = np.random.default_rng(0)
    best = rng.uniform(1, 3, 200)
    worse = best * rng.uniform(1, 2, 200)
    sizes = np.linspace(0, best.max(), 20001)
    areas = [np.mean([(values <= size).mean() for size in sizes]) for values in (worse, best)]
    assert local_optimality(worse, best) == pytest.approx(areas[0] / areas[1], rel=1e-3)


def test_failures_count_as_infinitely_far_and_images_nobody_fools_are_left_out():
    rows = by_attack(optimality_rows(outcomes(a=[1, np.inf, np.inf], b=[np.inf, 2, np.inf]), 0.01))
    assert rows["a"]["optimality"] == 1  # all of the area up to 2 is image 0's
    assert rows["b"]["optimality"] == 0
    assert rows["a"]["excess"] == np.inf


def test_equal_distances_leave_no_area_but_shares():
    assert local_optimality(np.array([1.0, 2.0]), np.array([1.0, 1.0])) == 0.5


def test_what_is_needed_and_what_may_be_left_out():
    found = outcomes(a=[1, 5, 1], b=[5, 1, 1.005], c=[1, 5, 1.2], d=[7, 7, 7])
    rows = by_attack(optimality_rows(found, 0.01))
    assert [rows[name]["needed"] for name in "abcd"] == [1, 1, 0, 0]
    assert [rows[name]["alone"] for name in "abcd"] == [0, 1, 0, 0]


def test_a_selection_reaches_whatever_any_attack_reaches():
    rng = np.random.default_rng(1)
    close = {str(i): rng.uniform(size=60) < 0.3 for i in range(8)}
    chosen = smallest_selection(close)
    reached = np.any([close[name] for name in chosen], axis=0)
    assert np.array_equal(reached, np.any(list(close.values()), axis=0))


@pytest.mark.parametrize("values", [[0, 0], [np.inf, np.inf]])
def test_nothing_to_compare_gives_no_rows(values):
    assert optimality_rows(outcomes(a=values), 0.01) == []


def test_a_relay_that_still_gains_is_named():
    roles = {"a": Role(False), "relay1_b": Role(False, round=1), "relay2_b": Role(False, round=2)}
    gaining = outcomes(a=[4.0, 4, 0], relay1_b=[3.0, 3, 0], relay2_b=[2.0, 3, 0])
    (finding,) = [found for found in audit(gaining, roles, LIMITS) if found.check == "relay"]
    assert "round 2 of the relay still improved 1 of 2 images" in finding.message
    assert (finding.value, finding.other_value, finding.share) == (2, 3, 0.5)
    done = outcomes(a=[4.0, 4, 0], relay1_b=[2.0, 3, 0], relay2_b=[1.995, 3, 0])
    assert not [found for found in audit(done, roles, LIMITS) if found.check == "relay"]
    assert not [found for found in audit(outcomes(a=[1.0, 2]), roles, LIMITS) if found.check == "relay"]


def test_the_spread_of_restarts_is_that_of_their_medians():
    found = outcomes(a=[2, 4, 6, 0], b=[2, 5, 6, 0], other=[1, 1, 1, 0], single=[9, 9, 9, 0])
    roles = {"a": Role(False, repeats="a"), "b": Role(False, repeats="a"),
             "other": Role(False, repeats="other"), "single": Role(False)}  # fmt: skip
    rows = by_attack(optimality_rows(found, 0.01, roles))
    assert [rows[name]["spread"] for name in found] == [0.25, 0.25, "", ""]
    failing = outcomes(a=[np.inf, np.inf, 1], b=[np.inf, np.inf, 1], other=[1, 1, 1])
    assert np.isnan(by_attack(optimality_rows(failing, 0.01, roles))["a"]["spread"])


def test_an_attack_has_no_part_in_what_it_was_not_run_on():
    """Of b's first image the start, a, was near a proved bound; c was not run at all, and is a repeat of b."""
    found = outcomes(a=[1.0, 4, 4], b=[1.0, 2, 3], c=[1.0, 2, 3])
    found["b"] = Outcome(found["b"].distance, found["b"].gradients, np.array([3, 0, 0]))
    found["c"] = Outcome(found["c"].distance, found["c"].gradients, np.array([3, 3, 3]))
    roles = {"a": Role(False), "b": Role(False, repeats="b"), "c": Role(False, repeats="b")}
    rows = by_attack(optimality_rows(found, 0.01, roles))
    assert [rows[name]["alone"] for name in "abc"] == [1, 2, 0]
    assert [rows[name]["needed"] for name in "abc"] == [1, 1, 0]
    assert (rows["b"]["optimality"], rows["b"]["excess"]) == (1, 0)
    assert (rows["c"]["optimality"], rows["c"]["excess"]) == ("", "")
    assert rows["b"]["spread"] == rows["c"]["spread"] == ""
    ended = {**found, "c": Outcome(found["c"].distance, found["c"].gradients, np.array([4, 4, 4]))}
    rows = by_attack(optimality_rows(ended, 0.01, roles))
    assert [rows[name]["alone"] for name in "abc"] == [0, 0, 0]
    assert rows["c"]["optimality"] == 1
    assert rows["c"]["spread"] == 0
