"""What docs/results.md is made of: the paper's numbers, those of a finished run, how they differ, and prose."""

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from absynth.errors import InputError
from absynth.io.log import LOGGER
from absynth.io.records import MINIMAL, SHARD, read_record
from absynth.models.calibration_file import read_calibration
from absynth.norms import MEDIAN_FORMATS

MEDIAN_LIMIT, ACCURACY_LIMIT = 15, 10  # per cent of the paper's median; percentage points
OPEN = "*open question*"
CHANCE = 2  # standard errors within which a difference may be the choice of images
TABLES = {
    "robustness": ("model", "norm", "attack", "median", "accuracy", "n"),
    "models": ("model", "alpha", "eta", "median_confidence", "n", "test_accuracy", "n_test"),
    "bracket_medians": ("model", "norm", "lower", "upper", "gap", "closed", "open", "n"),
    "bounds": ("model", "norm", "bound", "mean", "median", "standard_error", "disagreeing", "seeds", "n"),
    "distal": ("model", "n", "reached", "distal"),
    "attacks": ("model", "norm", "attack", "n", "minima"),
    "runtime": ("stage", "jobs", "seconds"),
}
Key = tuple[str, str, str]  # norm, attack, model; of a clean accuracy "clean", "clean", model


def number(value: float, template: str = "{:.4g}") -> str:
    """A number as text; "–" where there is none."""
    if value is None or pd.isna(value):
        return "–"
    return f"{'−' * (value < 0)}∞" if math.isinf(value) else template.format(value)


@dataclass(frozen=True)
class Entry:
    """One cell of Table 1: median distance (None where clean), accuracy in per cent, images (0 if unknown)."""

    median: float | None
    accuracy: float
    n: int = 0

    def text(self, norm: str) -> str:
        if self.median is None:
            return f"{self.accuracy:.1f}%"
        return f"{number(self.median, MEDIAN_FORMATS[norm])} / {self.accuracy:.0f}%"

    def standard_error(self, n: int) -> float:
        """Of an accuracy measured on n images if this one held for all images; percentage points."""
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
    """Of how many of n images, in per cent, the nearest adversarial lies beyond the paper's median.

    Half of them would if the paper's median held for all images; those that lie at it count half.
    """

    share: float
    n: int

    @classmethod
    def of(cls, distances: np.ndarray, median: float) -> "Beyond":
        share = (distances > median).mean() + (distances == median).mean() / 2
        return cls(100 * float(share), len(distances))

    @property
    def standard_error(self) -> float:
        """Of the share if the paper's median held for all images; percentage points."""
        return 50 / math.sqrt(self.n)


def by_chance(ours: Entry, theirs: Entry, beyond: Beyond | None) -> bool:
    """Whether both median and accuracy lie within `CHANCE` standard errors of the paper's."""
    if beyond is None or abs(beyond.share - 50) > CHANCE * beyond.standard_error:
        return False
    return abs(ours.accuracy - theirs.accuracy) <= CHANCE * theirs.standard_error(ours.n)


def difference(ours: Entry | None, theirs: Entry | None) -> Difference:
    """What lies beyond the limits; nothing where either is missing."""
    if ours is None or theirs is None:
        return Difference(None, None)
    points = round(ours.accuracy - theirs.accuracy, 6)
    percent = 0.0
    if ours.median != theirs.median:
        infinite = theirs.median == math.inf
        percent = -math.inf if infinite else round(100 * (ours.median / theirs.median - 1), 6)
    return Difference(
        percent if abs(percent) > MEDIAN_LIMIT else None, points if abs(points) > ACCURACY_LIMIT else None
    )


def ordering(
    cells: Mapping[Key, Entry], norm: str, model: str, extreme: Callable
) -> tuple[str, str, int] | None:
    """Whether a model's median over all attacks is the extreme (max or min) of all models'.

    Returns the confirmation, the other model that comes nearest to it, and the number of models; None where the model
    or any other is missing
    """
    medians = {name: cell.median for (n, attack, name), cell in cells.items() if (n, attack) == (norm, "all")}
    own = medians.pop(model, None)
    if own is None or not medians:
        return None
    rival = extreme(medians, key=medians.get)
    confirmation = "holds" if extreme(own, medians[rival]) == own else "**does not hold**"
    return "tie" if own == medians[rival] else confirmation, rival, len(medians) + 1


class Paper:
    """`cells` of the paper's Table 1, and its other numbers by quantity and model; all also as printed."""

    def __init__(self, folder: Path):
        printed = pd.read_csv(folder / "table1.csv", dtype=str)
        self._constants = pd.read_csv(folder / "constants.csv", dtype=str).set_index(["quantity", "model"])
        self.cells, self._printed = {}, {}
        for model, accuracy in self._constants.loc["clean_accuracy", "value"].items():
            self.cells["clean", "clean", model] = Entry(None, float(accuracy))
            self._printed["clean", "clean", model] = f"{accuracy}%"
        for row in printed.itertuples():
            key = (row.norm, row.attack, row.model)
            self.cells[key] = Entry(float(row.median), float(row.accuracy))
            self._printed[key] = f"{row.median.replace('inf', '∞')} / {row.accuracy}%"

    def text(self, key: Key) -> str:
        return self._printed.get(key, "–")

    def constant(self, quantity: str, model: str) -> str:
        """As printed, with its standard error if it has one."""
        if (quantity, model) not in self._constants.index:
            return "–"
        value, error = self._constants.loc[(quantity, model), ["value", "error"]]
        return value if pd.isna(error) else f"{value} ± {error}"

    def value(self, quantity: str, model: str) -> float:
        known = (quantity, model) in self._constants.index
        return float(self._constants.loc[(quantity, model), "value"]) if known else math.nan


