"""Prepare a run's data: find or download the data set, split it, and write one HDF5 file per split."""

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from absynth.data.idx import N_CLASSES
from absynth.data.intensities import odd_intensities
from absynth.data.order import arrange, lacking_classes
from absynth.data.sources import find_dataset
from absynth.data.split_files import write_split
from absynth.data.splits import load_dataset, split_calibration
from absynth.errors import InputError
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
    image_order: str = "auto",
    seed: int = 0,
    n_samples: int | None = None,
) -> None:
    """Write the splits of `dataset` to the paths `train`, `calibration` and `test`.

    description: the config's own entry for `dataset`, None for one of `absynth.data.sources.DATASETS`
    data_dir: a folder searched before any download; cache: the folder that downloads are written to
    n_calibration: how many training images, the last ones, are kept for calibration
    image_order, seed: the order of training and test images, as `absynth.data.order.arrange` has it
    n_samples: how many test images are attacked, the first ones; to warn of classes that they lack
    Raises InputError for what `load_dataset` and `split_calibration` refuse, and if there are fewer test images.
    """
    loaded = load_dataset(find_dataset(dataset, description), data_dir, cache)
    if n_samples and n_samples > len(loaded[3]):
        raise InputError(
            f"config key n_samples: found {n_samples}, allowed are the {len(loaded[3])} test images of {dataset}"
        )
    _warn_of_oddities(f"{dataset} train", loaded[0])
    _warn_of_oddities(f"{dataset} test", loaded[2])
    known, known_labels, known_index = arrange(*loaded[:2], image_order, seed, f"{dataset} train")
    test_images, test_labels, test_index = arrange(*loaded[2:], image_order, seed, f"{dataset} test")
    train_images, train_labels, calibration_images, calibration_labels = split_calibration(
        known, known_labels, n_calibration
    )
    n_train = len(train_labels)
    indices = (None, None) if known_index is None else (known_index[:n_train], known_index[n_train:])
    for split, path, images, labels, index in (
        ("train", train, train_images, train_labels, indices[0]),
        ("calibration", calibration, calibration_images, calibration_labels, indices[1]),
        ("test", test, test_images, test_labels, test_index),
    ):
        write_split(path, images, labels, dataset, split, index)
        counts = np.bincount(labels, minlength=10)
        LOGGER.info(
            "%s %s: %d images, by class %s, in %s", dataset, split, len(labels), counts.tolist(), path
        )
    lacking = lacking_classes(test_labels[:n_samples], np.arange(N_CLASSES)) if n_samples else None
    if lacking:
        LOGGER.warning("%s test: %s", dataset, lacking)


def _warn_of_oddities(name: str, images: npt.NDArray[np.uint8]) -> None:
    for oddity in odd_intensities(images):
        LOGGER.warning("%s: %s", name, oddity)


if "snakemake" in globals():
    job = globals()["snakemake"]
    start_log(job.log[0])
    # No parameter: another number of images would train every model again.
    n_samples = job.config.get("n_samples")
    # `unverified` is a parameter only so that files whose content no checksum tells are noticed if they change.
    settings = {key: value for key, value in job.params.items() if key != "unverified"}
    main(**dict(job.output.items()), **settings, n_samples=n_samples)
