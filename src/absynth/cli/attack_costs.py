"""What attacks cost: how often they ask a model, and their own work, as measured in resources/attack_costs.csv."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from absynth.cli.model_speed import Speed
from absynth.io.atomic import read_rows

COLUMNS = ("attack", "norm", "model", "preset", "images", "values", "queries", "gradients", "seconds",
           "model_seconds", "options")  # fmt: skip
# Options that an attack's queries are taken to be in proportion to.
EFFORT = ("steps", "repetitions", "restarts", "step_sizes", "epsilons", "walks", "width", "candidates", "targets",
          "queries", "rounds")  # fmt: skip
_TRUSTED = 4.0  # factor of the effort up to which a measurement is scaled to other options


@dataclass(frozen=True)
class Measurement:
    """One row of the table: an attack on `images` images of `values` pixel values each, in one batch.

    source: the model and the preset that it was measured on and with
    queries, gradients: mean per image; seconds: CPU seconds for all of them, of which calls of the model took
        `model_seconds` by the time of one call of the whole batch
    """

    attack: str
    norm: str
    source: tuple[str, str]
    images: int
    values: int
    queries: float
    gradients: float
    seconds: float
    model_seconds: float
    options: Mapping[str, Any]

    def calls(self, speed: Speed) -> float:
        """Seconds of a batch's calls of a model, by its speed for a batch of that size."""
        whole = self.queries * speed.forward + self.gradients * speed.backward
        # An attack that asks for several queries of an image at a time takes less than as many batches.
        return whole * min(1.0, self.seconds / self.model_seconds) if self.model_seconds else whole

    @property
    def own(self) -> float:
        """Seconds of the attack's own work."""
        return max(0.0, self.seconds - self.model_seconds)

    @property
    def pixels(self) -> int:
        """Pixel values of the whole batch."""
        return self.images * self.values


@dataclass(frozen=True)
class Range:
    """Seconds, at the least and at the most, that measurements on different models and batches lead to."""

    low: float
    high: float

    def __add__(self, other: "Range") -> "Range":
        return Range(self.low + other.low, self.high + other.high)

    def over(self, cores: int) -> "Range":
        """The same on so many cores side by side."""
        return Range(self.low / cores, self.high / cores)


class AttackCosts:
    """The measurements, by attack and norm."""

    def __init__(self, measurements: Sequence[Measurement]):
        self._by_case: dict[tuple[str, str], list[Measurement]] = {}
        for row in measurements:
            self._by_case.setdefault((row.attack, row.norm), []).append(row)

    def seconds(
        self,
        attack: str,
        norm: str,
        options: Mapping[str, Any],
        batches: Sequence[int],
        values: int,
        speed: Callable[[int], Speed],
    ) -> Range | None:
        """What batches of images of `values` pixel values take; None for an attack that was not measured.

        attack: its kind; options: its own; speed: that of the model under attack, by the size of a batch
        """
        known = self._by_case.get((attack, norm), [])
        scales = {row.source: effort(options, row.options) for row in known}
        distances = {source: abs(math.log(scale)) for source, scale in scales.items()}
        nearest = min(distances.values(), default=math.inf)
        if nearest > math.log(_TRUSTED):
            return None
        costs = []
        for source, distance in distances.items():
            if distance <= nearest + 1e-9:
                rows = [row for row in known if row.source == source]
                costs += [
                    scales[source] * sum(row.calls(speed(batch)) + work for batch in batches)
                    for row in rows
                    for work in own_work(rows, batches[0] * values)
                ]
        return Range(min(costs), max(costs))


def own_work(rows: Sequence[Measurement], pixels: int) -> tuple[float, float]:
    """Seconds, at the least and at the most, of an attack's own work on a batch of so many pixel values.

    Measured at two sizes it is linear in the pixels; measured at one, it may be constant or in proportion to them.
    """
    small, large = (choose(rows, key=lambda row: row.pixels) for choose in (min, max))
    if small.pixels == large.pixels:
        grown = small.own * max(1.0, pixels / small.pixels)
        return small.own, grown
    slope = max(0.0, large.own - small.own) / (large.pixels - small.pixels)
    at = max(0.0, large.own + slope * (pixels - large.pixels))
    return at, at


def effort_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Those options that queries are in proportion to."""
    return {key: options[key] for key in EFFORT if key in options}


def effort(options: Mapping[str, Any], measured: Mapping[str, Any]) -> float:
    """How many times as many queries as with the options that were measured."""
    scale = 1.0
    for key, value in measured.items():
        if key in options:
            scale *= max(1e-9, _amount(options[key])) / max(1e-9, _amount(value))
    return scale


def _amount(value: Any) -> float:
    return float(len(value)) if isinstance(value, list | dict) else float(value or 0)


def read_costs(path: Path) -> AttackCosts:
    """The measurements in a file of `benchmarks/attack_costs.py`."""
    numbers = ("queries", "gradients", "seconds", "model_seconds")
    return AttackCosts(
        [
            Measurement(
                attack=row["attack"],
                norm=row["norm"],
                source=(row["model"], row["preset"]),
                images=int(row["images"]),
                values=int(row["values"]),
                options=json.loads(row["options"]),
                **{name: float(row[name]) for name in numbers},
            )
            for row in read_rows([path])
        ]
    )
