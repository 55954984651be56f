"""What the report's browser of images shows: every model's best adversarial of each image, and what bounds it."""

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from markupsafe import Markup

from absynth.evaluation.bracket import is_loose, is_tight
from absynth.norms import NORMS
from absynth.reporting.pixels import Bytes, packed, pictures, reduction, sheet

BLOCK = 50  # images whose pictures are packed together: what a click unpacks
Arrays = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Case:
    """A model's best adversarials in one norm.

    found: columns of `absynth.io.records.MINIMAL` without the adversarials
    place (m,): which of the page's images each row is
    change (m, C, h, w): pictures of the adversarials minus those of the images, modulo 256
    """

    model: str
    norm: str
    found: Arrays
    place: npt.NDArray[np.int64]
    change: Bytes


@dataclass(frozen=True)
class Reconstructed:
    """A model's reconstructions, of the images `place` (m,), by label and adversarial class.

    pictures (m, 4, C, h, w): of the image by either class, of the adversarial by either; energy (m, 4), rival (m,)
    """

    model: str
    norm: str
    place: npt.NDArray[np.int64]
    rival: npt.NDArray[np.int64]
    energy: npt.NDArray[np.float64]
    pictures: Bytes


@dataclass(frozen=True)
class Browser:
    """What the template fills in.

    data: JSON; thumbnails: a data URI, "" without pictures; blocks: packed pictures, of `BLOCK` images each
    made: packed reconstructions, of the images of the first blocks
    n, pictured: images, and those with pictures; reduced: pixels of an image, along a side, in one of its picture
    columns: of thumbnails; size: height and width of a picture; channels: of a picture, 1 or 3
    """

    data: Markup
    thumbnails: str
    blocks: Sequence[str]
    made: Sequence[str]
    n: int
    pictured: int
    reduced: int
    columns: int
    size: tuple[int, int]
    channels: int


