"""A data set of a user's own, of which no checksum is known."""

import gzip
import os
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.workflow

TEST = "results/users_data/data/test.h5"
ROLES = {"train_images": 200, "train_labels": 200, "test_images": 30, "test_labels": 30}


def write_idx(path: Path, array: np.ndarray) -> None:
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    path.write_bytes(gzip.compress(bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes(), mtime=0))


@pytest.fixture(scope="module")
def data(own_checkout) -> Path:
    """A folder of images of noise, with classes in turn."""
    folder = own_checkout.folder / "my_data"
    folder.mkdir()
    for role, n in ROLES.items():
        noise = np.random.default_rng(0).integers(0, 256, (n, 28, 28), np.uint8)
        write_idx(
            folder / f"{role}.gz", noise if role.endswith("images") else np.arange(n, dtype=np.uint8) % 10
        )
    return folder


def config(checkout, data: Path, **changes) -> Path:
    files = {role: {"name": f"{role}.gz"} for role in ROLES}
    described = {"dataset": "mine", "datasets": {"mine": {"files": files}}, "data_dir": str(data)}
    return checkout.config(run="users_data", **described, **changes)


def test_more_images_than_there_are_stop_the_run_before_anything_else(own_checkout, data):
    done = own_checkout.snakemake(TEST, config=config(own_checkout, data, n_samples=31))
    assert done.returncode != 0
    assert "config key n_samples: found 31, allowed are the 30 test images of mine" in done.stdout
    assert "Traceback" not in done.stdout


def test_more_images_than_there_are_are_refused_at_the_start_of_a_later_run_too(own_checkout, data):
    done = own_checkout.snakemake(TEST, config=config(own_checkout, data))
    assert done.returncode == 0, done.stdout
    done = own_checkout.snakemake("-n", config=config(own_checkout, data, n_samples=31))
    assert done.returncode != 0
    assert "config key n_samples: found 31, allowed are the 30 test images of mine" in done.stdout
    assert "Traceback" not in done.stdout
    assert (own_checkout.folder / TEST).is_file()
    assert own_checkout.planned(TEST, config=config(own_checkout, data, n_samples=30)) == set()


def test_data_files_that_change_are_noticed_whatever_their_time(own_checkout, data):
    settings = config(own_checkout, data)
    done = own_checkout.snakemake(TEST, config=settings)
    assert done.returncode == 0, done.stdout
    assert own_checkout.planned(TEST, config=settings) == set()
    labels = data / "test_labels.gz"
    before, times = labels.read_bytes(), labels.stat()
    write_idx(labels, np.arange(30, dtype=np.uint8)[::-1] % 10)
    os.utime(labels, (times.st_atime, times.st_mtime))
    splits = {f"results/users_data/data/{split}.h5" for split in ("train", "calibration", "test")}
    assert own_checkout.planned(TEST, config=settings) == splits
    labels.write_bytes(before)  # later, but what it was
    assert own_checkout.planned(TEST, config=settings) == set()
