"""Prepare a run's data: find or download the data set, split it, and write one HDF5 file per split."""

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from absynth.data.sources import find_dataset
from absynth.data.split_files import write_split
from absynth.data.splits import load_dataset, split_calibration
from absynth.io.log import LOGGER, start_log


def main(
    *,
    train: str | os.PathLike[str],
    calibration: str | os.PathLike[str],
    test: str | os.PathLike[str],
    dataset: str,
    description: Mapping[str, Any] | None,
    data_dir: str | os.PathLike[str] | None,
    cache: str | os.PathLike[str],
    n_calibration: int,
) -> None:
    """Write the splits of `dataset` to the paths `train`, `calibration` and `test`.

    description: the config's own entry for `dataset`, None for one of `absynth.data.sources.DATASETS`
    data_dir: a folder searched before any download; cache: the folder that downloads are written to
    n_calibration: how many training images, the last ones, are kept for calibration
    Raises InputError for what `load_dataset` and `split_calibration` refuse.
    """
    train_images, train_labels, test_images, test_labels = load_dataset(
        find_dataset(dataset, description), data_dir, cache
    )
    train_images, train_labels, calibration_images, calibration_labels = split_calibration(
        train_images, train_labels, n_calibration
    )
    for split, path, images, labels in (
        ("train", train, train_images, train_labels),
        ("calibration", calibration, calibration_images, calibration_labels),
        ("test", test, test_images, test_labels),
    ):
        write_split(path, images, labels, dataset, split)
        counts = np.bincount(labels, minlength=10)
        LOGGER.info(
            "%s %s: %d images, by class %s, in %s", dataset, split, len(labels), counts.tolist(), path
        )


if "snakemake" in globals():
    job = globals()["snakemake"]
    start_log(job.log[0])
    main(**dict(job.output.items()), **dict(job.params.items()))
