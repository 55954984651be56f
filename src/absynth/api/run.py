"""A run of the workflow as an object: its settings, tables, adversarials, lower bounds and models."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from absynth.api.minima import Bounds, Minima
from absynth.data.split_files import read_split
from absynth.errors import InputError
from absynth.io.atomic import read_json
from absynth.io.opening import MADE
from absynth.io.records import MINIMAL, read_record
from absynth.io.tables import read_table
from absynth.workflow.matrix import Matrix

if TYPE_CHECKING:
    from torch import nn

_PROVENANCE = (
    "tables/provenance.json"  # made from all shards, so that a run with it has been through its attacks
)
_PARTS = ("data", "models", "attacks", "minimal", "bounds", "tables")  # folders by which a run is told
_BOUND = ("index", "label", "joint", "basis")
_OUTCOMES = ("minimal", "bounds")  # of these the files are named, of the other parts only their number


def open_run(path: str | Path) -> "Run":
    """Open the run of the workflow in a folder, `results/my-run` say, from wherever this is called.

    Nothing is read until it is asked for, and nothing of the run is executed but by `Run.load_model`. A run that has
    not finished opens as well: what it has can be read, and what it lacks is said when it is asked for.
    Raises `InputError` for a folder that holds no run, naming the runs that lie within it.
    """
    folder = Path(path)
    if not any((folder / part).is_dir() for part in _PARTS):
        raise InputError(f"{folder}: {_instead(folder)}")
    return Run(folder.resolve())


def _instead(folder: Path) -> str:
    """What is in a folder that holds no run."""
    if not folder.is_dir():
        return "no such folder" if not folder.exists() else "no folder; a run is a folder, as results/my-run"
    inside = sorted(part.name for part in folder.iterdir() if (part / "data").is_dir())
    runs = f"; the runs in it are {', '.join(inside)}" if inside else ""
    return f"holds no run of the workflow (none of {', '.join(f'{part}/' for part in _PARTS)}){runs}"


class Run:
    """A run of the workflow in the folder `path`. Made by `open_run`.

    All that reads a file raises `InputError` in one line if it is damaged, or not there: with what the run has.
    """

    def __init__(self, path: Path):
        self.path = path

    def __repr__(self) -> str:
        if not self.finished:
            return f"<Run {self.path}: {self._unfinished}>"
        return (
            f"<Run {self.path}: {self.n_samples} images, {', '.join(self.models)} in {', '.join(self.norms)}>"
        )

    @property
    def finished(self) -> bool:
        """Whether the run has been through all its attacks and says what it was made with.

        While a finished run is being made longer, it says what it was made with before.
        """
        return (self.path / _PROVENANCE).is_file()

    @cached_property
    def provenance(self) -> dict[str, Any]:
        """Settings, versions, hardware and dates: docs/reference/outputs.md, `provenance.json`."""
        if not self.finished:
            raise InputError(f"{self.path}: {self._unfinished}")
        return read_json(self.path / _PROVENANCE)

    @property
    def config(self) -> dict[str, Any]:
        """The whole config of the run: defaults filled in, presets and relay written out."""
        return self.provenance["config"]

    @property
    def name(self) -> str:
        """The name of the run, the key `run` of its config; its folder may have been renamed."""
        return self.config["run"]

    @property
    def n_samples(self) -> int:
        """How many test images were attacked."""
        return self.config["n_samples"]

    @property
    def norms(self) -> tuple[str, ...]:
        """The norms of the run, in its order."""
        return tuple(self._matrix.norms)

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the models under attack, in the order of tables and figures."""
        return tuple(self._matrix.models)

    @property
    def attacks(self) -> tuple[str, ...]:
        """Names of the attacks that a model met in a norm, in the order of tables and figures; relays by rounds."""
        met = {name for model in self.models for norm in self.norms for name in self.attacks_on(model, norm)}
        return tuple(name for name in self._matrix.attacks if name in met)

    @property
    def labels(self) -> Mapping[str, str]:
        """The title of each model in tables and figures."""
        return {name: model.label for name, model in self._matrix.models.items()}

    def attacks_on(self, model: str, norm: str) -> tuple[str, ...]:
        """Names of the attacks that a model met in a norm; `InputError` for a model or norm that the run lacks."""
        self._check("model", model, self.models)
        self._check("norm", norm, self.norms)
        return tuple(self._matrix.attacks_on(model, norm))

    def table(self, name: str) -> pd.DataFrame:
        """A table of the run by its stem, `"robustness"` say: docs/reference/outputs.md lists them."""
        self._check("table", name, sorted(path.stem for path in self.path.glob("tables/*.csv")))
        return read_table(self.path / "tables" / f"{name}.csv")

    def minima(self, model: str, norm: str) -> Minima:
        """The best adversarial of each image attacked, over all attacks of the run on a model in a norm."""
        columns, _ = read_record(
            self._outcome("minimal", model, norm, ".h5"), MINIMAL, {"model": model, "norm": norm}
        )
        index = columns["index"]
        clean, label = read_split(self.path / "data" / "test.h5", 0, int(index.max(initial=-1)) + 1)
        if not (label[index] == columns["label"]).all():
            raise InputError(
                f"{self.path}: data/test.h5 holds other images than minimal/{model}/{norm}.h5; run the workflow again"
            )
        return Minima(
            model=model,
            norm=norm,
            index=index,
            clean=clean[index],
            adversarial=columns["adversarial"],
            label=columns["label"],
            prediction=columns["adversarial_prediction"],
            distance=columns["distance"],
            attack=columns["attack"],
        )

    def bounds(self, model: str, norm: str) -> Bounds:
        """The lower bound on each image's distance, of a model that has such bounds."""
        path = self._outcome("bounds", model, norm, ".csv")
        rows = read_table(path)
        lacking = [column for column in _BOUND if column not in rows]
        if lacking:
            raise InputError(f"{path}: lacks the column {lacking[0]}; {MADE}")
        return Bounds(
            model=model,
            norm=norm,
            index=rows["index"].to_numpy(),
            label=rows["label"].to_numpy(),
            lower=rows["joint"].to_numpy(float),
            basis=rows["basis"].to_numpy(object),
        )

    def load_model(self, name: str, *, device: str = "cpu", inference: str | None = None) -> "nn.Module":
        """A model of the run, ready to query, as `absynth.load_model`.

        Of a user's own model this executes the code that the run keeps: only where you trust the run.
        """
        from absynth.models.loading import load_model

        return load_model(self.path, name, device=device, inference=inference)

    @cached_property
    def _matrix(self) -> Matrix:
        return Matrix({"relay": None, **self.config})

    @property
    def _unfinished(self) -> str:
        """What an unfinished run has and lacks."""
        return f"a run that has not finished: it lacks {_PROVENANCE}, and has {self._held()}"

    def _held(self) -> str:
        """The parts of the run that are there, in words."""
        parts = []
        for part in _PARTS:
            files = sorted(path for path in (self.path / part).rglob("*") if path.is_file())
            if part in _OUTCOMES and files:
                parts.append(f"{part} of {', '.join(_case_of(self.path / part, files))}")
            elif files:
                parts.append(f"{len(files)} {'file' if len(files) == 1 else 'files'} of {part}")
        return "; ".join(parts) or "no files"

    def _outcome(self, part: str, model: str, norm: str, suffix: str) -> Path:
        """The file of a model and norm in a part of the run; `InputError`, with those there are, if it has none."""
        path = self.path / part / model / f"{norm}{suffix}"
        if not path.is_file():
            cases = _case_of(self.path / part, sorted((self.path / part).glob(f"*/*{suffix}")))
            ended = "" if self.finished else f"; it is {self._unfinished}"
            raise InputError(
                f"{self.path}: no {part}/{model}/{norm}{suffix}; it has {', '.join(cases) or 'none'}{ended}"
            )
        return path

    def _check(self, kind: str, name: str, known: Any) -> None:
        if name not in known:
            ended = "" if self.finished else f"; it is {self._unfinished}"
            raise InputError(f"{self.path}: no {kind} {name!r}; it has {', '.join(known) or 'none'}{ended}")


def _case_of(folder: Path, files: list[Path]) -> list[str]:
    """Each model with its norms, of files folder/{model}/{norm}.…, as "mine in l2 and l0"."""
    norms: dict[str, dict[str, None]] = {}
    for path in files:
        if path.parent.parent == folder:
            norms.setdefault(path.parent.name, {})[path.name.split(".")[0].split("_")[0]] = None
    return [f"{model} in {' and '.join(found)}" for model, found in norms.items()]
