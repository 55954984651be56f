"""What a data set's images are: their shape and how many classes they have; and which of them a model takes.

Imported when a workflow starts, so it does without numpy and torch.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from absynth.errors import InputError


@dataclass(frozen=True)
class DataFormat:
    """shape: of an image, channels, rows and columns (C, H, W); n_classes: how many classes, labelled 0, 1, …"""

    shape: tuple[int, int, int]
    n_classes: int

    def __str__(self) -> str:
        return f"{'×'.join(map(str, self.shape))} images of {self.n_classes} classes"


PAPER = DataFormat((1, 28, 28), 10)  # MNIST's, which the paper's models are made for


def check_shape(name: str, taken: DataFormat, found: tuple[int, int, int] | None, dataset: str) -> None:
    """Raise InputError, naming a model, unless it takes images of a shape; `found`: None if that is not known yet."""
    if found is not None and found != taken.shape:
        raise _refused(name, taken, f"{'×'.join(map(str, found))} images", dataset)


def _refused(name: str, taken: DataFormat, found: str, dataset: str) -> InputError:
    return InputError(
        f"{name} takes {taken} alone, and the data set{f' {dataset}' if dataset else ''} has {found}; leave it out, "
        "or write only: true under models, for your own models alone"
    )


def check_taken(name: str, taken: DataFormat | None, found: DataFormat | None, dataset: str = "") -> None:
    """Raise InputError, naming a model, unless it takes what a data set has.

    taken: what the model takes, None if any; found: what the data set has, None if that is not known yet
    """
    if taken is None or found is None or taken == found:
        return
    raise _refused(name, taken, str(found), dataset)


MOST_CLASSES = 12  # shown, or chosen, of a data set with more where a config chooses none


def distal_labels(n_classes: int) -> list[int]:
    """The classes whose confidence is raised where a config chooses none."""
    return list(range(min(n_classes, MOST_CLASSES)))


def check_labels(labels: Sequence[int], found: DataFormat) -> None:
    """Raise InputError for a label of the config's that is no class of the data set."""
    for label in labels:
        if label >= found.n_classes:
            raise InputError(
                f"config key distal.labels: found {label}, allowed are the classes 0 to {found.n_classes - 1} of the "
                "data set"
            )
