"""Check records against the test images and the model they are about, by code that shares nothing with the attacks.

Predictions are only as certain as floating-point arithmetic: an image on the decision boundary may be classified
differently in another batch, or on another device. A prediction that differs from the recorded one counts as a tie,
not as a disagreement, if the recorded class's logit is within TIE of the highest, as a share of the range of logits
(`absynth.models.logits.extent`).
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from absynth.io.records import near_bound
from absynth.models.logits import extent
from absynth.norms import NORMS

TIE = 1e-5
_DISTANCE_TOLERANCE = 1e-6  # relative

Array = npt.NDArray[Any]
Columns = Mapping[str, Array]
Logits = Callable[[Array], Array]  # copies of images (n, c, h, w) float32 to logits (n, classes)
Fault = tuple[int | None, str]  # the row, or None for the file as a whole, and what is wrong


@dataclass(frozen=True)
class Clean:
    """A contiguous range of test images, from position `first` of the test split on, and the model's logits for them.

    images (n, c, h, w) float32; labels (n,) int64; logits (n, classes)
    """

    first: int
    images: Array
    labels: Array
    logits: Array

    def part(self, first: int, last: int) -> "Clean":
        """The images from position `first` to `last` - 1 of the test split."""
        rows = slice(first - self.first, last - self.first)
        return Clean(first, self.images[rows], self.labels[rows], self.logits[rows])

    @property
    def index(self) -> Array:
        return self.first + np.arange(len(self.labels))


@dataclass(frozen=True)
class Bounded:
    """Where an attack may be done with an image: up to what share, `tightness`, above its proved bound.

    bound (n,) float64: NaN where nothing is proved
    epsilon: of the accuracy that is reported; where it lies between bound and distance the attack must go on
    """

    bound: Array
    tightness: float
    epsilon: float


class Check(NamedTuple):
    """The rows that fail a check; their reason is `reason` formatted with the row's `values`."""

    rows: Array  # (n,) bool
    reason: str
    values: tuple[Array, ...] = ()


@dataclass(frozen=True)
class Findings:
    """The result for one file.

    n: rows; checked: adversarials that were classified anew; ties: of the file's predictions
    faults: the rows that fail a check, in order, and why
    """

    n: int = 0
    checked: int = 0
    ties: int = 0
    faults: tuple[Fault, ...] = ()

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
    """The findings for a file that cannot be read at all."""
    return Findings(faults=((None, reason),))


def check_shard(
    columns: Columns, norm: str, clean: Clean, logits_of: Logits, bounded: Bounded | None = None
) -> Findings:
    """Check all rows of a shard (see `absynth.io.records.SHARD`) that should hold the images of `clean`.

    Every adversarial that differs from its clean image is classified anew with `logits_of`; every distance is
    measured anew in float64.
    bounded: of an attack that may be done with images near a proved bound; None for all others
    """
    n = len(columns["index"])
    misplaced = _check_index(columns["index"], clean) or _check_shape(columns["adversarial"], clean)
    if misplaced:
        return Findings(n, faults=(misplaced,))
    stored, distance = columns["adversarial"], columns["distance"]
    changed = (stored != clean.images).any(axis=(1, 2, 3))
    logits = clean.logits.copy()
    if changed.any():
        logits[changed] = logits_of(stored[changed])
    asked = {"clean_prediction": clean.logits, "adversarial_prediction": logits}
    tied = {name: _tied(columns[name], answer) for name, answer in asked.items()}
    truths = {name: predicted(answer) for name, answer in asked.items()}
    checks = [
        Check(columns["label"] != clean.labels, "label {}, {} in the test split", (columns["label"], clean.labels)),
        *(
            Check(
                (columns[name] != truth) & ~tied[name],
                f"{name} {{}}, the model says {{}}",
                (columns[name], truth),
            )
            for name, truth in truths.items()
        ),
        *_check_distance(columns, norm, clean, changed),
        *_check_ended(columns, bounded),
        Check(
            np.isfinite(distance) & (distance > 0) & (columns["adversarial_prediction"] == columns["label"]),
            "the adversarial is classified as {}, which is its label",
            (columns["adversarial_prediction"],),
        ),
        Check(
            np.isfinite(distance) & (distance > 0) & (columns["adversarial_prediction"] < 0),
            "the adversarial is classified as neither class: its logits are not finite",
        ),
    ]  # fmt: skip
    return Findings(n, int(changed.sum()), sum(int(ties.sum()) for ties in tied.values()), _faults(checks))


def _check_distance(columns: Columns, norm: str, clean: Clean, changed: Array) -> list[Check]:
    """Whether distances (n,) are 0, inf or finite where they should be, and agree with the stored images."""
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
        Check(misclassified & changed, "the clean image is misclassified, but another image is stored"),
        Check(np.isinf(distance) & changed & ~misclassified, "distance inf though an adversarial is stored"),
        Check(
            found & ~np.isclose(distance, measured, rtol=_DISTANCE_TOLERANCE, atol=0),
            "distance {} recorded, {} measured",
            (distance, measured),
        ),
    ]


