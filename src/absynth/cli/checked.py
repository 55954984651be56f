"""What the checks of a run found, as text: those that its report shows, and which of them were not made."""

from collections.abc import Mapping

import pandas as pd

from absynth.api.run import Run
from absynth.io.tables import read_table
from absynth.norms import NORMS
from absynth.reporting.checks import TITLES, Check, checks, data_checks
from absynth.workflow.matrix import Matrix

_NOT_MADE = "not made"


def checks_text(run: Run) -> str:
    """A line for each check, with "!" where it found something, and then a line for each finding.

    "" for a run that has not come to any.
    """
    frames = _frames(run)
    if not frames and not run.finished:
        return ""
    made = {check.title: check for check in checks(frames, *_names(run))}
    lines = ["Checks:"]
    for stem, title in TITLES.items():
        if title in made:
            lines += _lines(made[title])
        elif stem != "bound_violations" or (run.path / "bounds").is_dir():
            lines.append(f"- {title}: {_NOT_MADE}")
    odd = data_checks(run.provenance) if run.finished else []
    return "\n".join(lines + [line for check in odd for line in _lines(check)])


def _frames(run: Run) -> dict[str, pd.DataFrame]:
    """The tables of checks that there are; of records that disagree, which leave none, what was found of each."""
    tables = {stem: run.path / "tables" / f"{stem}.csv" for stem in TITLES}
    frames = {stem: read_table(path) for stem, path in tables.items() if path.is_file()}
    if "verification" not in frames:
        found = [read_table(path) for path in sorted((run.path / "verification").glob("*/*.csv"))]
        if found:
            frames["verification"] = pd.concat(found, ignore_index=True)
    return frames


def _names(run: Run) -> tuple[Mapping[str, str], Mapping[str, Mapping[str, str]]]:
    """Titles of models, and of attacks by norm; of a run that has not finished none."""
    if not run.finished:
        return {}, {norm: {} for norm in NORMS}
    return run.labels, Matrix({"relay": None, **run.config}).attack_titles


def _lines(check: Check) -> list[str]:
    return [
        f"{'-' if check.passed else '!'} {check.title}: {check.text}",
        *(f"    {line}" for line in check.findings),
    ]
