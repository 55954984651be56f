"""Generate distal adversarials, by gradient ascent from noise to images classified with high confidence."""

import os
from collections.abc import Mapping, Sequence
from importlib.metadata import version

import torch

from absynth import __version__
from absynth.data.format import check_labels, distal_labels
from absynth.data.split_files import read_format, read_split
from absynth.evaluation.distal import Goal, ascend, nearest_distance, noise_images
from absynth.io.log import LOGGER, start_log
from absynth.io.records import DISTAL, write_record
from absynth.models.building import build
from absynth.models.calibration_file import read_calibration
from absynth.workflow.devices import acquire


def main(
    *,
    train: str | os.PathLike,
    calibration: str | os.PathLike,
    distal: str | os.PathLike,
    run: str,
    model: str,
    folder: str | os.PathLike,
    spec: Mapping,
    labels: Sequence[int] | None,
    seeds: Sequence[int],
    confidence: float,
    ascent: Mapping,
    device: torch.device,
) -> None:
    """Write one ascent per seed and label (see absynth.io.records.DISTAL); all models start from the same noise.

    labels: classes whose confidence is raised; None: all, the first `MOST_CLASSES` if there are more
    Raises InputError for a label that is no class of the data set.
    """
    about = read_format(train)
    labels = distal_labels(about.n_classes) if labels is None else labels
    check_labels(labels, about)
    constants = read_calibration(calibration, "alpha", "eta")
    start = noise_images(seeds, about.shape).repeat(len(labels), 1, 1, 1).to(device)
    classes = torch.tensor(labels, device=device).repeat_interleave(len(seeds))
    goal = Goal(constants["alpha"], constants["eta"], confidence)
    found = ascend(build(spec, folder).to(device), start, classes, goal, **ascent)
    images, _ = read_split(train)
    columns = {
        **vars(found),
        "index": torch.arange(len(start)),
        "label": classes,
        "seed": torch.tensor(seeds).repeat(len(labels)),
        "moved": (found.image - start).flatten(1).double().norm(dim=1),
        "nearest": nearest_distance(found.image, torch.from_numpy(images).to(device)),
    }
    LOGGER.info(
        "%s: %d of %d ascents reach confidence %g", model, found.reached.sum(), len(start), confidence
    )
    attributes = {"run": run, "model": model, "target": confidence, "device": str(device), **ascent}
    attributes |= {"absynth": __version__, "torch": version("torch")}
    write_record(distal, {name: values.cpu().numpy() for name, values in columns.items()}, attributes, DISTAL)


if "snakemake" in globals():
    job = globals()["snakemake"]
    start_log(job.log[0])
    main(
        train=job.input.train,
        calibration=job.input.calibration,
        distal=job.output.distal,
        model=job.wildcards.model,
        **dict(job.params.items()),
        device=acquire(gpu=job.resources.gpu, threads=job.resources.torch_threads),
    )
