"""Records are checked against model and test split; whatever is changed in one is found and named."""

import re

import numpy as np
import pytest
from recorded_run import FAILED, MISCLASSIFIED, RUN, SPANS, RecordedRun

from absynth.errors import InputError
from absynth.evaluation.verification import TIE, Clean, check_shard, measure
from absynth.io.atomic import write_csv
from absynth.io.records import SHARD, write_record


@pytest.fixture
def made(tmp_path) -> RecordedRun:
    return RecordedRun(tmp_path)


def test_valid_records_pass(made):
    rows = made.verified()
    assert list(rows) == [("far", "0"), ("far", "1"), ("near", "0"), ("near", "1"), ("all", "")]
    assert {row["disagreements"] for row in rows.values()} == {"0"}
    assert [row["n"] for row in rows.values()] == ["3", "2", "3", "2", "5"]
    assert [row["checked"] for row in rows.values()] == ["1", "2", "0", "1", "0"]
    assert {row["ties"] for row in rows.values()} == {"0"}
    made.summarize()
    assert (
        (made.folder / "verification.csv").read_text().startswith("model,norm,attack,shard,n,checked,ties,")
    )


def change(name, row, value):
    def corrupt(columns):
        columns[name] = columns[name].copy()
        columns[name][row] = value(columns[name][row]) if callable(value) else value

    return corrupt


def swap(columns):
    """Adversarial and distance of the failed sample are those of the last."""
    for name in ("adversarial", "distance"):
        change(name, FAILED, columns[name][2])(columns)


def brighter(image):
    return np.clip(image + np.float32(1 / 255), 0, 1)


CORRUPTIONS = {  # of the first shard of `far`: the change, the row, the reason
    "index": (change("index", 2, 3), 2, "index 3, expected 2"),
    "label": (change("label", 2, 7), 2, r"label 7, [01] in the test split"),
    "clean prediction": (change("clean_prediction", 2, 9), 2, "clean_prediction 9, the model says [01]"),
    "adversarial prediction": (
        change("adversarial_prediction", 2, 9),
        2,
        "adversarial_prediction 9, the model says [01]",
    ),
    "class unknown": (change("adversarial_prediction", 2, -1), 2, "adversarial_prediction -1, the model says"),
    "distance": (change("distance", 2, lambda d: d * (1 + 3e-6)), 2, r"distance [\d.]+ recorded, [\d.]+ measured"),
    "image": (change("adversarial", 2, brighter), 2, r"distance [\d.]+ recorded, [\d.]+ measured"),
    "0 where correctly classified": (
        change("distance", 2, 0.0),
        2,
        "distance 0 though the clean image is correctly classified",
    ),
    "not 0 where misclassified": (
        change("distance", MISCLASSIFIED, 1.0),
        MISCLASSIFIED,
        "distance 1.0 though .* is misclassified",
    ),
    "inf where found": (change("distance", 2, np.inf), 2, "distance inf though an adversarial is stored"),
    "finite where failed": (change("distance", FAILED, 1.0), FAILED, "distance 1.0 recorded, 0.0 measured"),
    "image where misclassified": (
        change("adversarial", MISCLASSIFIED, brighter),
        MISCLASSIFIED,
        "misclassified, but another image is stored",
    ),
    "another's adversarial": (swap, FAILED, r"distance [\d.]+ recorded"),
}  # fmt: skip


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_corrupted_shard_is_named_with_its_row(made, name):
    corrupt, row, reason = CORRUPTIONS[name]
    made.write(None)
    columns = dict(made.shards["far", 0])
    corrupt(columns)
    write_record(made.path("far", 0), columns, {**RUN, "attack": "far"}, SHARD)
    rows = made.verified(written=False)
    assert rows["far", "0"]["disagreements"] == "1"
    assert rows["far", "0"]["first_row"] == str(row)
    assert {rows[key]["disagreements"] for key in rows if key not in (("far", "0"), ("all", ""))} == {"0"}
    with pytest.raises(InputError, match=rf"far/0\.h5, row {row}: .*{reason}.*delete those files and rerun"):
        made.summarize()
    assert (made.folder / "verification.csv").is_file()


def test_an_adversarial_that_is_correctly_classified_is_found(made):
    """Its distance is right, but its prediction is recorded as its label."""
    made.write(None)
    columns = dict(made.shards["far", 0])
    x = made.images[2]
    change("adversarial", 2, brighter(x))(columns)
    change("distance", 2, measure(x[None], brighter(x)[None], "l2")[0])(columns)
    change("adversarial_prediction", 2, made.labels[2])(columns)
    write_record(made.path("far", 0), columns, {**RUN, "attack": "far"}, SHARD)
    row = made.verified(written=False)["far", "0"]
    assert row["first_row"] == "2"
    assert row["reason"] == f"the adversarial is classified as {made.labels[2]}, which is its label"


