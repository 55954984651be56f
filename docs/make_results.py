"""Write docs/results.md, or another page: the tables of finished runs beside the paper's numbers.

python docs/make_results.py results/mnist-small
python docs/make_results.py results/mnist-small-published --output docs/results-published.md

Measured numbers come from the runs' tables/ (whether a difference may be chance, from their adversarials where those
are still there), the paper's from docs/paper/ (Table 1, A.5 and section 7, as said there), prose from
docs/results_notes.yaml.
"""

import argparse
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path

from absynth.attacks.registry import ATTACKS
from absynth.errors import InputError
from absynth.io.atomic import write_text
from absynth.io.log import LOGGER
from absynth.models.registry import KINDS
from absynth.norms import MEDIAN_FORMATS, TITLES
from absynth.workflow.provenance import machine
from results_data import (
    ACCURACY_LIMIT,
    CHANCE,
    MEDIAN_LIMIT,
    Beyond,
    Difference,
    Key,
    Notes,
    Paper,
    Run,
    by_chance,
    difference,
    number,
    ordering,
)
from run_settings import command_of, weights_of

DOCS = Path(__file__).parent
PAGE = DOCS / "results.md"
ORDERINGS = {
    "ABS has the largest median in L2": ("l2", "abs", max),
    "Binary ABS has the largest median in L∞": ("linf", "binary_abs", max),
    "Binary ABS has the largest median in L0": ("l0", "binary_abs", max),
    "Madry et al. has the smallest median in L0": ("l0", "madry", min),
}
SECTIONS = {
    "runs": (
        "What was run",
        "As recorded in each run's `tables/`; the command is worked out from its settings.",
    ),
    "table1": (
        "Table 1, cell by cell",
        "Median distance / accuracy at the threshold ε: ours, and in brackets the paper's. **Bold**: "
        f"the median differs by more than {MEDIAN_LIMIT} % of the paper's, or the accuracy by more than "
        f"{ACCURACY_LIMIT} points. –: not run.",
    ),
    "differences": (
        "Differences",
        "The bold cells, each with its reason. *Beyond*: the share of our images whose adversarial lies beyond the "
        "paper's median, 50 % if it held. Standard errors (s.e.) are those of as many images as ours if the paper's "
        "median, or accuracy, held for all.",
    ),
    "bracket": (
        "Between certificate and attacks",
        "Medians over images of the certified lower bound, of the nearest adversarial and of the gap between them. "
        "Numbers of images: *closed*, where the two differ by 1 % of the bound at most, those misclassified among them; "
        "*open*, by more than 10 %; *disagreeing*, where the two halves of the search's starts do so by more than "
        "1 %.",
    ),
    "models": (
        "Clean accuracy and calibration",
        "Ours, and in brackets the paper's (Table 1 and A.5). α, η and the median confidence are of the calibration "
        "images; in the paper of test images.",
    ),
    "bounds": (
        "Lower bounds",
        "Over images, with the standard error over draws of prior samples. The paper's are of all test images "
        "(section 7).",
    ),
    "distal": (
        "Distal adversarials",
        "Ascents from noise. *Sure of noise*: ended sure, and nearer to the noise than to any training image.",
    ),
    "orderings": (
        "Orderings",
        "The paper's bottom rows: the median over all attacks of a model, and of the next.",
    ),
}


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]], *captions: str) -> list[str]:
    """A table, columns of words to the left and of numbers to the right, and what it was made with below it."""
    rows = list(rows)
    worded = [any(re.search("[A-Za-z]{2}", row[i]) for row in rows) for i in range(len(header))]
    lines = [header, [":--" if words else "--:" for words in worded], *rows]
    table = ["| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |" for line in lines]
    return [*table, "", *(line for caption in captions for line in (caption, ""))]


@cache
def facts(run: Run) -> dict[str, str]:
    """What was run, with what, and when; "–" where it was not recorded."""
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
    """The line under each table."""
    known = facts(run)
    return (
        f"<sub>{run.name}: {known['command']}; weights: {known['weights']}; images attacked: "
        f"{known['images attacked']}; {known['hardware']}; wall time of all jobs together: "
        f"{known['wall time of all jobs together']}; {known['records made (UTC)']}</sub>"
    )


def model_label(name: str) -> str:
    return KINDS[name].label if name in KINDS else name


def attack_title(attack: str, norm: str) -> str:
    if norm == "clean":
        return "Clean, all test images"
    if attack == "all":
        return f"All {TITLES[norm]} attacks"
    return ATTACKS[attack].norms.get(norm, attack) if attack in ATTACKS else attack


def in_order(names: Iterable[str], known: Iterable[str]) -> list[str]:
    """The names, once each: those known in their order, then the others as they come."""
    names = dict.fromkeys(names)
    return [*(name for name in known if name in names), *(name for name in names if name not in {*known})]


def models_of(run: Run, paper: Paper) -> list[str]:
    return in_order([model for *_, model in [*paper.cells, *run.cells]], KINDS)