def _check_ended(columns: Columns, bounded: Bounded | None) -> list[Check]:
    """Whether images that the attack was done with near a proved bound are as near as they must be."""
    distance, ended = columns["distance"], near_bound(columns)
    if bounded is None:
        return [Check(ended, "done with near a proved bound, though the attack must go on")]
    bound, largest = bounded.bound, (1 + bounded.tightness) * bounded.bound
    near = (distance > 0) & (distance <= largest)  # NaN is not near
    return [
        Check(
            ended & ~near, "done with at distance {}, too far above the proved bound {}", (distance, bound)
        ),
        Check(
            ended & (bound <= bounded.epsilon) & (bounded.epsilon < distance),
            "done with though ε lies between its proved bound {} and its distance {}",
            (bound, distance),
        ),
    ]


class MinimumCheck:
    """Checks that the file of per-sample minima is the minimum over the shards given to `add`.

    columns: of the file (see `absynth.io.records.MINIMAL`); clean: all images that were attacked
    """

    def __init__(self, columns: Columns, clean: Clean):
        self.columns, self.clean = columns, clean
        self.misplaced = _check_index(columns["index"], clean) or _check_shape(columns["adversarial"], clean)
        self.smallest = np.full(len(clean.labels), np.inf)
        self.supported = np.zeros(
            len(clean.labels), dtype=bool
        )  # the attack named has a shard with this adversarial

    def add(self, attack: str, first: int, columns: Columns) -> None:
        """Include a shard of `attack` whose images begin at position `first` of the test split."""
        rows = slice(first - self.clean.first, first - self.clean.first + len(columns["index"]))
        if self.misplaced or not np.array_equal(columns["index"], self.clean.index[rows]):
            return
        if columns["adversarial"].shape[1:] != self.clean.images.shape[1:]:
            return
        distance = columns["distance"]
        self.smallest[rows] = np.minimum(self.smallest[rows], distance)
        same = (self.columns["adversarial"][rows] == columns["adversarial"]).all(axis=(1, 2, 3))
        named = (self.columns["attack"][rows] == attack) & (self.columns["distance"][rows] == distance)
        self.supported[rows] |= named & same

    def findings(self) -> Findings:
        """The findings for the file, once all shards were added."""
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
                "distance {}, but the shards' smallest is {}",
                (distance, self.smallest),
            ),
            Check(found & ~self.supported, "no shard of attack {!r} holds this adversarial", (attack,)),
            Check(
                ~found & (attack != ""), "attack {!r} named where no attack found an adversarial", (attack,)
            ),
            Check(~found & ~kept, "an image other than the clean one where no attack found an adversarial"),
        ]
        return Findings(n, faults=_faults(checks))


def predicted(logits: Array) -> Array:
    """The class (n,) of the highest of logits (n, C); -1, neither class, where any of them is not finite."""
    return np.where(np.isfinite(logits).all(axis=1), logits.argmax(axis=1), -1)


def measure(clean: Array, other: Array, norm: str) -> Array:
    """Distance (n,) of images (n, C, H, W) from others, in float64; l0 in pixels of which any channel changed."""
    change = other.astype(np.float64) - clean.astype(np.float64)
    if norm == "l0":
        return (change != 0).any(axis=1).reshape(len(clean), -1).sum(axis=1).astype(np.float64)
    return np.linalg.norm(change.reshape(len(clean), -1), ord=NORMS[norm].order, axis=1)


def _check_index(index: Array, clean: Clean) -> Fault | None:
    """What is wrong with the positions (n,) of a file that should hold the images of `clean`, or None."""
    expected = clean.index
    if len(index) != len(expected):
        return None, f"holds {len(index)} images, expected {len(expected)} from position {clean.first} on"
    wrong = np.flatnonzero(index != expected)
    return (int(wrong[0]), f"index {index[wrong[0]]}, expected {expected[wrong[0]]}") if len(wrong) else None


def _check_shape(adversarial: Array, clean: Clean) -> Fault | None:
    """What is wrong with the shape of a file's images, or None."""
    found, expected = adversarial.shape[1:], clean.images.shape[1:]
    return None if found == expected else (None, f"images of shape {found}, expected {expected}")


def _tied(claimed: Array, logits: Array) -> Array:
    """Where (n,) bool the logit of the claimed class (n,) is not the highest (n, C) but practically equal."""
    finite = np.asarray(np.isfinite(logits).all(axis=1))
    logits = np.where(finite[:, None], logits, 0)
    highest, apart = logits.max(axis=1), extent(torch.from_numpy(logits)).numpy()
    known = (claimed >= 0) & (claimed < logits.shape[1])
    score = np.take_along_axis(logits, np.where(known, claimed, 0)[:, None], axis=1)[:, 0]
    close = highest - score <= TIE * apart
    return finite & known & close & (claimed != logits.argmax(axis=1))


def _faults(checks: Iterable[Check]) -> tuple[Fault, ...]:
    """Each row that fails a check, in order, with the reason of the first that it fails."""
    faults: dict[int, str] = {}
    for check in checks:
        for row in np.flatnonzero(check.rows).tolist():
            faults.setdefault(row, check.reason.format(*(values[row] for values in check.values)))
    return tuple(sorted(faults.items()))