FAR = {"tightness": 0.1, "epsilon": 0.01}  # of an attack that may be done with images


@pytest.mark.parametrize(
    ("ends", "bound", "reason"),
    [
        (FAR, 0.92, ""),
        (FAR, 0.9, "done with at distance .*, too far above the proved bound"),
        (FAR, np.nan, "done with at distance .*, too far above the proved bound nan"),
        ({"tightness": 0.1, "epsilon": 0.95}, 0.92, "done with though ε lies between its proved bound"),
        ({"tightness": 0.1, "epsilon": 0.91}, 0.92, ""),
        ({"tightness": 0.1, "epsilon": 1.0}, 0.92, ""),
        (None, 0.92, "though the attack must go on"),
    ],
)
@pytest.mark.parametrize("code", [3, 4])
def test_images_that_an_attack_was_done_with_must_be_near_a_proved_bound(made, ends, bound, reason, code):
    """Bound and ε in distances of the image."""
    made.write(None)
    columns = dict(made.shards["far", 0])
    columns["stopped"] = np.array([0, 0, code])
    distance = columns["distance"][2]
    write_record(made.path("far", 0), columns, {**RUN, "attack": "far"}, SHARD)
    for shard, (first, last) in enumerate(SPANS):
        rows = [{"index": i, "joint": 0.0, "basis": "proved"} for i in range(first, last)]
        if shard == 0:
            rows[2] |= {"joint": 0 if np.isnan(bound) else bound * distance}
            rows[2] |= {"basis": "searched" if np.isnan(bound) else "proved"}
        write_csv(made.folder / f"{shard}.csv", rows)
    made.bounds = [made.folder / f"{shard}.csv" for shard in range(len(SPANS))]
    made.ends = {} if ends is None else {"far": {**ends, "epsilon": ends["epsilon"] * distance}}
    row = made.verified(written=False)["far", "0"]
    assert row["disagreements"] == ("1" if reason else "0")
    assert re.search(reason, row["reason"])


def test_bounds_of_other_images_are_refused(made):
    made.bounds, made.ends = [made.folder / "0.csv"] * 2, {"far": FAR}
    write_csv(made.bounds[0], [{"index": i, "joint": 1.0, "basis": "proved"} for i in range(3)])
    with pytest.raises(InputError, match=r"0\.csv: holds other images than 3 to 4"):
        made.verified()


def test_a_model_that_overwrites_images_hides_nothing(tmp_path):
    """What records are compared with is out of its reach."""
    made = RecordedRun(tmp_path, kind="Overwriting")
    rows = made.verified()
    assert {row["disagreements"] for row in rows.values()} == {"0"}
    for name in ("distance", "image", "0 where correctly classified", "not 0 where misclassified"):
        corrupt, row, reason = CORRUPTIONS[name]
        columns = dict(made.shards["far", 0])
        corrupt(columns)
        write_record(made.path("far", 0), columns, {**RUN, "attack": "far"}, SHARD)
        found = made.verified(written=False)["far", "0"]
        assert (found["disagreements"], found["first_row"]) == ("1", str(row)), name
        assert re.search(reason, found["reason"])


def test_an_answer_that_is_not_finite_is_neither_class():
    """Recorded as -1 for a clean image; never an adversarial, whatever class is recorded."""
    images = np.zeros((4, 1, 28, 28), np.float32)
    changed = np.full_like(images, 0.5)
    clean = Clean(0, images, np.zeros(4, int), np.array([[1, 0], [1, 0], [np.nan, 0], [-np.inf, 0]], float))
    columns = {
        "index": np.arange(4),
        "label": np.zeros(4, int),
        "clean_prediction": np.array([0, 0, -1, 1]),
        "adversarial_prediction": np.array([1, -1, -1, -1]),
        "adversarial": np.concatenate([changed[:2], images[2:]]),
        "distance": np.array([14.0, 14.0, 0, 0]),
    }
    found = check_shard(columns, "l2", clean, lambda x: np.full((len(x), 2), np.nan))
    assert found.faults == (
        (0, "adversarial_prediction 1, the model says -1"),
        (1, "the adversarial is classified as neither class: its logits are not finite"),
        (3, "clean_prediction 1, the model says -1"),
    )
    assert found.ties == 0


@pytest.mark.parametrize("key", ["run", "model", "norm", "attack"])
def test_shard_of_another_job_is_named(made, key):
    other = "l0" if key == "norm" else "other"
    row = made.verified({key: other})["far", "0"]
    assert f"belongs to {key} '{other}'" in row["reason"]
    with pytest.raises(InputError, match=r"far/0\.h5: .*belongs to"):
        made.summarize()


