"""The range of logits, with classes that a model masks."""

import pytest
import torch

from absynth.models.logits import extent, unmasked

LOWEST = torch.finfo(torch.float32).min


@pytest.mark.parametrize("mask", [-1e4, -1e9, LOWEST])
@pytest.mark.parametrize("logits", [[5.0, -5.0, 1.0], [0.0, -3.0], [12.0, 12.0, 11.0]])
def test_classes_that_are_masked_do_not_widen_the_range(logits, mask):
    row = torch.tensor([[mask, *logits, mask]])
    assert unmasked(row).tolist() == [[False, *(True for _ in logits), False]]
    assert extent(row).item() == max(logits) - min(logits)


@pytest.mark.parametrize(
    "logits",
    [
        [5.0, 5 - 1e-6, 1.0],  # nearly a tie, at which rounding is that of the numbers themselves
        [0.0, -1e-6, -5.0],
        [-50.0, -50.0001, -200.0],  # minus squared distances
        [1e30, 5e29, -1e30],
        [3.0, -1e9],  # two classes: none is masked
        [0.0, 0.0, 0.0],
    ],
)
def test_the_range_of_all_others_is_that_of_all_their_classes(logits):
    row = torch.tensor([logits])
    assert unmasked(row).all()
    assert extent(row).item() == row.double().max() - row.double().min()


def test_each_image_has_a_range_of_its_own():
    rows = torch.tensor([[1.0, 3.0, 2.0, -1e9], [1.0, -1e9, 7.0, 2.0], [0.0, 1.0, 2.0, 3.0]])
    assert extent(rows).tolist() == [2, 6, 3]
