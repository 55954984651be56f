"""Prepare a run's data: find or download the data set, split it, and write one HDF5 file per split."""

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from absynth.data.format import DataFormat, check_taken
from absynth.data.intensities import odd_intensities
from absynth.data.order import arrange, lacking_classes
from absynth.data.sources import find_dataset
from absynth.data.split_files import write_split
from absynth.data.splits import format_of, load_dataset, split_calibration
from absynth.errors import InputError
from absynth.io.log import LOGGER, start_log

Part = tuple[Any, Any, Any]  # images, labels, and their positions in the data set or None


def main(
    *,
    test: str | os.PathLike[str],
    dataset: str,
    description: Mapping[str, Any] | None,
    data_dir: str | os.PathLike[str] | None,
    cache: str | os.PathLike[str],
    n_calibration: int,
    train: str | os.PathLike[str] | None = None,
    calibration: str | os.PathLike[str] | None = None,
    image_order: str = "auto",
    seed: int = 0,
    n_samples: int | None = None,
    takes: Mapping[str, Mapping[str, Any]] | None = None,
) -> None:
    """Write the splits of `dataset` to the paths `train`, `calibration` and `test`.

    train, calibration: None where there are no training images, or the run takes none
    description: the config's own entry for `dataset`, None for one of `absynth.data.sources.DATASETS`
    data_dir: a folder searched before any download; cache: the folder that downloads are written to
    n_calibration: how many training images, the last ones, are kept for calibration
    image_order, seed: the order of training and test images, as `absynth.data.order.arrange` has it
    n_samples: how many test images are attacked, the first ones; to warn of classes that they lack
    takes: shape and n_classes of the images that models of the run take, by what messages call them
    Raises InputError for images that a model does not take, for what `load_dataset` and `split_calibration` refuse,
    and if there are fewer test images.
    """
    chosen = find_dataset(dataset, description)
    loaded = load_dataset(chosen, data_dir, cache)
    about = format_of(chosen, loaded)
    _check_fits(about, len(loaded[3]), dataset, n_samples, takes or {})
    if chosen.has_train:
        _warn_of_oddities(f"{dataset} train", loaded[0])
    _warn_of_oddities(f"{dataset} test", loaded[2])
    known = arrange(*loaded[:2], image_order, seed, f"{dataset} train") if train is not None else None
    parts = {"test": arrange(*loaded[2:], image_order, seed, f"{dataset} test")}
    if known:
        parts = {**_divided(known, n_calibration, about.n_classes), **parts}
    paths = {"train": train, "calibration": calibration, "test": test}
    for split, (images, labels, index) in parts.items():
        path = paths[split]
        assert path is not None
        write_split(path, images, labels, dataset, split, index, about.n_classes)
        counts = np.bincount(labels, minlength=about.n_classes)
        LOGGER.info(
            "%s %s: %d images, by class %s, in %s", dataset, split, len(labels), counts.tolist(), path
        )
    attacked = parts["test"][1][:n_samples]
    if n_samples and (lacking := lacking_classes(attacked, np.arange(about.n_classes))):
        LOGGER.warning("%s test: %s", dataset, lacking)


def _check_fits(
    about: DataFormat,
    n_test: int,
    dataset: str,
    n_samples: int | None,
    takes: Mapping[str, Mapping[str, Any]],
) -> None:
    """Refuse images that a model of the run does not take, and fewer test images than are to be attacked."""
    for name, taken in takes.items():
        check_taken(name, DataFormat(tuple(taken["shape"]), taken["n_classes"]), about, dataset)
    if n_samples and n_samples > n_test:
        raise InputError(
            f"config key n_samples: found {n_samples}, allowed are the {n_test} test images of {dataset}"
        )


def _warn_of_oddities(name: str, images: npt.NDArray[Any]) -> None:
    for oddity in odd_intensities(images):
        LOGGER.warning("%s: %s", name, oddity)


def _divided(known: Part, n_calibration: int, n_classes: int) -> dict[str, Part]:
    """The training images, and the last of them, which calibrate."""
    images, labels, index = known
    divided = split_calibration(images, labels, n_calibration, n_classes)
    n = len(divided[1])
    first, last = (None, None) if index is None else (index[:n], index[n:])
    return {"train": (*divided[:2], first), "calibration": (*divided[2:], last)}


if "snakemake" in globals():
    job = globals()["snakemake"]
    start_log(job.log[0])
    # No parameter: another number of images would train every model again.
    n_samples = job.config.get("n_samples")
    # `unverified` is a parameter only so that files whose content no checksum tells are noticed if they change.
    settings = {key: value for key, value in job.params.items() if key != "unverified"}
    main(**dict(job.output.items()), **settings, n_samples=n_samples)
