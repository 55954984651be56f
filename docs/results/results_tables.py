"""What the tables of a results page share: Markdown, rows and columns, cells, and the caption below each."""

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache

from absynth.attacks.registry import ATTACKS
from absynth.models.registry import KINDS
from absynth.norms import NORMS
from absynth.reporting.machine import machine
from results_comparison import Key, difference
from results_data import Paper, Run
from run_settings import command_of, weights_of


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]], *captions: str) -> list[str]:
    """A table, text aligned left and numbers right, with captions below."""
    rows = list(rows)
    textual = [any(re.search("[A-Za-z]{2}", row[i]) for row in rows) for i in range(len(header))]
    lines = [header, [":--" if text else "--:" for text in textual], *rows]
    table = ["| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |" for line in lines]
    return [*table, "", *(line for caption in captions for line in (caption, ""))]


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
    """The line under each table: how the run was made."""
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
    if attack == "all":
        return f"All {NORMS[norm].title} attacks"
    return ATTACKS[attack].norms.get(norm, attack) if attack in ATTACKS else attack


def in_order(names: Iterable[str], known: Iterable[str]) -> list[str]:
    """The names without repetition: known ones in the order of `known`, then the others in theirs."""
    unique, order = dict.fromkeys(names), [*known]
    return [*(name for name in order if name in unique), *(name for name in unique if name not in order)]


def models_of(run: Run, paper: Paper) -> list[str]:
    """The models of either table, in the order of the columns."""
    return in_order([model for *_, model in [*paper.cells, *run.cells]], KINDS)


def rows_of(run: Run, paper: Paper) -> Iterator[tuple[str, str]]:
    """Norm and attack of each row of either table: clean accuracy first, `all` last in each norm."""
    yield "clean", "clean"
    keys = [*run.cells, *paper.cells]
    for norm in NORMS:
        attacks = in_order([attack for n, attack, _ in keys if n == norm], ATTACKS)
        for attack in sorted(attacks, key=lambda attack: attack == "all"):
            yield norm, attack


def beside(ours: str, theirs: str) -> str:
    """ours (theirs); ours alone where the paper has nothing."""
    return ours if theirs == "–" else f"{ours} ({theirs})"


def cell(run: Run, paper: Paper, key: Key, mark: str = "") -> str:
    """Both entries, ours in bold where they differ beyond the limits, and with a mark."""
    if key not in run.cells:
        return beside("–", paper.text(key))
    text = run.cells[key].text(key[0])
    differs = difference(run.cells[key], paper.cells.get(key))
    return beside((f"**{text}**" if differs else text) + mark, paper.text(key))
