"""Records held against the test images and the model they are about, by code that shares none of the attacks'.

A confirmation is only as sure as the arithmetic behind it: an image on the decision boundary may be read otherwise in
another batch, or on another device. A prediction that differs from the recorded one counts as a tie, not as a
disagreement, if the recorded class is within TIE of the highest logit, as a share of the range of the logits.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

TIE = 1e-5
_DISTANCE_TOLERANCE = 1e-6  # relative
_MEASURES = {
    "l0": lambda change: np.count_nonzero(change, axis=1),
    "l2": lambda change: np.sqrt(np.square(change).sum(axis=1)),
    "linf": lambda change: np.abs(change).max(axis=1),
}

Logits = Callable[[np.ndarray], np.ndarray]  # images (n, 1, 28, 28) float32 to logits (n, classes)


@dataclass(frozen=True)
class Clean:
    """Test images as the split has them and as the model reads them, a contiguous range from `first` on.

    images (n, 1, 28, 28) float32; labels (n,) int64; logits (n, classes)
    """

    first: int
    images: np.ndarray
    labels: np.ndarray
    logits: np.ndarray

    def part(self, first: int, last: int) -> "Clean":
        """The images from position `first` to `last` - 1 of the test split."""
        rows = slice(first - self.first, last - self.first)
        return Clean(first, self.images[rows], self.labels[rows], self.logits[rows])

    @property
    def index(self) -> np.ndarray:
        return self.first + np.arange(len(self.labels))


class Check(NamedTuple):
    """What is wrong with some rows: `reason` is filled in with the row's `values`."""

    rows: np.ndarray  # (n,) bool
    reason: str
    values: tuple[np.ndarray, ...] = ()


@dataclass(frozen=True)
class Findings:
    """Of one file: n rows, how many adversarials the model was asked about, how many of the file's predictions
    are ties, and what is wrong, by row."""

    n: int = 0
    checked: int = 0
    ties: int = 0
    faults: tuple[tuple[int | None, str], ...] = ()  # row, or None for the file as a whole; reason

    def summary(self) -> dict[str, int | str]:
        """The columns n, checked, ties, disagreements, first_row and reason of tables/verification.csv."""
        row, reason = self.faults[0] if self.faults else (None, "")
        return {
            "n": self.n,
            "checked": self.checked,
            "ties": self.ties,
            "disagreements": len(self.faults),
            "first_row": "" if row is None else row,
            "reason": reason,
        }


def unreadable(reason: str) -> Findings:
    """The findings on a file that cannot be read at all."""
    return Findings(faults=((None, reason),))


def check_shard(columns: dict[str, np.ndarray], norm: str, clean: Clean, logits_of: Logits) -> Findings:
    """Check all rows of a shard that should hold the images of `clean`.

    Every adversarial that differs from its clean image is classified anew by `logits_of`, every distance is
    measured anew in float64.
    """
    n = len(columns["index"])
    misplaced = _check_index(columns["index"], clean)
    if misplaced:
        return Findings(n, faults=(misplaced,))
    stored, distance = columns["adversarial"], columns["distance"]
    changed = (stored != clean.images).any(axis=(1, 2, 3))
    logits = clean.logits.copy()
    if changed.any():
        logits[changed] = logits_of(stored[changed])
    claims = [(columns["clean_prediction"], clean.logits), (columns["adversarial_prediction"], logits)]
    tied = [_tied(claimed, truth) for claimed, truth in claims]
    checks = [
        Check(columns["label"] != clean.labels, "label {}, {} in the test split", (columns["label"], clean.labels)),
        *(
            Check(
                (claimed != truth.argmax(axis=1)) & ~tie,
                f"{name} {{}}, the model says {{}}",
                (claimed, truth.argmax(axis=1)),
            )
            for name, (claimed, truth), tie in zip(
                ("clean_prediction", "adversarial_prediction"), claims, tied, strict=True
            )
        ),
        *_check_distance(columns, norm, clean, changed),
        Check(
            np.isfinite(distance) & (distance > 0) & (columns["adversarial_prediction"] == columns["label"]),
            "the adversarial is read as {}, which is its label",
            (columns["adversarial_prediction"],),
        ),
    ]  # fmt: skip
    return Findings(n, int(changed.sum()), int(sum(tie.sum() for tie in tied)), _faults(checks))