def rows_of(run: Run, paper: Paper) -> Iterator[tuple[str, str]]:
    """Norm and attack of every row of either table: clean accuracies first, each norm's `all` last."""
    yield "clean", "clean"
    keys = [*run.cells, *paper.cells]
    for norm in TITLES:
        attacks = in_order([attack for n, attack, _ in keys if n == norm], ATTACKS)
        for attack in sorted(attacks, key=lambda attack: attack == "all"):
            yield norm, attack


def beside(ours: str, theirs: str) -> str:
    """ours (theirs), without the brackets where the paper has nothing."""
    return ours if theirs == "–" else f"{ours} ({theirs})"


def cell(run: Run, paper: Paper, key: Key) -> str:
    """Both tables' entries, ours in bold where they differ beyond the limits."""
    text = run.cells[key].text(key[0]) if key in run.cells else "–"
    differs = difference(run.cells.get(key), paper.cells.get(key))
    return beside(f"**{text}**" if differs else text, paper.text(key))


def runs(found: Sequence[Run], *_) -> list[str]:
    columns = [facts(run) for run in found]
    rows = [[title, *(column[title] for column in columns)] for title in columns[0]]
    return markdown(["", *(run.name for run in found)], rows)


def table1(run: Run, paper: Paper, _) -> list[str]:
    models, rows, section = models_of(run, paper), [], "clean"
    for norm, attack in rows_of(run, paper):
        if norm != section:
            threshold = number(run.config.get("epsilons", {}).get(norm), "{:g}")
            rows.append([f"**{TITLES[norm]}** (ε = {threshold})", *[""] * len(models)])
            section = norm
        rows.append(
            [attack_title(attack, norm), *(cell(run, paper, (norm, attack, model)) for model in models)]
        )
    return markdown(["", *map(model_label, models)], rows, caption(run))


def differences(run: Run, paper: Paper, notes: Notes) -> list[str]:
    keys = [(*row, model) for row in rows_of(run, paper) for model in models_of(run, paper)]
    pairs = [(key, difference(run.cells.get(key), paper.cells.get(key))) for key in keys]
    rows = [_difference_row(run, paper, key, found, notes) for key, found in pairs if found]
    header = ["norm", "attack", "model", "ours (paper)", "median", "accuracy", "reason"]
    return markdown(header, rows, caption(run)) if rows else [f"{run.name}: none.", ""]


def _difference_row(run: Run, paper: Paper, key: Key, found: Difference, notes: Notes) -> list[str]:
    norm, attack, model = key
    ours, theirs = run.cells[key], paper.cells[key]
    distances = None if theirs.median is None else run.distances(key)
    beyond = None if distances is None else Beyond.of(distances, theirs.median)
    if by_chance(ours, theirs, beyond):
        reason = (
            f"None needed: within {CHANCE} standard errors, which {ours.n} images cannot tell from chance."
        )
    else:
        reason = notes.reason(run.name, key)
    if attack == "all":
        minima, total = run.finders(norm, model)
        best = [f"{attack_title(name, norm)} {count}" for name, count in [*minima.items()][:3]]
        reason = f"Nearest adversarials, of {total}: {', '.join(best)}. {reason}" if best else reason
    titles = [TITLES.get(norm, ""), attack_title(attack, norm), model_label(model)]
    median = "" if found.median is None else number(found.median, "{:+.0f} %")
    if median and beyond:
        median += f"; {beyond.share:.0f} % beyond, s.e. {beyond.standard_error:.0f}"
    points = "" if found.accuracy is None else f"{found.accuracy:+.0f} points"
    if points:
        points += f", s.e. {theirs.standard_error(ours.n):.1f}"
    changes = [text.replace("-", "−") for text in (median, points)]
    return [*titles, cell(run, paper, key), *changes, reason]


def bracket(run: Run, paper: Paper, _) -> list[str]:
    rows, bounds = [], run.tables["bounds"]
    joint = bounds[bounds["bound"] == "joint"].set_index(["model", "norm"])["disagreeing"]
    for row in run.tables["bracket_medians"].itertuples():
        key = (row.norm, "all", row.model)
        theirs = paper.cells[key].median if key in paper.cells else math.nan
        values = [
            number(value, MEDIAN_FORMATS[row.norm]) for value in (row.lower, row.upper, theirs, row.gap)
        ]
        ratio = number(row.upper / row.lower, "{:.3f}") if row.lower else "–"
        disagreeing = joint.get((row.model, row.norm))
        counts = [number(value, "{:.0f}") for value in (row.closed, row.open, disagreeing, row.n)]
        rows.append([model_label(row.model), TITLES[row.norm], *values, ratio, *counts])
    header = (
        "model", "norm", "lower bound", "attacks", "paper's attacks", "gap", "attacks / bound", "closed", "open",
        "disagreeing", "images",
    )  # fmt: skip
    return markdown(header, rows, caption(run))


