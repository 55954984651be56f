"""What the results pages are made from: the paper's numbers, and those of a finished run."""

import json
import math
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from absynth.errors import InputError
from absynth.io.log import LOGGER
from absynth.io.records import MINIMAL, SHARD, read_record
from absynth.io.tables import read_table
from absynth.models.calibration_file import read_calibration
from absynth.workflow.plan import Plan
from absynth.workflow.shards import shard_spans
from results_comparison import Entry, Key

SCHEMAS = Path(__file__).parents[2] / "workflow" / "schemas"
TABLES = {
    "robustness": ("model", "norm", "attack", "median", "accuracy", "n"),
    "models": ("model", "alpha", "eta", "median_confidence", "n", "test_accuracy", "n_test"),
    "bracket_medians": ("model", "norm", "lower", "upper", "gap", "tight", "loose", "n"),
    "bounds": ("model", "norm", "bound", "mean", "median", "standard_error", "disagreeing", "seeds", "n"),
    "distal": ("model", "n", "reached", "distal"),
    "attacks": ("model", "norm", "attack", "n", "minima", "queries", "gradients", "seconds"),
    "runtime": ("stage", "jobs", "seconds", "longest", "memory"),
}


class Paper:
    """The paper's numbers: `cells` of Table 1, and others by quantity and model; each as a number and as printed.

    folder: holds table1.csv, constants.csv and curves.csv, the medians and accuracies over all attacks of the curves
    that an author published in figures/ of jonasrauber/analysis-by-synthesis (commit 1b2feb7)
    """

    def __init__(self, folder: Path):
        printed = pd.read_csv(folder / "table1.csv", dtype=str)
        self._constants = pd.read_csv(folder / "constants.csv", dtype=str).set_index(["quantity", "model"])
        self.cells: dict[Key, Entry] = {}
        self._printed: dict[Key, str] = {}
        for model, accuracy in self._constants.loc["clean_accuracy", "value"].items():
            self.cells["clean", "clean", model] = Entry(None, float(accuracy))
            self._printed["clean", "clean", model] = f"{accuracy}%"
        for row in printed.itertuples():
            key = (row.norm, row.attack, row.model)
            self.cells[key] = Entry(float(row.median), float(row.accuracy))
            self._printed[key] = f"{row.median.replace('inf', '∞')} / {row.accuracy}%"

        curves = pd.read_csv(folder / "curves.csv").itertuples()
        self._curves = {(row.norm, row.model): Entry(row.median, row.accuracy) for row in curves}

    def curve(self, norm: str, model: str) -> str:
        """Median and accuracy over all attacks by the curves published later; "–" where there is none."""
        return self._curves[norm, model].text(norm) if (norm, model) in self._curves else "–"

    def text(self, key: Key) -> str:
        """A cell as printed; "–" where the paper has none."""
        return self._printed.get(key, "–")

    def constant(self, quantity: str, model: str) -> str:
        """A number as printed, with its standard error if it has one; "–" where the paper has none."""
        if (quantity, model) not in self._constants.index:
            return "–"
        value, error = self._constants.loc[(quantity, model), ["value", "error"]]
        return value if pd.isna(error) else f"{value} ± {error}"

    def value(self, quantity: str, model: str) -> float:
        """The same as a number; NaN where the paper has none."""
        known = (quantity, model) in self._constants.index
        return float(self._constants.loc[(quantity, model), "value"]) if known else math.nan


