"""The report of a run: one self-contained HTML page with its tables, figures and settings."""

import base64
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
from docutils.core import publish_parts
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from absynth.norms import NORMS

LARGEST = 1e308  # sort key of infinity


@dataclass(frozen=True)
class Cell:
    """The text that a table shows, and its sort key: a number or a text, None for an empty cell.

    model: the config's name of the model that the cell's row is about or, if several cells of a row have one, its
        column; "" for neither
    """

    text: str
    sort: float | str | None
    model: str = ""


@dataclass(frozen=True)
class Table:
    """A sortable table. Rows are sorted within each group, which may have a title."""

    header: Sequence[str]
    groups: Sequence[tuple[str, Sequence[Sequence[Cell]]]]

    @property
    def empty(self) -> bool:
        """Whether it has no rows."""
        return not any(rows for _, rows in self.groups)

    @property
    def columns(self) -> list[str]:
        """The model that each column is about, where each model has one; "" for none."""
        first = next((row for _, rows in self.groups for row in rows), [])
        models = [cell.model for cell in first]
        return models if sum(map(bool, models)) > 1 else [""] * len(self.header)

    @property
    def textual(self) -> list[bool]:
        """Which columns hold text rather than numbers."""
        rows = [row for _, rows in self.groups for row in rows]
        return [any(isinstance(row[i].sort, str) for row in rows) for i in range(len(self.header))]


@dataclass(frozen=True)
class Field:
    """One column of a table: the column of the CSV it shows, its title and its format.

    format: a format string, labels by value, or a function of the value
    """

    name: str
    title: str
    format: str | Mapping[str, str] | Callable[[Any], str] = "{}"

    def cell(self, value: Any) -> Cell:
        """The cell of a value; "–" where it is missing. Values of the column `model` say which model it is."""
        if value is None or (isinstance(value, float) and math.isnan(value)):
            return Cell("–", None)
        if isinstance(value, float) and math.isinf(value):
            return Cell("∞", LARGEST)
        if isinstance(self.format, Mapping):
            text = self.format.get(value, str(value))
        else:
            text = self.format(value) if callable(self.format) else self.format.format(value)
        model = value if self.name == "model" else ""
        return Cell(text, text if isinstance(value, str) else float(value), model)


def flat_table(frame: pd.DataFrame, fields: Sequence[Field]) -> Table:
    """A table of one group, with those fields that the frame has."""
    shown = [field for field in fields if field.name in frame]
    rows = [[field.cell(row[field.name]) for field in shown] for row in frame.to_dict("records")]
    return Table([field.title for field in shown], [("", rows)])


@dataclass(frozen=True)
class Figure:
    """A figure in a section: its source, an SVG as a data URI, and its caption as safe HTML.

    ratio: of width to height, "" where the SVG states none
    """

    section: str
    title: str
    source: str
    caption: Markup
    ratio: str = ""

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
        """Read an SVG file and a caption in the format of Snakemake's report: reStructuredText with Jinja.

        drawing, text: the files of figure and caption; title: may name wildcards, as in "{norm}"
        The SVG is embedded as an image, which isolates it: identifiers of two figures cannot clash.
        """
        job = SimpleNamespace(config=config, wildcards=SimpleNamespace(**wildcards))
        filled = Environment().from_string(Path(text).read_text(encoding="utf-8")).render(snakemake=job)
        safe = {"file_insertion_enabled": False, "raw_enabled": False}
        html = publish_parts(filled, writer="html5", settings_overrides=safe)["body"]
        svg = Path(drawing).read_bytes()
        sides = re.search(rb'viewBox="[\d.-]+ [\d.-]+ ([\d.]+) ([\d.]+)"', svg[:2000])
        encoded = base64.b64encode(svg).decode("ascii")
        named = title.format(
            **{key: NORMS[value].title if value in NORMS else value for key, value in wildcards.items()}
        )
        ratio = f"{float(sides[1]):g} / {float(sides[2]):g}" if sides else ""
        return cls(section, named, f"data:image/svg+xml;base64,{encoded}", Markup(html), ratio)


def render(template: str | Path, **content: Any) -> str:
    """Fill in the page's template, which may include others of its folder; text in `content` is escaped."""
    environment = Environment(
        loader=FileSystemLoader(Path(template).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(Path(template).name).render(**content)