def models(run: Run, paper: Paper, _) -> list[str]:
    rows, gammas = [], []
    for row in run.tables["models"].itertuples():
        name, constants = row.model, ("alpha", "eta", "median_confidence")
        values = [beside(number(getattr(row, key)), paper.constant(key, name)) for key in constants]
        clean = cell(run, paper, ("clean", "clean", name))
        rows.append([model_label(name), clean, *values, str(row.n_test), str(row.n)])
        gamma = [
            beside(number(value), paper.constant(f"gamma_{label}", name))
            for label, value in enumerate(run.gamma(name) or ())
        ]
        gammas += [[f"{model_label(name)}, γ", *gamma]] if gamma else []
    header = "model", "accuracy", "α", "η", "median confidence", "test images", "calibration images"
    lines = markdown(header, rows, caption(run))
    return lines + (
        markdown(["class", *map(str, range(len(gammas[0]) - 1))], gammas, caption(run)) if gammas else []
    )


def bounds(run: Run, paper: Paper, _) -> list[str]:
    rows = []
    for row in run.tables["bounds"].itertuples():
        statistic = "median" if row.norm == "linf" else "mean"  # which of the two the paper prints
        quantity = f"bound_{row.norm}_{statistic}"
        printed, ratio = (
            paper.constant(quantity, row.model),
            getattr(row, statistic) / paper.value(quantity, row.model),
        )
        shown = [number(value, "{:.3f}") for value in (row.mean, row.standard_error, row.median)]
        theirs = printed if printed == "–" else f"{statistic} {printed}"
        rows.append(
            [model_label(row.model), TITLES[row.norm], f"`{row.bound}`", *shown, theirs, number(ratio, "{:.2f}"),
             str(row.seeds), str(row.n)]
        )  # fmt: skip
    header = "model", "norm", "bound", "mean", "s.e.", "median", "paper", "ours / paper", "draws", "images"
    return markdown(header, rows, caption(run))


def distal(run: Run, *_) -> list[str]:
    rows = [
        [
            model_label(row.model),
            str(row.n),
            *(f"{k} ({100 * k / row.n:.0f}%)" for k in (row.reached, row.distal)),
        ]
        for row in run.tables["distal"].itertuples()
    ]
    return markdown(["model", "ascents", "ended sure", "sure of noise"], rows, caption(run))


def orderings(found: Sequence[Run], paper: Paper, _) -> list[str]:
    rows = [
        [claim, *(_verdict(source, *which) for source in (paper, *found))]
        for claim, which in ORDERINGS.items()
    ]
    return markdown(["", "paper", *(run.name for run in found)], rows, *map(caption, found))


def _verdict(source: Paper | Run, norm: str, model: str, extreme) -> str:
    known = ordering(source.cells, norm, model, extreme)
    if known is None:
        return "–"
    confirmation, rival, n = known
    own, other = (
        number(source.cells[norm, "all", name].median, MEDIAN_FORMATS[norm]) for name in (model, rival)
    )
    return f"{confirmation}: {own}; {model_label(rival)} {other}; of {n} models"


TOGETHER = {"runs": runs, "orderings": orderings}
RUN_BY_RUN = {
    "table1": table1, "differences": differences, "bracket": bracket, "models": models, "bounds": bounds,
    "distal": distal,
}  # fmt: skip


def main(
    folders: Sequence[Path], output: Path, notes_file: Path, paper_folder: Path = DOCS / "paper"
) -> None:
    """Write the page; warns of notes on these runs that fit no difference."""
    found, paper, notes = (
        [Run(path) for path in folders],
        Paper(paper_folder),
        Notes.read(notes_file, [*SECTIONS]),
    )
    command = " ".join(["python docs/make_results.py", *(f"results/{run.name}" for run in found)])
    if output.name != PAGE.name:
        command += f" --output docs/{output.name}"
    made = f"Made by `{command}`: edit reasons and remarks in `docs/results_notes.yaml`, and nothing here."
    lines = [
        f"# Results: {', '.join(run.name for run in found)}",
        "",
        f"{made} Numbers of the paper: `docs/paper/`.",
        "",
    ]
    for key, (title, intro) in SECTIONS.items():
        lines += [f"## {title}", "", intro, ""]
        lines += [notes.sections[key].strip(), ""] if key in notes.sections else []
        if key in TOGETHER:
            lines += TOGETHER[key](found, paper, notes)
        else:
            lines += [line for run in found for line in RUN_BY_RUN[key](run, paper, notes)]
    write_text(output, "\n".join(lines).rstrip("\n") + "\n")
    for pattern in notes.unused(run.name for run in found):
        LOGGER.warning("%s: cells.%s fits no difference", notes_file, pattern)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "runs", nargs="+", type=Path, help="folders of finished runs, say results/mnist-small"
    )
    parser.add_argument("--output", type=Path, default=PAGE, help="the page, in docs/ (default: results.md)")
    arguments = parser.parse_args()
    try:
        main(arguments.runs, arguments.output, DOCS / "results_notes.yaml")
    except InputError as error:
        parser.error(str(error))
