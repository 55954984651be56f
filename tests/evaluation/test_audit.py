"""Each check of the audit on made-up results for which it must fire, and on others for which it must not."""

import csv
import logging
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripts.tables import audit_attacks as script

from absynth.attacks.registry import ATTACKS
from absynth.errors import InputError
from absynth.evaluation.audit import COLUMNS, WITH, WITHOUT, Limits, Outcome, Role, audit, read_outcomes
from absynth.io.records import SHARD, write_record

INF = np.inf
LIMITS = Limits(tolerance=0.05, share=0.25, failures=0.5)
ROLES = {
    "step": Role(gradients=True),
    "iterated": Role(gradients=True, refines=("step", "other step")),
    "step_ge": Role(gradients=False, estimates="step"),
    "noise": Role(gradients=False),
    "latents": Role(gradients=False, internals=True),
}


def outcome(*distance, gradients=1):
    return Outcome(np.array(distance, float), np.full(len(distance), gradients))


def findings(**distances):
    """Names (check, attack, other) of what the audit finds in distances by attack."""
    outcomes = {
        name: outcome(*values, gradients=int(ROLES[name].gradients)) for name, values in distances.items()
    }
    return [(found.check, found.attack, found.other) for found in audit(outcomes, ROLES, LIMITS)]


FIRES = [
    ("iteration", "iterated", "step", {"step": [1, 2, 3], "iterated": [1.2, 2.2, 3.2]}),
    ("masking", "step", "step_ge", {"step": [1, 2, 3], "iterated": [0.5, 1, 2], "step_ge": [0.7, 1.4, 2.1]}),
    ("gradients", WITH, WITHOUT, {"step": [2, 2, 2], "iterated": [2, 2, 2], "noise": [1, 1.5, 1.5]}),
    ("success", "noise", "", {"step": [1, 1, 1], "noise": [INF, INF, INF]}),
    ("vanishing", "step", "", {"step": [1, INF, INF], "noise": [2, INF, INF]}),
]


@pytest.mark.parametrize(("check", "attack", "other", "distances"), FIRES, ids=[row[0] for row in FIRES])
def test_each_check_fires_alone(check, attack, other, distances):
    assert findings(**distances) == [(check, attack, other)]


CLEAN = {
    "iteration": {"step": [1, 2, 3], "iterated": [1.04, 2.04, 3.04]},
    "masking": {"step": [1, 2, 3], "step_ge": [1, 1.95, 3.5]},
    "gradients": {"step": [9, 9, 9, 9, 1], "iterated": [1, 1, 1, 1, 2], "noise": [1, 1, 1, 1, 1]},
    "gradients, none of one kind": {"noise": [1, 2, 3], "step_ge": [1, 2, 3]},
    "success": {"step": [1, 1, 1], "noise": [INF, INF, 9]},
    "vanishing": {"step": [1, INF, 1], "noise": [2, INF, 2]},
    "all fail alike": {"noise": [0, 1, INF], "step_ge": [0, 1, INF], "step": [0, 1, INF]},
    "all misclassified": {"step": [0, 0], "iterated": [0, 0], "noise": [0, 0], "step_ge": [0, 0]},
}  # fmt: skip


@pytest.mark.parametrize("distances", CLEAN.values(), ids=CLEAN)
def test_nothing_is_found_where_nothing_is_wrong(distances):
    assert findings(**distances) == []


def test_medians_count_though_few_samples_differ():
    step, iterated = [1, 1, 1, 1, 3, 3, 3], [1, 1, 1, 3, 3, 3, 3]
    assert findings(step=step, iterated=iterated) == [("iteration", "iterated", "step")]


def test_samples_count_though_medians_agree():
    step = [1, 1, 2, 2, 2, 2, 2]
    assert findings(step=step, iterated=[2, 2, *step[2:]]) == [("iteration", "iterated", "step")]
    assert findings(step=step, iterated=[2, *step[1:]]) == []


def test_misclassified_samples_are_no_part_of_the_share():
    step, iterated = [0] * 6 + [1, 1, 2, 2, 2], [0] * 6 + [2, 2, 2, 2, 2]
    assert findings(step=step, iterated=iterated) == [("iteration", "iterated", "step")]


