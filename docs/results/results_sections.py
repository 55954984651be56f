"""The tables of the results pages, each made of a run beside the paper, as Markdown."""

import math
from collections.abc import Callable

import numpy as np

from absynth.norms import NORMS
from absynth.reporting.overview import share_text
from results_cells import Comparison, Differing
from results_comparison import Key, median_text, number, ordering
from results_data import Paper, Run
from results_tables import (
    attack_title,
    beside,
    cell,
    facts,
    in_order,
    markdown,
    median_with_interval,
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


def made(of: Comparison) -> str:
    """How the run was made, one row per fact."""
    return markdown(["", of.run.name], [[title, fact] for title, fact in facts(of.run).items()])


def table1(of: Comparison, norm: str, *, own: bool = False) -> str:
    """The cells of a norm in either table, or of the clean images ("clean").

    own: of the run's models alone
    """
    models = models_of(of.run, of.paper)
    if own:
        models = [name for name in models if name in {model for *_, model in of.run.cells}]
    rows = []
    for _, attack in (row for row in rows_of(of.run, of.paper) if row[0] == norm):
        keys = [(norm, attack, model) for model in models]
        rows.append(
            [attack_title(attack, norm), *(cell(of.run, of.paper, key, of.mark(key)) for key in keys)]
        )
    return markdown(["", *map(model_label, models)], rows)


def differences(of: Comparison) -> str:
    """One row per cell that differs beyond the limits."""
    header = ["norm", "attack", "model", "median", "paper", "change", "beyond", "accuracy", "paper", "change"]
    rows = [_difference_row(of, key, differing) for key, differing in of.differing.items()]
    return markdown([*header, "notes"], rows)


def _difference_row(of: Comparison, key: Key, differing: Differing) -> list[str]:
    norm, attack, model = key
    ours, theirs, by, beyond = differing.ours, differing.theirs, differing.by, differing.beyond
    titles = [NORMS[norm].title if norm in NORMS else "", attack_title(attack, norm), model_label(model)]
    medians = ["", "", "", ""]
    if by.median is not None and ours.median is not None:
        medians = [median_with_interval(ours.median, of.run.distances(key), norm)]
        medians += [number(theirs.median, "{:g}"), number(by.median, "{:+.0f} %").replace("-", "−")]
        medians.append(f"{beyond.share:.0f} %" if beyond else "–")
    accuracies = ["", "", ""]
    if by.accuracy is not None:
        change = f"{by.accuracy:+.0f} points, s.e. {theirs.standard_error(ours.n):.1f}".replace("-", "−")
        accuracies = [share_text(ours.hits, ours.n), f"{theirs.accuracy:g}%", change]
    return [*titles, *medians, *accuracies, of.mark(key, of.places.notes)]


def finders(of: Comparison, norm: str) -> str:
    """How many of each model's best adversarials each attack found; the median and the accuracy that they give."""
    models = [model for model in models_of(of.run, of.paper) if (norm, "all", model) in of.run.cells]
    found = {model: of.run.finders(norm, model) for model in models}
    attacks = in_order([attack for counts, _ in found.values() for attack in counts], _attacks(of, norm))
    rows = [
        [attack_title(attack, norm), *(str(found[model][0].get(attack, "")) for model in models)]
        for attack in attacks
    ]
    rows.append(["all", *(str(total) for _, total in found.values())])
    keys = [(norm, "all", model) for model in models]
    cells = [of.run.cells[key] for key in keys]
    medians = [
        median_with_interval(entry.median or 0.0, of.run.distances(key), norm)
        for key, entry in zip(keys, cells, strict=True)
    ]
    rows.append(["median distance", *medians])
    rows.append(["accuracy", *(share_text(entry.hits, entry.n) for entry in cells)])
    rows.append(["paper's attacks", *(of.paper.text(key) for key in keys)])
    rows.append(["authors' curves", *(of.paper.curve(norm, model) for model in models)])
    return markdown(["found by", *map(model_label, models)], rows)


def _attacks(of: Comparison, norm: str) -> list[str]:
    return [attack for other, attack in rows_of(of.run, of.paper) if other == norm]


def costs(of: Comparison, norm: str) -> str:
    """Seconds for each correctly classified image, and queries and gradients of each, by attack and model."""
    table = of.run.tables["attacks"]
    rows = table[table["norm"] == norm].set_index(["attack", "model"])
    models = [model for model in models_of(of.run, of.paper) if model in set(rows.index.get_level_values(1))]

    def text(attack: str, model: str) -> str:
        if (attack, model) not in rows.index:
            return "–"
        row = rows.loc[attack, model]
        gradients = f" + {row['gradients']:.0f}" if row["gradients"] else ""
        return f"{row['seconds'] / row['n']:.2g} s<br><small>{row['queries']:.0f}{gradients}</small>"

    attacks = [attack for attack in _attacks(of, norm) if attack in set(rows.index.get_level_values(0))]
    lines = [[attack_title(attack, norm), *(text(attack, model) for model in models)] for attack in attacks]
    return markdown(["", *map(model_label, models)], lines)


def stages(of: Comparison) -> str:
    """What the jobs of each rule took."""
    rows = [
        [
            f"`{row.stage}`",
            str(row.jobs),
            *(f"{value:,.0f}" for value in (row.seconds, row.longest, row.memory)),
        ]
        for row in of.run.tables["runtime"].itertuples()
    ]
    return markdown(["rule", "jobs", "seconds", "longest job, s", "most memory of a job, MB"], rows)


def bracket(of: Comparison) -> str:
    """One row per model and norm with both bounds: medians and accuracies by either, and how far they are apart."""
    rows, images = [], of.run.table("bracket")
    for row in of.run.tables["bracket_medians"].itertuples():
        part = images[(images["model"] == row.model) & (images["norm"] == row.norm)]
        key, sides = (row.norm, "all", row.model), ("lower", "upper")
        theirs = of.paper.cells[key].median if key in of.paper.cells else math.nan
        medians = [
            median_with_interval(getattr(row, side), part[side].to_numpy(dtype=float), row.norm)
            for side in sides
        ]
        epsilon = of.run.config["epsilons"][row.norm]
        shares = [share_text(int((part[side] > epsilon).sum()), len(part)) for side in sides]
        correct = part[part["upper"] > 0]
        ratio = number(float((correct["upper"] / correct["lower"]).median()), "{:.3f}")
        paper = median_text(theirs, row.norm)
        rows.append(
            [model_label(row.model), NORMS[row.norm].title, part["basis"].iloc[0], *medians, paper, ratio, *shares]
        )  # fmt: skip
    header = (
        "model", "norm", "basis", "median lower bound", "median of attacks", "paper's attacks", "upper / lower",
        "accuracy by bounds", "accuracy under attack",
    )  # fmt: skip
    return markdown(header, rows)


def tightness(of: Comparison) -> str:
    """One row per model and norm with both bounds: on how many images they are close."""
    rows, bounds = [], of.run.tables["bounds"]
    joint = bounds[bounds["bound"] == "joint"].set_index(["model", "norm"])["disagreeing"]
    for row in of.run.tables["bracket_medians"].itertuples():
        gap = median_text(row.gap, row.norm)
        shares = [share_text(int(count), int(row.n)) for count in (row.tight, row.loose)]
        disagreeing = number(joint.get((row.model, row.norm)), "{:.0f}")
        rows.append([model_label(row.model), NORMS[row.norm].title, gap, *shares, disagreeing, str(row.n)])
    return markdown(["model", "norm", "median gap", "tight", "loose", "disagreeing", "images"], rows)


def bounds(of: Comparison) -> str:
    """One row per model, norm and kind of lower bound, beside the paper's."""
    rows = []
    for row in of.run.tables["bounds"].itertuples():
        statistic = "median" if row.norm == "linf" else "mean"  # the one that the paper prints
        quantity = f"bound_{row.norm}_{statistic}"
        printed = of.paper.constant(quantity, row.model)
        ratio = getattr(row, statistic) / of.paper.value(quantity, row.model)
        images = of.run.bounds(row.model, row.norm)
        values = None if images is None else images[row.bound].to_numpy(dtype=float)
        mean = number(row.mean, "{:.3f}")
        if values is not None:
            mean += f" ± {1.96 * np.std(values, ddof=1) / math.sqrt(len(values)):.3f}"
        median = median_with_interval(row.median, values, row.norm)
        shown = [mean, number(row.standard_error, "{:.3f}"), median]
        theirs = printed if printed == "–" else f"{statistic} {printed}"
        names = [model_label(row.model), NORMS[row.norm].title, f"`{row.bound}`"]
        rows.append([*names, *shown, theirs, number(ratio, "{:.2f}"), str(row.seeds), str(row.n)])
    header = "model", "norm", "bound", "mean", "s.e.", "median", "paper", "ours / paper", "draws", "images"
    return markdown(header, rows)


def calibration(of: Comparison) -> str:
    """Accuracy and calibration of each model."""
    rows = []
    for row in of.run.tables["models"].itertuples():
        name, constants = row.model, ("alpha", "eta", "median_confidence")
        values = [beside(number(getattr(row, key)), of.paper.constant(key, name)) for key in constants]
        clean = share_text(round(row.test_accuracy * row.n_test), row.n_test, 2)
        paper = of.paper.text(("clean", "clean", name))
        rows.append([model_label(name), clean, paper, *values, str(row.n_test), str(row.n)])
    header = (
        "model", "accuracy", "paper", "α (paper)", "η (paper)", "median confidence (paper)", "test images",
        "calibration images",
    )  # fmt: skip
    return markdown(header, rows)


def gammas(of: Comparison) -> str:
    """The factors γ of each class, of models that have any."""
    rows = []
    for name in of.run.tables["models"]["model"]:
        factors = [
            beside(number(value), of.paper.constant(f"gamma_{label}", name))
            for label, value in enumerate(of.run.gamma(name) or ())
        ]
        rows += [[f"{model_label(name)}, γ (paper)", *factors]] if factors else []
    return markdown(["class", *map(str, range(len(rows[0]) - 1))], rows) if rows else ""


def distal(of: Comparison) -> str:
    """One row per model: how many ascents reached the confidence, and how many ended at distal adversarials."""
    rows = [
        [model_label(row.model), str(row.n), *(share_text(k, row.n) for k in (row.reached, row.distal))]
        for row in of.run.tables["distal"].itertuples()
    ]  # fmt: skip
    return markdown(["model", "ascents", "reached", "distal"], rows)


def orderings(of: Comparison) -> str:
    """Whether each of `ORDERINGS` holds in the paper and in the run."""
    rows = [
        [claim, *(_ordering_text(source, *which) for source in (of.paper, of.run))]
        for claim, which in ORDERINGS.items()
    ]
    return markdown(["", "paper", of.run.name], rows)


def _ordering_text(source: Paper | Run, norm: str, model: str, extreme: Callable[..., float]) -> str:
    known = ordering(source.cells, norm, model, extreme)
    if known is None:
        return "–"
    outcome, runner_up, n = known

    def median(name: str) -> str:
        key = (norm, "all", name)
        distances = source.distances(key) if isinstance(source, Run) else None
        return median_with_interval(source.cells[key].median or 0.0, distances, norm)

    return f"{outcome}: {median(model)}; {model_label(runner_up)} {median(runner_up)}; of {n} models"