class Run:
    """The tables of a finished run, empty where a table is missing, and the run's provenance.

    folder: the run's own, or what keep_run.py kept of it
    Raises InputError if the folder is not a finished run or a table lacks a column.
    """

    def __init__(self, folder: Path):
        self.folder, self.name = folder, folder.resolve().name
        if not self.file("robustness").is_file():
            missing = "lacks tables/robustness.csv" if folder.is_dir() else "there is no such folder"
            raise InputError(f"{folder}: not a finished run: {missing}")
        self.tables = {stem: self._read(stem, columns) for stem, columns in TABLES.items()}
        self.about = self._provenance()
        self.config = self.about.get("config", {})
        rows = self.tables["robustness"].itertuples()
        self.cells = {(r.norm, r.attack, r.model): Entry(r.median, 100 * r.accuracy, r.n) for r in rows}
        for row in self.tables["models"].itertuples():
            self.cells["clean", "clean", row.model] = Entry(None, 100 * row.test_accuracy, row.n_test)

    @property
    def place(self) -> str:
        """The folder as commands name it from the project's root."""
        kept = (self.folder / "distances").is_dir()
        return f"{'resources/' if kept else ''}results/{self.name}"

    def file(self, stem: str) -> Path:
        """The file of a table of the run by its name, whether or not there is one."""
        return _stored(self.folder / "tables" / f"{stem}.csv")

    def table(self, stem: str) -> pd.DataFrame:
        """A table of the run by its name; raises InputError if it is missing or damaged."""
        return read_table(self.file(stem))

    def _read(self, stem: str, columns: Sequence[str]) -> pd.DataFrame:
        path = self.file(stem)
        if not path.is_file():
            return pd.DataFrame(columns=list(columns))
        table = read_table(path)
        missing = [column for column in columns if column not in table]
        if missing:
            raise InputError(f"{path}: lacks the column {missing[0]}; delete it and rerun")
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

    def distances(self, key: Key) -> npt.NDArray[np.float64] | None:
        """The distance of each image's best adversarial (n,) float64; None if the run's files are gone.

        Raises InputError for a damaged file.
        """
        norm, attack, model = key
        kept = _stored(self.folder / "distances" / model / f"{norm}.csv")
        if kept.is_file():
            return read_table(kept)[attack].to_numpy(dtype=float)
        if attack == "paper":
            parts = [self.distances((norm, name, model)) for name in self._paper_attacks(model, norm)]
            whole = [part for part in parts if part is not None]
            return np.min(whole, axis=0) if whole and len(whole) == len(parts) else None
        if attack == "all":
            files, layout = [self.folder / "minimal" / model / f"{norm}.h5"], MINIMAL
        else:
            shards = self.folder / "attacks" / model / norm / attack
            spans = shard_spans(self.config) if self.config else []
            files = [shards / f"{shard}.h5" for shard in range(len(spans))]
            layout = SHARD
        if not files or not all(path.is_file() for path in files):
            return None
        return np.concatenate([read_record(path, layout)[0]["distance"] for path in files])

    def _paper_attacks(self, model: str, norm: str) -> list[str]:
        """The attacks whose minimum is the row `paper`."""
        return Plan(deepcopy(self.config), SCHEMAS).paper_attacks_on(model, norm) if self.config else []

    def bounds(self, model: str, norm: str) -> pd.DataFrame | None:
        """The lower bounds of each image, as bounds/{model}/{norm}.csv has them; None if that file is gone."""
        path = _stored(self.folder / "bounds" / model / f"{norm}.csv")
        return read_table(path) if path.is_file() else None

    def gamma(self, model: str) -> list[float] | None:
        """The model's factors γ of each class; None if it has none or its calibration is gone."""
        path = self.folder / "models" / model / "calibration.json"
        return read_calibration(path).get("gamma") if path.is_file() else None

    def finders(self, norm: str, model: str) -> tuple[dict[str, int], int]:
        """How many best adversarials each attack found, most first, and how many there are in all."""
        table = self.tables["attacks"]
        found = table[(table["model"] == model) & (table["norm"] == norm) & (table["minima"] > 0)]
        found = found.sort_values("minima", ascending=False, kind="stable")
        return dict(zip(found["attack"], found["minima"], strict=True)), int(found["minima"].sum())


class Together:
    """Several runs as one: a model's numbers in a norm are those of the first run that attacked it there.

    owners: that run, of each model and norm
    """

    def __init__(self, runs: Sequence[Run]):
        self.runs = list(runs)
        self.owners: dict[tuple[str, str], Run] = {}
        for run in self.runs:
            self.owners = {**dict.fromkeys(_cases(run.table("distances")), run), **self.owners}
        self.config = self.runs[0].config

    def table(self, stem: str) -> pd.DataFrame:
        """The rows of a table that has models and norms, each from the run that owns them.

        Runs that lack the table have no rows in it; raises InputError if all lack it.
        """
        parts = [(run, run.table(stem)) for run in self.runs if run.file(stem).is_file()]
        if not parts:
            raise InputError(f"{self.runs[0].file(stem)}: missing, as in all other runs")
        return pd.concat(
            [table[[self.owners.get(case) is run for case in _cases(table)]] for run, table in parts]
        )


def _cases(table: pd.DataFrame) -> list[tuple[str, str]]:
    """The model and the norm of each row."""
    return list(zip(table["model"], table["norm"], strict=True))


def _stored(path: Path) -> Path:
    """The path itself, or that of the same file compressed where only that exists."""
    compressed = path.with_name(f"{path.name}.gz")
    return compressed if compressed.is_file() and not path.is_file() else path
