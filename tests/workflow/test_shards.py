"""How the test images of a run are divided into shards."""

import pytest
from configs import SCHEMAS, plan, shipped
from hypothesis import given, settings
from hypothesis import strategies as st

from absynth.workflow.plan import Plan
from absynth.workflow.shards import settle_shards, shard_spans


def spans(n, **division):
    return shard_spans({"n_samples": n, **division})


def sizes(found):
    return [last - first for first, last in found]


def covered(found):
    return [image for first, last in found for image in range(first, last)]


@given(st.integers(1, 360), st.data())
def test_shards_cover_the_images_once_and_evenly(n, data):
    shards = data.draw(st.integers(1, n))
    found = spans(n, shards=shards)
    assert len(found) == shards
    assert covered(found) == list(range(n))
    assert min(sizes(found)) >= 1
    assert max(sizes(found)) - min(sizes(found)) <= 1


@given(st.integers(1, 360), st.integers(1, 400))
def test_shards_of_a_size_cover_the_images_once_and_all_but_the_last_have_it(n, size):
    found = spans(n, images_per_shard=size)
    assert covered(found) == list(range(n))
    assert set(sizes(found)[:-1]) <= {size}
    assert 1 <= sizes(found)[-1] <= size


@given(st.integers(1, 360), st.integers(0, 360), st.integers(1, 100))
def test_more_images_leave_the_shards_that_are_full(n, more, size):
    before, after = spans(n, images_per_shard=size), spans(n + more, images_per_shard=size)
    full = n // size
    assert after[:full] == before[:full]


@pytest.mark.parametrize(
    ("n", "size", "expected"),
    [
        (20, 10, [(0, 10), (10, 20)]),
        (25, 10, [(0, 10), (10, 20), (20, 25)]),
        (40, 10, [(0, 10), (10, 20), (20, 30), (30, 40)]),
        (5, 10, [(0, 5)]),
    ],
)
def test_shards_of_a_size(n, size, expected):
    assert spans(n, images_per_shard=size) == expected


@settings(max_examples=30)
@given(st.integers(1, 20), st.integers(1, 50), st.integers(1, 5))
def test_shards_of_one_size_may_be_named_by_it(shards, size, times):
    """So a run that `shards` divides without remainder can grow by images."""
    n = shards * size
    assert spans(n, shards=shards) == spans(n * times, images_per_shard=size)[:shards]


@pytest.mark.parametrize(
    ("given", "settled"),
    [
        ({}, {"images_per_shard": 100}),
        ({"shards": None, "images_per_shard": None}, {"images_per_shard": 100}),
        ({"shards": 4}, {"shards": 4}),
        ({"shards": 4, "images_per_shard": None}, {"shards": 4}),
        ({"shards": None, "images_per_shard": 7}, {"images_per_shard": 7}),
    ],
)
def test_one_of_both_keys_is_left(given, settled):
    config = {"n_samples": 30, **given}
    settle_shards(config)
    assert config == {"n_samples": 30, **settled}
    settle_shards(config)
    assert config == {"n_samples": 30, **settled}


# The borders that these had when they named their shards.
@pytest.mark.parametrize(
    ("name", "n", "shards"),
    [
        ("config", 1000, 10),
        ("quickstart", 10, 1),
        ("digits", 8, 1),
        ("mnist-small", 100, 1),
        ("mnist-bracket", 200, 4),
    ],
)
def test_the_shipped_configs_keep_their_shards(name, n, shards):
    chosen = shipped(name)
    sizes = {key: chosen[key] for key in ("n_samples", "images_per_shard", "shards") if key in chosen}
    assert plan(**sizes).spans == spans(n, shards=shards)


def test_a_plan_made_of_a_plans_config_has_its_shards():
    for division in ({"shards": 3}, {"images_per_shard": 300}, {}):
        made = plan(**division)
        assert Plan(made.config, SCHEMAS).spans == made.spans
