"""The sections of a results page: their titles and words, and their tables as lines of Markdown."""

import math
from collections.abc import Callable, Sequence

from absynth.norms import NORMS
from results_comparison import (
    ACCURACY_LIMIT,
    CHANCE,
    MEDIAN_LIMIT,
    Beyond,
    Difference,
    Key,
    difference,
    median_text,
    number,
    ordering,
    within_chance,
)
from results_data import Notes, Paper, Run
from results_tables import (
    attack_title,
    beside,
    caption,
    cell,
    facts,
    markdown,
    model_label,
    models_of,
    rows_of,
)

ORDERINGS: dict[str, tuple[str, str, Callable[..., float]]] = {
    "ABS has the largest median in L2": ("l2", "abs", max),
    "Binary ABS has the largest median in L∞": ("linf", "binary_abs", max),
    "Binary ABS has the largest median in L0": ("l0", "binary_abs", max),
    "Madry et al. has the smallest median in L0": ("l0", "madry", min),
}
SECTIONS = {
    "runs": (
        "What was run",
        "As recorded in each run's `tables/`; the command is derived from its settings.",
    ),
    "table1": (
        "Table 1, cell by cell",
        "Median distance / accuracy at ε: ours, with the paper's in brackets. **Bold**: "
        f"the median differs by more than {MEDIAN_LIMIT} % of the paper's, or the accuracy by more than "
        f"{ACCURACY_LIMIT} points. –: not run. †: older code, see [What was run](#what-was-run).",
    ),
    "differences": (
        "Differences",
        "The bold cells, with a reason for each. *Beyond*: the share of our images whose best adversarial is farther "
        "than the paper's median; 50 % is expected if the paper's median holds. Standard errors (s.e.) are for as "
        "many images as ours, assuming that the paper's median, or accuracy, holds for all images.",
    ),
    "bracket": (
        "Lower and upper bound of each image",
        "Medians over images of the lower bound, of the distance of the best adversarial and of the gap between "
        "them. Numbers of images: *tight*, where the two differ by at most 1 % of the lower bound, misclassified "
        "images included; *loose*, by more than 10 %; *disagreeing*, where the two halves of the search's starts "
        "differ by more than 1 %.",
    ),
    "models": (
        "Clean accuracy and calibration",
        "Ours, with the paper's in brackets (Table 1 and A.5). α, η and the median confidence are computed on the "
        "calibration images; in the paper, on test images.",
    ),
    "bounds": (
        "Lower bounds",
        "Over images, with the standard error over draws of prior samples. The paper's are over all test images "
        "(section 7).",
    ),
    "distal": (
        "Distal adversarials",
        "Gradient ascents from noise. *Reached*: the image has the required confidence. *Distal*: it is also nearer "
        "to its noise than to any training image.",
    ),
    "orderings": (
        "Orderings",
        "The paper's bottom rows: a model's median over all attacks, and the runner-up's.",
    ),
}


def runs_section(found: Sequence[Run], *_: object) -> list[str]:
    """One column per run: how each was made."""
    columns = [facts(run) for run in found]
    rows = [[title, *(column[title] for column in columns)] for title in columns[0]]
    return markdown(["", *(run.name for run in found)], rows)


def table1_section(run: Run, paper: Paper, notes: Notes) -> list[str]:
    """Every cell of Table 1, in either table."""
    models, rows, section = models_of(run, paper), [], "clean"
    for norm, attack in rows_of(run, paper):
        if norm != section:
            epsilon = number(run.config.get("epsilons", {}).get(norm), "{:g}")
            rows.append([f"**{NORMS[norm].title}** (ε = {epsilon})", *[""] * len(models)])
            section = norm
        keys = [(norm, attack, model) for model in models]
        cells = [cell(run, paper, key, notes.mark(run.name, key)) for key in keys]
        rows.append([attack_title(attack, norm), *cells])
    return markdown(["", *map(model_label, models)], rows, caption(run))


def differences_section(run: Run, paper: Paper, notes: Notes) -> list[str]:
    """One row per cell that differs beyond the limits."""
    keys = [(*row, model) for row in rows_of(run, paper) for model in models_of(run, paper)]
    found = [(key, difference(run.cells.get(key), paper.cells.get(key))) for key in keys]
    rows = [_difference_row(run, paper, key, differs, notes) for key, differs in found if differs]
    header = ["norm", "attack", "model", "ours (paper)", "median", "accuracy", "reason"]
    return markdown(header, rows, caption(run)) if rows else [f"{run.name}: none.", ""]


