"""How measured numbers compare with the paper's: cells of Table 1, differences, chance, orderings."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from absynth.norms import NORMS

MEDIAN_LIMIT, ACCURACY_LIMIT = 15, 10  # per cent of the paper's median; percentage points
CHANCE = 2  # standard errors within which a difference may be due to the choice of images
Key = tuple[str, str, str]  # norm, attack, model; of a clean accuracy "clean", "clean", model


def number(value: float | None, template: str | Callable[[float], str] = "{:.4g}") -> str:
    """A number as text; "–" where there is none."""
    if value is None or pd.isna(value):
        return "–"
    if math.isinf(value):
        return f"{'−' * (value < 0)}∞"
    return template(value) if callable(template) else template.format(value)


def median_text(value: float | None, norm: str) -> str:
    """A median distance as the tables show it; "–" where there is none."""
    return number(value, NORMS[norm].format_median)


@dataclass(frozen=True)
class Entry:
    """One cell of Table 1: median distance (None where clean), accuracy in per cent, images (0 if unknown)."""

    median: float | None
    accuracy: float
    n: int = 0

    @property
    def hits(self) -> int:
        """The number of the n images that are correctly classified at ε."""
        return round(self.accuracy * self.n / 100)

    def text(self, norm: str) -> str:
        if self.median is None:
            return f"{self.accuracy:.1f}%"
        return f"{median_text(self.median, norm)} / {self.accuracy:.0f}%"

    def standard_error(self, n: int) -> float:
        """Standard error, in percentage points, of an accuracy measured on n images if this is the true one."""
        return math.sqrt(self.accuracy * (100 - self.accuracy) / n)


@dataclass(frozen=True)
class Difference:
    """By how many per cent a median and by how many points an accuracy differs; None within the limits."""

    median: float | None
    accuracy: float | None

    def __bool__(self) -> bool:
        return (self.median, self.accuracy) != (None, None)


@dataclass(frozen=True)
class Beyond:
    """The share of n images, in per cent, whose best adversarial lies beyond the paper's median.

    It is 50 if the paper's median holds; images at the median count half.
    """

    share: float
    n: int

    @classmethod
    def of(cls, distances: npt.NDArray[np.float64], median: float) -> "Beyond":
        share = (distances > median).mean() + (distances == median).mean() / 2
        return cls(100 * float(share), len(distances))

    @property
    def standard_error(self) -> float:
        """Standard error of the share, in percentage points, if the paper's median holds."""
        return 50 / math.sqrt(self.n)


def within_chance(ours: Entry, theirs: Entry, beyond: Beyond | None) -> bool:
    """Whether both median and accuracy lie within `CHANCE` standard errors of the paper's."""
    if beyond is None or abs(beyond.share - 50) > CHANCE * beyond.standard_error:
        return False
    return abs(ours.accuracy - theirs.accuracy) <= CHANCE * theirs.standard_error(ours.n)


def difference(ours: Entry | None, theirs: Entry | None) -> Difference:
    """What lies beyond the limits; nothing where either entry is missing."""
    if ours is None or theirs is None:
        return Difference(None, None)
    points = round(ours.accuracy - theirs.accuracy, 6)
    percent = 0.0
    if ours.median is not None and theirs.median is not None and ours.median != theirs.median:
        infinite = theirs.median == math.inf
        percent = -math.inf if infinite else round(100 * (ours.median / theirs.median - 1), 6)
    return Difference(
        percent if abs(percent) > MEDIAN_LIMIT else None, points if abs(points) > ACCURACY_LIMIT else None
    )


def ordering(
    cells: Mapping[Key, Entry], norm: str, model: str, extreme: Callable[..., float]
) -> tuple[str, str, int] | None:
    """Whether a model's median over all attacks is the extreme (max or min) of all models'.

    Returns whether it holds (as text), the runner-up, and the number of models; None where the model or any other
    is missing
    """
    medians = {name: cell.median for (n, attack, name), cell in cells.items() if (n, attack) == (norm, "all")}
    own = medians.pop(model, None)
    if own is None or not medians:
        return None
    runner_up = extreme(medians, key=medians.get)
    outcome = "holds" if extreme(own, medians[runner_up]) == own else "**does not hold**"
    return "tie" if own == medians[runner_up] else outcome, runner_up, len(medians) + 1
