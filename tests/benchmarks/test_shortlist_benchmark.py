"""The benchmark of short lists, small."""

import pytest
import torch
from shortlist import ATTACKS, measure

from absynth.data.format import DataFormat
from absynth.models.base import predict_labels
from absynth.models.nearest_neighbor import NearestNeighbor


@pytest.mark.parametrize("name", ATTACKS)
def test_all_answers_are_compared(name):
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(60, 30, generator=generator)
    model = NearestNeighbor(images, torch.arange(60) % 3, DataFormat((1, 5, 6), 3)).eval()
    x = (images[:4] + 0.05).clamp(0, 1).view(-1, 1, 5, 6)
    found = measure(model, x, predict_labels(model, x), name, 60)
    assert found["queries"] >= 60 or name in ("pointwise_l2", "pointwise_l0", "ddn")
    assert found["equal"] == found["queries"] > 0
