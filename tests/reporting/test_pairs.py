"""Which differences between models the report calls more than chance."""

import pandas as pd
import pytest
from pictures import EPSILONS, LABELS, distances, minimal, statistics

from absynth.evaluation.paired import COLUMNS, compare_pair, holm, pair_rows
from absynth.reporting.pairs import pairs_table, pairs_text, unequal_norms

INF = float("inf")
FIRST, SECOND = [1.0] * 12, [2.0] * 10 + [0.5, INF]
FOUND = distances(
    {
        ("cnn", "l2"): minimal(distance=FIRST),
        ("abs", "l2"): minimal(distance=SECOND),
        ("mine", "l2"): minimal(distance=[1.0] * 4),
        ("cnn", "linf"): minimal(distance=FIRST),
    }
)


def test_models_are_compared_on_the_images_that_both_were_attacked_on():
    rows = pair_rows(FOUND, EPSILONS)
    assert [(row["model"], row["other_model"], row["n"]) for row in rows] == [
        ("cnn", "abs", 12),
        ("cnn", "mine", 4),
        ("abs", "mine", 4),
    ]  # none in L∞, in which one model alone was attacked
    assert set(rows[0]) == set(COLUMNS)
    first = compare_pair(FOUND["distance"].to_numpy()[:12], FOUND["distance"].to_numpy()[12:24], 1.5)
    assert (rows[0]["only_first"], rows[0]["only_second"]) == (first.only_first, first.only_second) == (0, 11)
    plain = [row[test] for row in rows for test in ("p_accuracy", "p_distance")]
    assert [row["p_accuracy_adjusted"] for row in rows] == holm(plain)[::2]
    assert rows[0]["p_accuracy"] == pytest.approx(2 / 2**11)


def test_the_table_and_the_sentence_mark_what_is_beyond_chance():
    frame = pd.DataFrame(pair_rows(FOUND, EPSILONS))
    ((title, rows),) = pairs_table(frame, LABELS).groups
    assert title == "L2, ε = 1.5"
    assert [cell.text for cell in rows[0]] == ["CNN – ABS", "12", "0 – 11", "0.006 *", "11, 1, 0", "0.006 *"]
    assert [cell.text for cell in rows[1]][-3:] == ["1.000", "0, 0, 4", "1.000"]
    assert pairs_text(frame, 3) == [
        "L2: of 3 pairs of models, differences beyond chance: 1 in accuracy at ε and 1 in distance."
    ]
    assert pairs_text(frame.iloc[:0], 2) == [
        "No two models were attacked on the same images, so none are compared."
    ]
    assert pairs_text(frame.iloc[:0], 1) == []  # a lone model has none to be compared with


def test_other_attacks_or_options_of_a_model_are_noticed_norm_by_norm():
    frame, entries = statistics(), {"fgm": {}, "ddn": {"steps": 5}, "fgsm": {}, "pointwise": {"label": "P"}}
    assert unequal_norms(frame, entries) == []
    assert unequal_norms(frame, {**entries, "ddn": {"steps": 5, "per_model": {"abs": {"steps": 9}}}}) == [
        "L2"
    ]
    alone = frame[(frame["attack"] != "fgsm") | (frame["model"] == "cnn")]
    assert unequal_norms(alone, entries) == []  # one model met it, and no other met any
    assert unequal_norms(frame[(frame["attack"] != "fgm") | (frame["model"] == "cnn")], entries) == ["L2"]