class Run:
    """The tables of a finished run, empty where it has none, and what it was made with.

    Raises InputError if the folder is no run, or a table is not what its name says.
    """

    def __init__(self, folder: Path):
        self.folder, self.name = folder, folder.resolve().name
        if not (folder / "tables" / "robustness.csv").is_file():
            missing = "lacks tables/robustness.csv" if folder.is_dir() else "there is no such folder"
            raise InputError(f"{folder}: not a finished run: {missing}")
        self.tables = {stem: self._read(stem, columns) for stem, columns in TABLES.items()}
        self.about = self._provenance()
        self.config = self.about.get("config", {})
        rows = self.tables["robustness"].itertuples()
        self.cells = {(r.norm, r.attack, r.model): Entry(r.median, 100 * r.accuracy, r.n) for r in rows}
        for row in self.tables["models"].itertuples():
            self.cells["clean", "clean", row.model] = Entry(None, 100 * row.test_accuracy, row.n_test)

    def _read(self, stem: str, columns: Sequence[str]) -> pd.DataFrame:
        path = self.folder / "tables" / f"{stem}.csv"
        if not path.is_file():
            return pd.DataFrame(columns=list(columns))
        try:
            table = pd.read_csv(path)
        except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
            raise InputError(f"{path}: not a table ({error}); delete it and rerun") from None
        lacking = [column for column in columns if column not in table]
        if lacking:
            raise InputError(f"{path}: lacks the column {lacking[0]}; delete it and rerun")
        return table

    def _provenance(self) -> dict[str, Any]:
        path = self.folder / "tables" / "provenance.json"
        if not path.is_file():
            LOGGER.warning("%s: missing; its command, weights, hardware and date are left out", path)
            return {}
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise InputError(f"{path}: not valid JSON ({error}); delete it and rerun") from None

    def distances(self, key: Key) -> np.ndarray | None:
        """Of every image the distance of the adversarial found (n,) float64; None if the run's files are gone.

        Raises InputError for a damaged file.
        """
        norm, attack, model = key
        if attack == "all":
            files, layout = [self.folder / "minimal" / model / f"{norm}.h5"], MINIMAL
        else:
            shards = self.folder / "attacks" / model / norm / attack
            files = [shards / f"{shard}.h5" for shard in range(self.config.get("shards", 0))]
            layout = SHARD
        if not files or not all(path.is_file() for path in files):
            return None
        return np.concatenate([read_record(path, layout)[0]["distance"] for path in files])

    def gamma(self, model: str) -> list[float] | None:
        path = self.folder / "models" / model / "calibration.json"
        return read_calibration(path).get("gamma") if path.is_file() else None

    def finders(self, norm: str, model: str) -> tuple[dict[str, int], int]:
        """How many of the nearest adversarials each attack found, the most first, and how many there are."""
        table = self.tables["attacks"]
        found = table[(table["model"] == model) & (table["norm"] == norm) & (table["minima"] > 0)]
        found = found.sort_values("minima", ascending=False, kind="stable")
        return dict(zip(found["attack"], found["minima"], strict=True)), int(found["minima"].sum())


@dataclass
class Notes:
    """Prose: `sections`, by key, and `cells`: reasons for differences, by run/norm/attack/model.

    Names in a key of `cells` may hold * and ?; the first key that fits counts.
    """

    sections: Mapping[str, str]
    cells: Mapping[str, str]
    used: set[str] = field(default_factory=set)

    @classmethod
    def read(cls, path: Path, sections: Sequence[str]) -> "Notes":
        """Raises InputError for keys that mean nothing."""
        content = {
            key: value or {} for key, value in yaml.safe_load(path.read_text(encoding="utf-8")).items()
        }
        strange = [key for key in content if key not in ("sections", "cells")]
        strange += [f"sections.{key}" for key in content.get("sections", {}) if key not in sections]
        strange += [f"cells.{key}" for key in content.get("cells", {}) if key.count("/") != 3]
        if strange:
            allowed = f"sections.({'|'.join(sections)}) and cells.run/norm/attack/model"
            raise InputError(f"{path}: unknown key {strange[0]}; allowed are {allowed}")
        return cls(content.get("sections", {}), content.get("cells", {}))

    def reason(self, run: str, key: Key) -> str:
        pattern = next(
            (pattern for pattern in self.cells if fnmatchcase("/".join((run, *key)), pattern)), None
        )
        if pattern is None:
            return OPEN
        self.used.add(pattern)
        return " ".join(self.cells[pattern].split())

    def unused(self, runs: Iterable[str]) -> list[str]:
        """The reasons that none of these runs needed, of those that speak of one of them."""
        runs = [*runs]
        about = [
            pattern for pattern in self.cells if any(fnmatchcase(run, pattern.split("/")[0]) for run in runs)
        ]
        return [pattern for pattern in about if pattern not in self.used]