@pytest.mark.parametrize("value", [np.nan, -0.1, 1.1])
def test_pixel_outside_the_box_is_named(made, value):
    made.write(None)
    columns = dict(made.shards["near", 1])
    change("adversarial", (0, 0, 3, 3), value)(columns)
    write_record(made.path("near", 1), columns, {**RUN, "attack": "near"}, SHARD)
    row = made.verified(written=False)["near", "1"]
    assert "pixels that are not finite or outside [0, 1]" in row["reason"]
    assert row["checked"] == "0"


@pytest.mark.parametrize("file", ["far/1.h5", "l2.h5"])
def test_damaged_file_is_named_and_the_others_are_checked(made, file):
    made.write(None)
    path = made.folder / file
    path.write_bytes(path.read_bytes()[:500])
    rows = made.verified(written=False)
    assert sum(int(row["checked"]) for row in rows.values()) == (2 if file == "far/1.h5" else 4)
    with pytest.raises(InputError, match=rf"{file}: .*damaged or not HDF5"):
        made.summarize()


def test_shard_of_the_wrong_size_is_named(made):
    made.write(None)
    columns = {name: values[:2] for name, values in made.shards["far", 0].items()}
    write_record(made.path("far", 0), columns, {**RUN, "attack": "far"}, SHARD)
    assert (
        made.verified(written=False)["far", "0"]["reason"] == "holds 2 images, expected 3 from position 0 on"
    )


MINIMAL_CHANGES = {  # column: new values from the valid columns, the row, the reason
    "distance": (lambda c: c["distance"] * np.where(c["index"] == 2, 0.99, 1), 2, "but the shards' smallest is"),
    "attack": (lambda c: np.where(c["index"] == 3, "far", c["attack"]), 3, "no shard of attack 'far' holds"),
    "adversarial": (lambda c: np.where((c["index"] == 2)[:, None, None, None], 0.5, c["adversarial"]), 2, "no shard"),
    "label": (lambda c: (c["label"] + (c["index"] == 4)) % 10, 4, "in the test split"),
    "index": (lambda c: c["index"] + (c["index"] == 4), 4, "index 5, expected 4"),
}  # fmt: skip


@pytest.mark.parametrize("column", MINIMAL_CHANGES)
def test_a_wrong_minimum_is_named(made, column):
    made.minimal_changes[column], row, reason = MINIMAL_CHANGES[column]
    rows = made.verified()
    assert {key for key in rows if rows[key]["disagreements"] != "0"} == {("all", "")}
    assert rows["all", ""]["first_row"] == str(row)
    with pytest.raises(InputError, match=rf"l2\.h5, row {row}: .*{reason}"):
        made.summarize()


@pytest.mark.parametrize("sample", [MISCLASSIFIED, FAILED])
@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("attack", "far", "named where no attack found"),
        ("adversarial", 0.5, "an image other than the clean one"),
    ],
)
def test_no_attack_is_named_where_none_found_an_adversarial(made, sample, column, value, reason):
    def corrupt(columns):
        values = columns[column].copy()
        values[sample] = value
        return values

    made.minimal_changes[column] = corrupt
    row = made.verified()["all", ""]
    assert row["first_row"] == str(sample)
    assert reason in row["reason"]


@pytest.mark.parametrize(("gap", "ties", "faults"), [(0.5 * TIE, 1, 0), (2 * TIE, 0, 1)])
@pytest.mark.parametrize("on_clean", [True, False])
def test_decisions_on_the_boundary_are_ties(gap, ties, faults, on_clean):
    """The recorded class lies `gap` of the range of the logits below another."""
    logits = np.array([[0.0, -10.0, -10.0 * gap]])
    clear = np.array([[0.0, -10.0, -5.0]])
    x = np.zeros((1, 1, 28, 28), np.float32)
    columns = {
        "index": np.array([7]),
        "label": np.array([2 if on_clean else 0]),
        "clean_prediction": np.array([2 if on_clean else 0]),
        "adversarial_prediction": np.array([0 if on_clean else 2]),
        "adversarial": x + np.float32(0.25),
        "distance": np.array([0.25]),
    }
    clean = Clean(7, x, columns["label"], logits if on_clean else clear)
    found = check_shard(columns, "linf", clean, lambda images: clear if on_clean else logits)
    assert (found.ties, len(found.faults), found.checked) == (ties, faults, 1)


@pytest.mark.parametrize(("norm", "expected"), [("l0", 2), ("l2", 0.5), ("linf", 0.4)])
def test_distances_on_paper(norm, expected):
    x = np.full((1, 1, 28, 28), 0.5, np.float32)
    other = x.copy()
    other[0, 0, 0, :2] = 0.8, 0.1
    assert measure(x, other, norm) == pytest.approx([expected], rel=1e-6)