def _check_distance(
    columns: dict[str, np.ndarray], norm: str, clean: Clean, changed: np.ndarray
) -> list[Check]:
    """Whether distances (n,) are 0, inf or finite where they should be, and what the stored images say."""
    distance = columns["distance"]
    misclassified = columns["clean_prediction"] != columns["label"]
    measured = measure(clean.images, columns["adversarial"], norm)
    found = np.isfinite(distance) & (distance > 0)
    return [
        Check(
            misclassified & (distance != 0),
            "distance {} though the clean image is misclassified",
            (distance,),
        ),
        Check(~misclassified & (distance == 0), "distance 0 though the clean image is correctly classified"),
        Check(misclassified & changed, "the clean image is misclassified, but another is stored"),
        Check(np.isinf(distance) & changed & ~misclassified, "distance inf though an adversarial is stored"),
        Check(
            found & ~np.isclose(distance, measured, rtol=_DISTANCE_TOLERANCE, atol=0),
            "distance {} recorded, {} measured",
            (distance, measured),
        ),
    ]


class MinimumCheck:
    """Whether the file of per-sample minima is the minimum over the shards shown to `see`.

    columns: of the file (see absynth.io.records.MINIMAL); clean: all the images that were attacked
    """

    def __init__(self, columns: dict[str, np.ndarray], clean: Clean):
        self.columns, self.clean = columns, clean
        self.misplaced = _check_index(columns["index"], clean)
        self.smallest = np.full(len(clean.labels), np.inf)
        self.supported = np.zeros(len(clean.labels), dtype=bool)  # by a shard of the attack that it names

    def see(self, attack: str, first: int, columns: dict[str, np.ndarray]) -> None:
        """Take in a shard of `attack` whose images begin at position `first` of the test split."""
        rows = slice(first - self.clean.first, first - self.clean.first + len(columns["index"]))
        if self.misplaced or not np.array_equal(columns["index"], self.clean.index[rows]):
            return
        distance = columns["distance"]
        self.smallest[rows] = np.minimum(self.smallest[rows], distance)
        same = (self.columns["adversarial"][rows] == columns["adversarial"]).all(axis=(1, 2, 3))
        named = (self.columns["attack"][rows] == attack) & (self.columns["distance"][rows] == distance)
        self.supported[rows] |= named & same

    def findings(self) -> Findings:
        """What is wrong with the file, once all shards were seen."""
        n = len(self.columns["index"])
        if self.misplaced:
            return Findings(n, faults=(self.misplaced,))
        label, distance, attack = (self.columns[name] for name in ("label", "distance", "attack"))
        found = np.isfinite(distance) & (distance > 0)
        kept = (self.columns["adversarial"] == self.clean.images).all(axis=(1, 2, 3))
        checks = [
            Check(label != self.clean.labels, "label {}, {} in the test split", (label, self.clean.labels)),
            Check(
                distance != self.smallest,
                "distance {}, {} is the smallest of the shards",
                (distance, self.smallest),
            ),
            Check(found & ~self.supported, "no shard of attack {!r} holds this adversarial", (attack,)),
            Check(~found & (attack != ""), "attack {!r} named where none found an adversarial", (attack,)),
            Check(~found & ~kept, "an image other than the clean one where none was found"),
        ]
        return Findings(n, faults=_faults(checks))


def measure(clean: np.ndarray, other: np.ndarray, norm: str) -> np.ndarray:
    """Distance (n,) of images (n, …) from others, in float64; l0 in changed pixels."""
    change = (other.astype(np.float64) - clean.astype(np.float64)).reshape(len(clean), -1)
    return _MEASURES[norm](change).astype(np.float64)


def _check_index(index: np.ndarray, clean: Clean) -> tuple[int | None, str] | None:
    """What is wrong with the positions (n,) of a file that should hold the images of `clean`, or None."""
    expected = clean.index
    if len(index) != len(expected):
        return None, f"holds {len(index)} images, expected are {len(expected)} from {clean.first} on"
    wrong = np.flatnonzero(index != expected)
    return (int(wrong[0]), f"index {index[wrong[0]]}, expected {expected[wrong[0]]}") if len(wrong) else None


def _tied(claimed: np.ndarray, logits: np.ndarray) -> np.ndarray:
    """Where (n,) bool the class claimed (n,) is not the highest of the logits (n, C), but as good as."""
    highest, lowest = logits.max(axis=1), logits.min(axis=1)
    known = (claimed >= 0) & (claimed < logits.shape[1])
    score = np.take_along_axis(logits, np.where(known, claimed, 0)[:, None], axis=1)[:, 0]
    close = highest - score <= TIE * (highest - lowest)
    return known & close & (claimed != logits.argmax(axis=1))


def _faults(checks: Iterable[Check]) -> tuple[tuple[int, str], ...]:
    """Each faulty row, in order, with the reason of the first check that it fails."""
    faults: dict[int, str] = {}
    for check in checks:
        for row in np.flatnonzero(check.rows).tolist():
            faults.setdefault(row, check.reason.format(*(values[row] for values in check.values)))
    return tuple(sorted(faults.items()))