class Gallery:
    """The images of a run and what was found about each, added file by file so that few are in memory at a time.

    images (n, C, H, W) float32 in [0, 1], labels (n,): the first images of the test split
    """

    def __init__(self, images: npt.NDArray[np.float32], labels: npt.NDArray[np.int64]):
        self.clean, self.labels = pictures(images), labels
        self.reduced = reduction(images.shape[1:])
        self.cases: list[Case] = []
        self.reconstructed: list[Reconstructed] = []

    def add(self, model: str, norm: str, columns: Arrays) -> None:
        """Add a model's best adversarials in a norm, columns of `absynth.io.records.MINIMAL`."""
        place = columns["index"]
        distance = columns["distance"]
        change = pictures(columns["adversarial"]) - self.clean[place]  # modulo 256, as uint8 is
        change[~((distance > 0) & np.isfinite(distance))] = 0
        found = {name: values for name, values in columns.items() if name != "adversarial"}
        self.cases.append(Case(model, norm, found, place, change))

    def reconstruct(self, model: str, norm: str, columns: Arrays) -> None:
        """Add a model's reconstructions, columns of `absynth.io.records.RECONSTRUCTIONS`."""
        made = columns["reconstruction"]
        shown = pictures(made.reshape(-1, *made.shape[3:])).reshape(-1, 4, *self.clean.shape[1:])
        energy = columns["energy"].reshape(-1, 4)
        self.reconstructed.append(
            Reconstructed(model, norm, columns["index"], columns["rival"], energy, shown)
        )

    def browser(
        self,
        models: Mapping[str, str],
        attacks: Mapping[str, Mapping[str, str]],
        bounds: pd.DataFrame | None,
        room: float,
    ) -> Browser | None:
        """All of it as the page holds it; None if nothing was added.

        models: labels; attacks: titles, by norm; bounds: tables/bracket.csv
        room: characters that all of it may take; images whose pictures do not fit have none, reconstructions first
        """
        if not self.cases:
            return None
        found = self._data(models, attacks, bounds)
        room -= len(_written(found))
        size = math.prod(self.clean.shape[1:])
        shown = min(len(self.clean), max(0, int(room / 2)) // size)
        columns = max(1, math.ceil(math.sqrt(shown)))
        thumbnails = sheet(self.clean[:shown], columns) if shown else ""
        blocks = list(_fitting(self._blocks(shown), room - len(thumbnails)))
        pictured = min(shown, BLOCK * len(blocks))
        made = list(_fitting(self._made(pictured), room - len(thumbnails) - sum(map(len, blocks))))
        return Browser(
            data=Markup(_written({**found, "pictured": pictured, "sheet": shown, "made": BLOCK * len(made)})),
            thumbnails=thumbnails,
            blocks=blocks,
            made=made,
            n=len(self.clean),
            pictured=pictured,
            reduced=self.reduced,
            columns=columns,
            size=self.clean.shape[2:],
            channels=self.clean.shape[1],
        )

    def _blocks(self, n: int) -> Iterator[str]:
        """The pictures of each `BLOCK` images: the clean ones and the changes of each case."""
        for start in range(0, n, BLOCK):
            stop = min(start + BLOCK, n)
            parts = [self.clean[start:stop]]
            for case in self.cases:
                part = np.zeros_like(parts[0])
                chosen = (case.place >= start) & (case.place < stop)
                part[case.place[chosen] - start] = case.change[chosen]
                parts.append(part)
            yield packed(parts)

    def _made(self, n: int) -> Iterator[str]:
        """The reconstructions of each `BLOCK` images, by model."""
        for start in range(0, n if self.reconstructed else 0, BLOCK):
            stop = min(start + BLOCK, n)
            yield packed(
                [made.pictures[(made.place >= start) & (made.place < stop)] for made in self.reconstructed]
            )

    def _data(
        self,
        models: Mapping[str, str],
        attacks: Mapping[str, Mapping[str, str]],
        bounds: pd.DataFrame | None,
    ) -> dict[str, Any]:
        names = sorted({name for case in self.cases for name in case.found["attack"]})
        lower = {} if bounds is None else dict(list(bounds.groupby(["model", "norm"])))
        n = len(self.clean)
        return {
            "size": self.clean.shape[1:],
            "block": BLOCK,
            "label": self.labels.tolist(),
            "models": {case.model: models.get(case.model, case.model) for case in self.cases},
            "norms": {name: {"title": norm.title, "decimals": norm.decimals} for name, norm in NORMS.items()},
            "attacks": names,
            "titles": {norm: {name: titles.get(name, name) for name in names} for norm, titles in attacks.items()},
            "cases": [_case(case, names, lower.get((case.model, case.norm)), n) for case in self.cases],
            "reconstructed": [_reconstructed(made) for made in self.reconstructed],
        }  # fmt: skip


def _written(data: Mapping[str, Any]) -> str:
    """JSON in which no mark ends the script element that holds it."""
    written = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return written.replace("<", "\\u003c")


def _fitting(blocks: Iterable[str], room: float) -> Iterator[str]:
    for block in blocks:
        room -= len(block)
        if room < 0:
            return
        yield block


def _case(case: Case, names: Sequence[str], bounds: pd.DataFrame | None, n: int) -> dict[str, Any]:
    """Columns of n entries each, null where the image was not attacked; ∞ is -1."""
    attack = [names.index(name) for name in case.found["attack"]]
    columns: dict[str, Any] = {
        "model": case.model,
        "norm": case.norm,
        "distance": _spread(case.place, _rounded(case.found["distance"]), n),
        "attack": _spread(case.place, attack, n),
        "prediction": _spread(case.place, case.found["adversarial_prediction"].tolist(), n),
    }
    if bounds is not None and len(bounds):
        place = bounds["index"].to_numpy()
        columns["lower"] = _spread(place, _rounded(bounds["lower"].to_numpy()), n)
        columns["basis"] = str(bounds["basis"].iloc[0])
        columns["bracket"] = _spread(place, brackets(bounds), n)
    return columns


def brackets(found: pd.DataFrame) -> list[str]:
    """Of each row of tables/bracket.csv whether the bracket is "tight", "loose" or "between", as `medians` counts."""
    words = np.select([is_tight(found), is_loose(found)], ["tight", "loose"], "between")
    return [str(word) for word in words]


def _reconstructed(made: Reconstructed) -> dict[str, Any]:
    return {
        "model": made.model,
        "norm": made.norm,
        "place": made.place.tolist(),
        "rival": made.rival.tolist(),
        "energy": [_rounded(row) for row in made.energy],
    }


def _spread(place: npt.NDArray[np.int64], values: Sequence[Any], n: int) -> list[Any]:
    """The values at their places among n, None elsewhere."""
    spread: list[Any] = [None] * n
    for at, value in zip(place.tolist(), values, strict=True):
        spread[at] = value
    return spread


def _rounded(values: npt.NDArray[np.float64]) -> list[float]:
    return [float(f"{value:.6g}") if math.isfinite(value) else -1 for value in values]