def _difference_row(run: Run, paper: Paper, key: Key, differs: Difference, notes: Notes) -> list[str]:
    norm, attack, model = key
    ours, theirs = run.cells[key], paper.cells[key]
    distances = None if theirs.median is None else run.distances(key)
    beyond = None if distances is None else Beyond.of(distances, theirs.median)
    if within_chance(ours, theirs, beyond):
        limit = f"{CHANCE} standard errors"
        reason = f"None needed: within {limit}, too small to tell from chance with {ours.n} images."
    else:
        reason = notes.reason(run.name, key)
    if attack == "all":
        minima, total = run.finders(norm, model)
        best = [f"{attack_title(name, norm)} {count}" for name, count in [*minima.items()][:3]]
        reason = f"Best adversarials, of {total}: {', '.join(best)}. {reason}" if best else reason
    titles = [NORMS[norm].title if norm in NORMS else "", attack_title(attack, norm), model_label(model)]
    median = "" if differs.median is None else number(differs.median, "{:+.0f} %")
    if median and beyond:
        median += f"; {beyond.share:.0f} % beyond, s.e. {beyond.standard_error:.0f}"
    points = "" if differs.accuracy is None else f"{differs.accuracy:+.0f} points"
    if points:
        points += f", s.e. {theirs.standard_error(ours.n):.1f}"
    changes = [text.replace("-", "−") for text in (median, points)]
    return [*titles, cell(run, paper, key, notes.mark(run.name, key)), *changes, reason]


def bracket_section(run: Run, paper: Paper, _: Notes) -> list[str]:
    """One row per model and norm with both bounds: medians of the bounds, and how many are tight."""
    rows, bounds = [], run.tables["bounds"]
    joint = bounds[bounds["bound"] == "joint"].set_index(["model", "norm"])["disagreeing"]
    for row in run.tables["bracket_medians"].itertuples():
        key = (row.norm, "all", row.model)
        theirs = paper.cells[key].median if key in paper.cells else math.nan
        values = [median_text(value, row.norm) for value in (row.lower, row.upper, theirs, row.gap)]
        ratio = number(row.upper / row.lower, "{:.3f}") if row.lower else "–"
        disagreeing = joint.get((row.model, row.norm))
        counts = [number(value, "{:.0f}") for value in (row.tight, row.loose, disagreeing, row.n)]
        rows.append([model_label(row.model), NORMS[row.norm].title, *values, ratio, *counts])
    header = (
        "model", "norm", "lower bound", "attacks", "paper's attacks", "gap", "attacks / bound", "tight", "loose",
        "disagreeing", "images",
    )  # fmt: skip
    return markdown(header, rows, caption(run))


def models_section(run: Run, paper: Paper, _: Notes) -> list[str]:
    """Accuracy and calibration of each model, and the factors γ of those that have any."""
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


def bounds_section(run: Run, paper: Paper, _: Notes) -> list[str]:
    """One row per model, norm and kind of lower bound."""
    rows = []
    for row in run.tables["bounds"].itertuples():
        statistic = "median" if row.norm == "linf" else "mean"  # the one that the paper prints
        quantity = f"bound_{row.norm}_{statistic}"
        printed = paper.constant(quantity, row.model)
        ratio = getattr(row, statistic) / paper.value(quantity, row.model)
        shown = [number(value, "{:.3f}") for value in (row.mean, row.standard_error, row.median)]
        theirs = printed if printed == "–" else f"{statistic} {printed}"
        rows.append(
            [model_label(row.model), NORMS[row.norm].title, f"`{row.bound}`", *shown, theirs, number(ratio, "{:.2f}"),
             str(row.seeds), str(row.n)]
        )  # fmt: skip
    header = "model", "norm", "bound", "mean", "s.e.", "median", "paper", "ours / paper", "draws", "images"
    return markdown(header, rows, caption(run))


def distal_section(run: Run, *_: object) -> list[str]:
    """One row per model: how many ascents reached the confidence, and how many ended at distal adversarials."""
    rows = [
        [
            model_label(row.model),
            str(row.n),
            *(f"{k} ({100 * k / row.n:.0f}%)" for k in (row.reached, row.distal)),
        ]
        for row in run.tables["distal"].itertuples()
    ]
    return markdown(["model", "ascents", "reached", "distal"], rows, caption(run))


def orderings_section(found: Sequence[Run], paper: Paper, _: Notes) -> list[str]:
    """Whether each of `ORDERINGS` holds in the paper and in each run."""
    rows = [
        [claim, *(_ordering_text(source, *which) for source in (paper, *found))]
        for claim, which in ORDERINGS.items()
    ]
    return markdown(["", "paper", *(run.name for run in found)], rows, *map(caption, found))


def _ordering_text(source: Paper | Run, norm: str, model: str, extreme: Callable[..., float]) -> str:
    known = ordering(source.cells, norm, model, extreme)
    if known is None:
        return "–"
    outcome, runner_up, n = known
    own, other = (median_text(source.cells[norm, "all", name].median, norm) for name in (model, runner_up))
    return f"{outcome}: {own}; {model_label(runner_up)} {other}; of {n} models"


# Sections with one table of all runs, and those with one table per run.
TOGETHER = {"runs": runs_section, "orderings": orderings_section}
RUN_BY_RUN = {
    "table1": table1_section,
    "differences": differences_section,
    "bracket": bracket_section,
    "models": models_section,
    "bounds": bounds_section,
    "distal": distal_section,
}