def test_all_attacks_of_a_kind_are_taken_together():
    found = findings(step=[1, 9, 9], iterated=[9, 9, 9], noise=[9, 1, 9], step_ge=[9, 9, 1])
    assert ("gradients", WITH, WITHOUT) in found


def test_finding_says_what_was_compared():
    outcomes = {"step": outcome(0, 1, 2, 3), "iterated": outcome(0, 1, 3, INF)}
    (found,) = audit(outcomes, ROLES, LIMITS)
    assert (found.value, found.other_value, found.share) == (2.0, 1.5, pytest.approx(2 / 3))
    assert found.message == (
        "iterated is weaker than step: its median is 2, larger than 1.5, on 2 of 3 images by more than 5%; "
        "too few steps, or steps of the wrong size"
    )


def test_finding_by_samples_alone_says_that_its_median_is_the_smaller_one():
    outcomes = {"step": outcome(1, 1, 3, 3, 3), "iterated": outcome(2, 2, 2, 2, 2)}
    (found,) = audit(outcomes, ROLES, LIMITS)
    assert found.message.startswith(
        "iterated is weaker than step on 2 of 5 images by more than 5%, though its median is 2, smaller than 3; "
    )


DISTANCE = st.sampled_from([0, 1, 1.00001, 1.04, 1.06, 2, 2.5, INF]) | st.floats(0, 9)
PAIRS = st.lists(st.tuples(DISTANCE, DISTANCE), min_size=1, max_size=9)
RELATIONS = {"larger than": float.__gt__, "smaller than": float.__lt__, "equal to": float.__eq__}
STATEMENT = re.compile(
    r"is weaker than .+?(?P<medians>:| on .* (?:though|while)) its median is (?P<value>[\w.+∞-]+), "
    r"(?P<relation>larger than|smaller than|equal to) (?P<other>[\w.+∞-]+?)[,;] "
)
COUNT = re.compile(r"on (\d+) of (\d+) images by more than ([\d.e+-]+)%")


@given(PAIRS, st.sampled_from([0, 0.05, 0.5]), st.sampled_from([0, 0.25, 1]))
def test_what_a_finding_says_follows_from_the_numbers_that_it_shows(pairs, tolerance, share):
    step, iterated = np.array(pairs, float).T
    outcomes = {"step": outcome(*step), "iterated": outcome(*iterated)}
    for found in audit(outcomes, ROLES, Limits(tolerance, share, failures=0)):
        if found.check == "iteration":
            said = STATEMENT.search(found.message)
            value, other = (float(said[name].replace("∞", "inf")) for name in ("value", "other"))
            assert RELATIONS[said["relation"]](value, other), found.message
            assert ("though" in said["medians"]) == (said["relation"] == "smaller than")
            count, n, shown = COUNT.search(found.message).groups()
            assert 0 < int(count) <= int(n) == (iterated > 0).sum()
            assert float(shown) == pytest.approx(100 * tolerance)
            assert int(count) == (iterated > (1 + tolerance) * step).sum()
            assert (said["medians"] == ":") == (found.value > (1 + tolerance) * found.other_value)
        elif found.check == "vanishing":
            count, n = map(int, re.search(r"(\d+) of (\d+) images", found.message).groups())
            assert 0 < count == np.isinf(outcomes[found.attack].distance).sum() <= n


def test_an_attack_that_found_nothing_has_the_median_of_its_distances():
    outcomes = {"noise": outcome(0, 0, 0, INF)}
    (found,) = audit(outcomes, ROLES, LIMITS)
    assert (found.check, found.value) == ("success", 0)
    assert found.message == "noise: no adversarial of any of 1 images"


@pytest.mark.parametrize("distances", [[1, INF, INF], [INF, INF, INF]])
@pytest.mark.parametrize("at_epsilons", [True, False])
def test_attacks_within_one_epsilon_may_find_nothing(at_epsilons, distances):
    roles = {"within": Role(gradients=True, at_epsilons=at_epsilons)}
    found = audit({"within": outcome(*distances)}, roles, LIMITS)
    assert bool(found) is not at_epsilons


