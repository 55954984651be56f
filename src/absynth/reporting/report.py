"""The report of a run: one HTML page that holds its tables, figures and settings, and needs nothing else."""

import base64
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
from docutils.core import publish_parts
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from absynth.norms import NORMS

LARGEST = 1e308  # by which infinity is sorted


@dataclass(frozen=True)
class Cell:
    """What a table shows, and by what it is sorted: a number, or None where there is nothing."""

    text: str
    sort: float | str | None


@dataclass(frozen=True)
class Table:
    """A sortable table. Each group of rows is sorted by itself, under its title if it has one."""

    header: Sequence[str]
    groups: Sequence[tuple[str, Sequence[Sequence[Cell]]]]

    @property
    def worded(self) -> list[bool]:
        """Which columns hold words and not numbers."""
        rows = [row for _, rows in self.groups for row in rows]
        return [any(isinstance(row[i].sort, str) for row in rows) for i in range(len(self.header))]


@dataclass(frozen=True)
class Field:
    """One column of a table: of which column of the CSV, under which title, formatted how."""

    name: str
    title: str
    format: str | Mapping[str, str] | Callable[[Any], str] = "{}"

    def cell(self, value: Any) -> Cell:
        if value is None or (isinstance(value, float) and math.isnan(value)):
            return Cell("–", None)
        if isinstance(value, float) and math.isinf(value):
            return Cell("∞", LARGEST)
        if isinstance(self.format, Mapping):
            text = self.format.get(value, str(value))
        else:
            text = self.format(value) if callable(self.format) else self.format.format(value)
        return Cell(text, text if isinstance(value, str) else float(value))


def flat_table(frame: pd.DataFrame, fields: Sequence[Field]) -> Table:
    """A table of one group, of those fields that the frame has."""
    shown = [field for field in fields if field.name in frame]
    rows = [[field.cell(row[field.name]) for field in shown] for row in frame.to_dict("records")]
    return Table([field.title for field in shown], [("", rows)])


def summary(robustness: pd.DataFrame, models: Mapping[str, str]) -> list[str]:
    """One sentence a norm: which model has the largest median distance over all attacks."""
    sentences = []
    overall = robustness[robustness["attack"] == "all"]
    for norm, rows in overall.groupby("norm", sort=False):
        best = rows.loc[rows["median"].idxmax()]
        median = "∞" if math.isinf(best["median"]) else NORMS[norm].format_median(best["median"])
        sentences.append(
            f"{NORMS[norm].title}: {models[best['model']]} withstands most, with a median distance of {median} "
            f"({100 * best['accuracy']:.0f} % accuracy at the threshold)."
        )
    return sentences


@dataclass(frozen=True)
class Figure:
    """A figure in a section: its source, an SVG as a data URI, and its caption, which is safe HTML."""

    section: str
    title: str
    source: str
    caption: Markup

    @classmethod
    def read(
        cls,
        drawing: str | Path,
        text: str | Path,
        *,
        config: Mapping[str, Any],
        section: str,
        title: str,
        wildcards: Mapping[str, str],
    ) -> "Figure":
        """Take an SVG file and a caption as Snakemake's own report has it: reStructuredText with Jinja.

        title: may name wildcards, as in "{norm}"
        As an image the drawing is isolated from the page, so that identifiers of two drawings cannot clash.
        """
        job = SimpleNamespace(config=config, wildcards=SimpleNamespace(**wildcards))
        filled = Environment().from_string(Path(text).read_text(encoding="utf-8")).render(snakemake=job)
        safe = {"file_insertion_enabled": False, "raw_enabled": False}
        html = publish_parts(filled, writer="html5", settings_overrides=safe)["body"]
        encoded = base64.b64encode(Path(drawing).read_bytes()).decode("ascii")
        named = title.format(
            **{key: NORMS[value].title if value in NORMS else value for key, value in wildcards.items()}
        )
        return cls(section, named, f"data:image/svg+xml;base64,{encoded}", Markup(html))


def render(template: str | Path, **content: Any) -> str:
    """Fill the page's template; whatever is text in `content` is escaped."""
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(Path(template).read_text(encoding="utf-8")).render(**content)
