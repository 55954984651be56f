"""Fixtures that several test modules share."""

import os
from pathlib import Path

import pytest
import torch

from absynth.data.sources import DATASETS
from absynth.data.splits import load_dataset

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def mnist_test(tmp_path_factory: pytest.TempPathFactory) -> tuple[torch.Tensor, torch.Tensor]:
    """The first 1000 test images of MNIST (1000, 1, 28, 28) float32 in [0, 1], and their labels, int64."""
    folder = os.environ.get("ABSYNTH_DATA")
    if not folder:
        pytest.skip("ABSYNTH_DATA names no folder with the MNIST files")
    *_, images, labels = load_dataset(DATASETS["mnist"], folder, tmp_path_factory.mktemp("no-download"))
    return torch.from_numpy(images[:1000, None]).float() / 255, torch.from_numpy(labels[:1000]).long()


@pytest.fixture(scope="session")
def published() -> Path:
    """The folder of the authors' released weights."""
    folder = os.environ.get("ABSYNTH_PUBLISHED")
    if not folder:
        pytest.skip("ABSYNTH_PUBLISHED names no folder with the authors' released weights")
    return Path(folder)