def test_gradients_do_not_vanish_for_an_attack_that_used_none():
    outcomes = {"step": outcome(1, INF, INF, gradients=0)}
    assert audit(outcomes, ROLES, LIMITS) == []


def compared(**outcomes):
    """Whether those with gradients are found weaker than those without; roles as in ROLES."""
    found = audit(outcomes, ROLES, LIMITS)
    assert {finding.check for finding in found} <= {"gradients"}
    return bool(found)


def test_the_recorded_gradients_say_which_attacks_used_any():
    """An attack that can do without gradients used them on this model, and so is no sign that they mislead."""
    weak, strong, guided = outcome(2, 2), outcome(1, 1, gradients=0), outcome(1, 1)
    assert compared(step=weak, noise=strong)
    assert not compared(step=weak, noise=guided)
    assert compared(noise=outcome(2, 2), step_ge=strong)
    assert not compared(noise=guided, step_ge=strong)


def test_an_attack_that_reads_latents_or_bounds_is_no_sign_that_gradients_mislead():
    weak, strong = outcome(2, 2), outcome(1, 1, gradients=0)
    assert not compared(step=weak, latents=strong)
    assert compared(step=weak, latents=strong, noise=outcome(1.5, 1.5, gradients=0))


def test_an_attack_that_needs_gradients_and_took_none_says_nothing():
    assert not compared(step=outcome(1, 1, gradients=0), noise=outcome(2, 2))
    assert compared(noise=outcome(2, 2), step_ge=outcome(1, 1, gradients=0))


def test_the_best_attack_without_gradients_was_run():
    """A relay's last round that left all images out recorded what others had found with gradients."""
    relayed = stopped([1, 2, 3], 1, 1, 1, gradients=0)
    outcomes = {"step": outcome(2, 2, 2), "step_ge": outcome(1.5, 1.5, 1.5, gradients=0), "noise": relayed}
    (found,) = (finding for finding in audit(outcomes, ROLES, LIMITS) if finding.check == "gradients")
    assert found.other_value == 1.5
    assert "the best attack without them is step_ge; take the preset strong" in found.message
    assert not compared(step=outcome(2, 2, 2), noise=relayed)


def stopped(codes, *distance, gradients=1):
    return Outcome(np.array(distance, float), np.full(len(distance), gradients), np.array(codes))


@pytest.mark.parametrize(
    ("weak", "strong", "fires"),
    [
        (outcome(1.2, 2.4), outcome(1, 2), True),
        (stopped([4, 0], 1.2, 2), outcome(1, 2), False),  # done with near the bound: nothing was to be gained
        (stopped([3, 0], 1.2, 2), outcome(1, 2), False),
        (stopped([0, 4], 1.2, 2), outcome(1, 2), True),
        (outcome(1.2, 2), stopped([3, 0], 1, 2), False),  # what the other starts from was better, not itself
        (outcome(1.2, 2), stopped([4, 0], 1, 2), True),
        (stopped([3, 3], 1.2, 2.4), outcome(1, 2), False),
        (stopped([1, 2], 1.2, 2.4), outcome(1, 2), True),  # a relay's codes count as they did
    ],
)
def test_images_near_a_proved_bound_do_not_show_an_attack_weak(weak, strong, fires):
    found = audit({"iterated": weak, "step": strong}, ROLES, LIMITS)
    assert [finding.check for finding in found] == (["iteration"] if fires else [])


def test_attacks_are_compared_by_what_they_found_themselves():
    """Those with gradients were not run on the image that masks them: what they start from found it."""
    given = stopped([3, 0, 0], 1, 2, 2), outcome(1, 1, 1, gradients=0)
    found = audit({"step": given[0], "noise": given[1]}, ROLES, LIMITS)
    assert [(finding.check, finding.share) for finding in found] == [("gradients", 1.0)]
    (failed,) = audit({"noise": stopped([3, 0, 0], 1, INF, INF, gradients=0)}, ROLES, LIMITS)
    assert failed.message == "noise: no adversarial of any of 2 images"
    assert audit({"step": stopped([3, 0, 0], 1, INF, 2)}, ROLES, LIMITS) == []


