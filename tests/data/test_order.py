"""Which orders of labels are far from random."""

import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from absynth.data.order import far_from_random, lacking_classes
from absynth.data.sources import DATASETS
from absynth.data.splits import load_dataset

RNG = np.random.default_rng(0)
SHUFFLED = RNG.permutation(np.repeat(np.arange(10), 100))

FAR = {
    "sorted": np.sort(SHUFFLED),
    "sorted, few": np.repeat(np.arange(10), 10),
    "sorted, last class first": -np.sort(-SHUFFLED),
    "in blocks of 5": np.repeat(RNG.integers(0, 10, 200), 5),
    "two halves": np.concatenate([RNG.integers(0, 5, 500), RNG.integers(5, 10, 500)]),
    "first a tenth of one class": np.concatenate([np.zeros(100, int), RNG.permutation(SHUFFLED)]),
    "drifting": (np.arange(1000) // 100 + RNG.integers(-2, 3, 1000)).clip(0, 9),
}
NEAR = {
    "shuffled": SHUFFLED,
    "in turn": np.tile(np.arange(10), 100),
    "one class": np.zeros(50, int),
    "one image": np.zeros(1, int),
    "two classes, shuffled": RNG.integers(0, 2, 1000),
    "rare class": RNG.permutation(np.r_[np.zeros(999, int), 1]),
}


@pytest.mark.parametrize("labels", FAR.values(), ids=FAR)
def test_an_order_far_from_random(labels):
    assert far_from_random(labels)
    assert far_from_random(labels.astype(np.uint8))


@pytest.mark.parametrize("labels", NEAR.values(), ids=NEAR)
def test_an_order_whose_first_images_are_a_fair_sample(labels):
    assert not far_from_random(labels)


@given(st.integers(0, 2**32 - 1), st.integers(2, 3000), st.integers(1, 10))
def test_random_orders_are_never_far(seed, n, n_classes):
    assert not far_from_random(np.random.default_rng(seed).integers(0, n_classes, n))


@pytest.mark.parametrize("name", ["digits", "mnist"])
def test_data_sets_are_attacked_in_their_own_order(name, tmp_path):
    if name == "mnist" and "ABSYNTH_DATA" not in os.environ:
        pytest.skip("ABSYNTH_DATA names no folder with the MNIST files")
    _, train_labels, _, test_labels = load_dataset(DATASETS[name], None, tmp_path)
    assert not far_from_random(train_labels)
    assert not far_from_random(test_labels)


def test_lacking_classes_are_named():
    assert lacking_classes(np.arange(10), np.arange(10)) is None
    assert lacking_classes(np.array([3, 3]), np.arange(3, 5)) == "the 2 images attacked hold none of class 4"
    assert lacking_classes(np.array([0]), np.arange(3)).endswith("none of classes 1, 2")


def test_of_many_classes_that_are_lacking_the_first_are_named():
    found = lacking_classes(np.arange(3), np.arange(100))
    assert found == (
        "the 3 images attacked hold none of classes 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, … (97 in all)"
    )
    assert lacking_classes(np.arange(3), np.arange(5)) == "the 3 images attacked hold none of classes 3, 4"
