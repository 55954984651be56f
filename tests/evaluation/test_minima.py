"""Per-sample minima over attacks and the statistics of tables and figures."""

import numpy as np
import pytest

from absynth.errors import InputError
from absynth.evaluation.minima import Minimum, summarise
from absynth.io.records import SHARD, read_record, write_record

RUN = {"run": "toy", "model": "cnn", "norm": "l2"}
INF = np.inf


@pytest.fixture
def write(tmp_path):
    """Write a shard whose adversarials are constant images, a shade for each attack, and return its path."""

    def write(attack: str, distance, *, first: int = 0, label=None, shade: float = 0.5):
        n = len(distance)
        columns = {name: np.zeros(n, np.int64) for name in SHARD}
        columns["index"] = np.arange(first, first + n)
        columns["label"] = np.arange(first, first + n) if label is None else np.array(label)
        columns["distance"] = np.array(distance, float)
        columns["adversarial_prediction"] = np.full(n, round(8 * shade))
        columns["adversarial"] = np.full((n, 1, 28, 28), shade, np.float32)
        path = tmp_path / attack / f"{first}.h5"
        write_record(path, columns, {**RUN, "attack": attack}, SHARD)
        return path

    return write


def test_the_best_of_all_attacks_is_kept(write):
    best = Minimum(RUN)
    best.add("fgm", write("fgm", [0, 2.0, INF, INF], shade=0.25))
    best.add("bim", write("bim", [0, 1.0, 3.0, INF], shade=0.75))
    found = best.columns()
    assert found["index"].tolist() == found["label"].tolist() == [0, 1, 2, 3]
    assert found["distance"].tolist() == [0, 1, 3, INF]
    assert found["attack"].tolist() == ["", "bim", "bim", ""]
    assert found["adversarial"][:, 0, 0, 0].tolist() == [0.25, 0.75, 0.75, 0.25]
    assert found["adversarial_prediction"].tolist() == [2, 6, 6, 2]
    assert best.distances == {"fgm": [0, 2, INF, INF], "bim": [0, 1, 3, INF]}


def test_images_done_with_near_a_proved_bound_are_known_by_attack(write):
    best = Minimum(RUN)
    path = write("fgm", [1.0, 1.0, 1.0, 1.0, 1.0], first=2)
    best.add("fgm", path)
    columns, attributes = read_record(path, SHARD)
    columns["stopped"] = np.array([0, 1, 2, 3, 4])
    write_record(path, columns, attributes, SHARD)
    again = Minimum(RUN)
    again.add("fgm", path)
    assert (best.near_bound, again.near_bound) == ({"fgm": set()}, {"fgm": {5, 6}})


def test_of_equal_distances_the_first_attack_is_named(write):
    best = Minimum(RUN)
    for attack in ("fgm", "bim"):
        best.add(attack, write(attack, [1.0]))
    assert best.columns()["attack"].tolist() == ["fgm"]


def test_shards_may_come_in_any_order(write):
    best = Minimum(RUN)
    best.add("fgm", write("fgm", [3.0, 4.0], first=2))
    best.add("fgm", write("fgm", [1.0, 2.0], first=0))
    found = best.columns()
    assert found["index"].tolist() == [0, 1, 2, 3]
    assert found["distance"].tolist() == [1, 2, 3, 4]
    assert found["adversarial"].shape == (4, 1, 28, 28)
    assert best.distances["fgm"] == [3, 4, 1, 2]


@pytest.mark.parametrize(
    ("distance", "label"),
    [([1.0, 1.0], [0, 5]), ([1.0, 0.0], None), ([0.0, 1.0], None)],
    ids=["label", "misclassified", "correctly classified"],
)
def test_attacks_that_disagree_on_the_clean_image_are_refused(write, distance, label):
    best = Minimum(RUN)
    best.add("fgm", write("fgm", [0.0, 2.0] if distance[0] == 0 else [1.0, 2.0]))
    other = write("bim", [1.0, 2.0] if distance[0] == 0 else distance, label=label)
    index = 0 if distance[0] == 0 else 1
    with pytest.raises(
        InputError, match=rf"bim.*0\.h5: disagrees with .*fgm.* on the clean image {index}; delete both"
    ):
        best.add("bim", other)


@pytest.mark.parametrize("key", RUN)
def test_shard_of_another_run_is_refused(write, key):
    path = write("fgm", [1.0])
    with pytest.raises(InputError, match=f"belongs to {key} '{RUN[key]}', expected 'other'"):
        Minimum({**RUN, key: "other"}).add("fgm", path)


def test_shard_of_another_attack_is_refused(write):
    with pytest.raises(InputError, match="belongs to attack 'fgm', expected 'bim'"):
        Minimum(RUN).add("bim", write("fgm", [1.0]))


def test_statistics_on_paper():
    distance = np.array([0, 1.0, 1.5, 2.0, INF])
    assert summarise(distance, 1.5) == {"median": 1.5, "accuracy": 0.4, "n": 5}  # the bound itself counts
    assert summarise(distance[1:], 0.5) == {"median": 1.75, "accuracy": 1.0, "n": 4}


@pytest.mark.parametrize("distance", [[INF, INF], [1.0, INF], [1.0, INF, INF]])
def test_median_of_mostly_failures_is_infinite(distance):
    assert summarise(np.array(distance), 1.5)["median"] == INF