@pytest.mark.parametrize(("name", "role"), ATTACKS.items())
def test_registry_names_attacks_that_share_a_norm(name, role):
    for other in (*role.refines, *([role.estimates] if role.estimates else [])):
        assert set(ATTACKS[other].norms) & set(role.norms), (name, other)
    if role.estimates:
        assert not role.gradients
        assert ATTACKS[role.estimates].gradients
        titles = {norm: f"{title} w/ GE" for norm, title in ATTACKS[role.estimates].norms.items()}
        assert role.norms == titles


@pytest.fixture
def write(tmp_path):
    """Write a shard and return its path."""

    def write(attack, distance, *, first=0, model="cnn", gradients=1, codes=None):
        n = len(distance)
        columns = {name: np.zeros(n, np.int64) for name in SHARD}
        columns["index"] = np.arange(first, first + n)
        columns["distance"] = np.array(distance, float)
        columns["gradients"] = np.full(n, gradients)
        del columns["stopped"]
        columns |= {} if codes is None else {"stopped": np.array(codes)}
        columns["adversarial"] = np.zeros((n, 1, 28, 28), np.float32)
        path = tmp_path / model / "l2" / attack / f"{first}.h5"
        write_record(path, columns, {"run": "toy", "model": model, "norm": "l2", "attack": attack}, SHARD)
        return path

    return write


def test_shards_are_joined_in_the_order_of_samples(write):
    paths = [
        write("step", [3, 4], first=2, gradients=7),
        write("noise", [5, 6, 7, 8]),
        write("step", [1, 2]),
        write("step", [9], model="abs"),
    ]
    found = read_outcomes(paths, "toy")
    assert found.keys() == {("cnn", "l2"), ("abs", "l2")}
    assert found["cnn", "l2"]["step"].distance.tolist() == [1, 2, 3, 4]
    assert found["cnn", "l2"]["step"].gradients.tolist() == [1, 1, 7, 7]
    assert found["abs", "l2"].keys() == {"step"}


def test_codes_of_stopped_are_read_where_there_are_any(write):
    paths = [write("step", [1, 2]), write("step", [3, 4], first=2, codes=[3, 4])]
    found = read_outcomes(paths, "toy")["cnn", "l2"]["step"]
    assert found.taken_over.tolist() == [False, False, True, False]
    assert found.near_bound.tolist() == [False, False, True, True]
    assert found.own_distance.tolist() == [1, 2, INF, 4]


def test_attacks_on_other_samples_are_refused(write):
    with pytest.raises(InputError, match=r"attacks/cnn/l2/noise: not the same samples as step; delete both"):
        read_outcomes([write("step", [1, 2]), write("noise", [1, 2], first=1)], "toy")


def test_shard_of_another_run_is_refused(write):
    with pytest.raises(InputError, match="belongs to run 'toy', expected 'other'"):
        read_outcomes([write("step", [1])], "other")


@pytest.mark.parametrize(("iterated", "rows"), [([1, 2, 3], 0), ([2, 3, 4], 1)])
def test_table_has_a_row_and_the_log_a_warning_for_each_finding(
    write, tmp_path, caplog, monkeypatch, iterated, rows
):
    paths = [write("step", [1, 2, 3]), write("iterated", iterated)]
    limits = {"tolerance": 0.05, "share": 0.25, "failures": 0.5}
    monkeypatch.setattr(script, "write_attack_table", lambda **_: None)
    roles = {"step": {"gradients": True}, "iterated": {"gradients": True, "refines": ["step"]}}
    logger = logging.getLogger("absynth")
    propagate, logger.propagate = logger.propagate, True
    try:
        outputs = {name: tmp_path / f"{name}.csv" for name in ("table", "optimality", "attacks")}
        script.main(shards=paths, minimal=[], **outputs, run="toy", roles=roles, limits=limits)
    finally:
        logger.propagate = propagate
    with (tmp_path / "table.csv").open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        assert tuple(reader.fieldnames) == COLUMNS
        found = list(reader)
    warnings = [record for record in caplog.records if record.levelname == "WARNING"]
    assert len(found) == len(warnings) == rows
    for row, warning in zip(found, warnings, strict=True):
        assert (row["model"], row["norm"], row["check"]) == ("cnn", "l2", "iteration")
        assert warning.getMessage() == f"cnn, l2: {row['message']}"
