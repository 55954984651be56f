"""What the tables of results pages share: Markdown, rows and columns, cells, intervals, and how a run was made."""

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache

import numpy as np
import numpy.typing as npt

from absynth.attacks.registry import ATTACKS
from absynth.evaluation.intervals import median_interval, share_interval
from absynth.models.registry import KINDS
from absynth.norms import NORMS
from absynth.reporting import overview
from absynth.reporting.machine import machine
from results_comparison import Key, difference, median_text
from results_data import Paper, Run
from run_settings import command_of, weights_of

LAST = {"paper": 1, "all": 2}  # rows of several attacks together, after those of each


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table, text aligned left and numbers right."""
    rows = list(rows)
    textual = [any(re.search("[A-Za-z]{2}", row[i]) for row in rows) for i in range(len(header))]
    lines = [header, [":--" if text else "--:" for text in textual], *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |" for line in lines)


@cache
def facts(run: Run) -> dict[str, str]:
    """What was run, on which machine, and when; "–" where it was not recorded."""
    sizes = sorted(set(run.tables["robustness"]["n"]))
    time, known = run.tables["runtime"], machine(run.about) if run.about else {}
    named = {"cores": "{} cores", "attacks ran on": "attacks on {}"}
    keys = [key for key in ("processor", "cores", "memory", "GPUs", "attacks ran on") if key in known]
    parts = [named.get(key, "{}").format(known[key]) for key in keys]
    return {
        "command": command_of(run.config) if run.config else "–",
        "weights": weights_of(run.config) if run.config else "–",
        "images attacked": "–".join(map(str, dict.fromkeys((sizes[0], sizes[-1])))) if sizes else "–",
        "hardware": ", ".join(parts) or "–",
        "wall time of all jobs together": f"{time['seconds'].sum() / 3600:.2f} h" if len(time) else "–",
        "jobs timed": str(time["jobs"].sum()) if len(time) else "–",
        "records made (UTC)": known.get("records made (UTC)", "–"),
        "versions": ", ".join(f"{k} {v}" for k, v in run.about.get("versions", {}).items()) or "–",
    }


def caption(run: Run) -> str:
    """The line at the end of a page: how the run was made."""
    known = facts(run)
    return (
        f"<sub>{run.name}: {known['command']}; weights: {known['weights']}; images attacked: "
        f"{known['images attacked']}; {known['hardware']}; wall time of all jobs together: "
        f"{known['wall time of all jobs together']}; {known['records made (UTC)']}</sub>"
    )


def model_label(name: str) -> str:
    """A model's title; its name for a model of the user's."""
    return KINDS[name].label if name in KINDS else name


def attack_title(attack: str, norm: str) -> str:
    """The title of a row of Table 1."""
    if norm == "clean":
        return "Clean, all test images"
    if attack in LAST:
        return f"All {NORMS[norm].title} attacks{' of the paper' if attack == 'paper' else ''}"
    return ATTACKS[attack].norms.get(norm, attack) if attack in ATTACKS else attack


def in_order(names: Iterable[str], known: Iterable[str]) -> list[str]:
    """The names without repetition: known ones in the order of `known`, then the others in theirs."""
    unique, order = dict.fromkeys(names), [*known]
    return [*(name for name in order if name in unique), *(name for name in unique if name not in order)]


def models_of(run: Run, paper: Paper) -> list[str]:
    """The models of either table, in the order of the columns."""
    return in_order([model for *_, model in [*paper.cells, *run.cells]], KINDS)


def rows_of(run: Run, paper: Paper) -> Iterator[tuple[str, str]]:
    """Norm and attack of each row of either table: clean accuracy first, `paper` and `all` last in each norm."""
    yield "clean", "clean"
    keys = [*run.cells, *paper.cells]
    for norm in NORMS:
        attacks = in_order([attack for n, attack, _ in keys if n == norm], ATTACKS)
        for attack in sorted(attacks, key=lambda attack: LAST.get(attack, 0)):
            yield norm, attack


def beside(ours: str, theirs: str) -> str:
    """ours (theirs); ours alone where the paper has nothing."""
    return ours if theirs == "–" else f"{ours} ({theirs})"


def median_with_interval(median: float, distances: npt.NDArray[np.float64] | None, norm: str) -> str:
    """The median of distances and its confidence interval; `median` alone where the distances are gone."""
    if distances is None:
        return median_text(median, norm)
    return overview.median_text(distances, norm)


def cell(run: Run, paper: Paper, key: Key, mark: str = "") -> str:
    """A cell of Table 1 in lines: our median / accuracy, their intervals, the paper's; in bold what differs.

    mark: of the cell, set above the first line
    """
    ours, theirs = run.cells.get(key), paper.text(key)
    lines = ["–"] if ours is None else [_differing(run, paper, key), f"<small>{_intervals(run, key)}</small>"]
    lines[0] += f" <sup>{mark}</sup>" if mark else ""
    return "<br>".join([*lines, *([] if theirs == "–" else [f"*{theirs}*"])])


def _differing(run: Run, paper: Paper, key: Key) -> str:
    """Median / accuracy, or the accuracy alone of clean images; in bold what differs beyond the limits."""
    by = difference(run.cells[key], paper.cells.get(key))
    parts = run.cells[key].text(key[0]).split(" / ")
    differs = [value is not None for value in (by.median, by.accuracy)][-len(parts) :]
    return " / ".join(f"**{part}**" if bold else part for part, bold in zip(parts, differs, strict=True))


def _intervals(run: Run, key: Key) -> str:
    """The confidence intervals of both, that of the median left out where its distances are gone."""
    ours, distances = run.cells[key], run.distances(key) if key[0] in NORMS else None
    low, high = share_interval(ours.hits, ours.n)
    decimals = 1 if ours.median is None else 0
    parts = [f"{100 * low:.{decimals}f}–{high:.{decimals}%}"]
    if distances is not None:
        ends = median_interval(distances)
        texts = [median_text(end, key[0]) for end in ends]
        known = texts[0] if texts[0] == "∞" else "–".join(texts)
        parts.insert(0, known if ends[0] >= 0 else "too few")
    return " / ".join(parts)
