"""The report's tables: the columns of which CSV they show, and how."""

from collections.abc import Callable, Mapping

import pandas as pd

from absynth.norms import NORMS
from absynth.reporting.costs import duration
from absynth.reporting.overview import overview_table
from absynth.reporting.pairs import pairs_table
from absynth.reporting.report import LARGEST, Cell, Field, Table, flat_table
from absynth.reporting.tables import NEAR_BOUND, NEAR_BOUND_NOTE

PAIRS = "Differences between models"


def report_tables(
    frames: Mapping[str, pd.DataFrame],
    models: Mapping[str, str],
    attacks: Mapping[str, Mapping[str, str]],
    epsilons: Mapping[str, float],
) -> dict[str, list[tuple[str, Table]]]:
    """Titles and tables by section, for the frames that are given.

    frames: by the stems of their files under tables/; models: labels; attacks: titles, by norm
    epsilons: the distance, by norm, at which accuracies are told
    """
    frames = dict(frames)
    if {"attacks", "optimality"} <= frames.keys():
        frames["attacks"] = frames["attacks"].merge(frames["optimality"], "left", ["model", "norm", "attack"])
    known: dict[str, tuple[str, str, Callable[..., Table]]] = {
        "minimal": ("table1", _table1_title(frames.get("table1")), robustness_table),
        "certificates": (
            "certificates",
            "Lower bounds of the smallest adversarial perturbations",
            listed_certificates,
        ),
        "distal": (
            "distal",
            "Ascents from noise; medians over those that reached the confidence (confidence: all)",
            distal_table,
        ),
        "attacks": ("attacks", "Every attack on every model", attacks_table),
        "training": ("models", "Models and their calibration", models_table),
        "run": ("runtime", "Time", runtime_table),
    }
    tables = {
        section: [(title, build(frames[stem], models, attacks))]
        for section, (stem, title, build) in known.items()
        if stem in frames
    }
    if "distances" in frames:
        overview = overview_table(frames["distances"], frames.get("bracket"), models, epsilons)
        tables.setdefault("minimal", []).insert(0, ("Each model under the best of all attacks", overview))
    if len(frames.get("pairs", [])):
        tables.setdefault("minimal", []).append((PAIRS, pairs_table(frames["pairs"], models)))
    return tables


def _table1_title(table: pd.DataFrame | None) -> str:
    """Its title, and what a mark in a cell means, if any has one."""
    marked = table is not None and NEAR_BOUND in table.to_csv()
    return "Table 1: median distance / accuracy at ε" + (f"; {NEAR_BOUND_NOTE}" if marked else "")


def robustness_table(frame: pd.DataFrame, models: Mapping[str, str], *_: object) -> Table:
    """tables/table1.csv, one group per norm; cells are sorted by the median, the first number in each."""
    keys = {label: model for model, label in models.items()}
    columns = [keys.get(label, "") for label in frame.columns[2:]]
    groups: dict[str, list[list[Cell]]] = {}
    for norm, attack, *cells in frame.astype(object).fillna("").itertuples(index=False):
        row = [Cell(cell, _leading_number(cell), key) for cell, key in zip(cells, columns, strict=True)]
        groups.setdefault(norm, []).append([Cell(attack, attack), *row])
    return Table(["attack", *frame.columns[2:]], list(groups.items()))


def _leading_number(text: str) -> float | None:
    """The first number of "2.30 / 80%" or "99.0%"."""
    first = text.split("/")[0].strip().rstrip("%")
    if not first:
        return None
    return LARGEST if first == "∞" else float(first)


def models_table(frame: pd.DataFrame, models: Mapping[str, str], *_: object) -> Table:
    """tables/models.csv"""
    return flat_table(
        frame,
        [
            Field("model", "model", models),
            Field("test_accuracy", "accuracy, test images", "{:.2%}"),
            Field("n_test", "test images", "{:,.0f}"),
            Field("accuracy", "accuracy, calibration images", "{:.2%}"),
            Field("alpha", "α", "{:.4g}"),
            Field("eta", "η", "{:.4g}"),
            Field("median_confidence", "median confidence", "{:.2f}"),
            Field("probe", "warnings of the probe"),
        ],
    )


def listed_certificates(frame: pd.DataFrame, models: Mapping[str, str], *_: object) -> Table:
    """tables/certificates.csv"""
    return flat_table(
        frame,
        [
            Field("norm", "norm", {name: norm.title for name, norm in NORMS.items()}),
            Field("model", "model", models),
            Field("basis", "basis"),
            Field("n", "images"),
            Field("clean", "clean accuracy", "{:.1%}"),
            Field("median", "median lower bound", "{:.3g}"),
            Field("epsilon", "ε", "{:g}"),
            Field("accuracy", "accuracy at ε, at least", "{:.1%}"),
        ],
    )


def distal_table(frame: pd.DataFrame, models: Mapping[str, str], *_: object) -> Table:
    """tables/distal.csv"""
    return flat_table(
        frame,
        [
            Field("model", "model", models),
            Field("n", "ascents"),
            Field("reached", "reached"),
            Field("distal", "distal"),
            Field("median_steps", "steps", "{:.0f}"),
            Field("median_confidence", "confidence", "{:.2f}"),
            Field("median_moved", "distance from noise", "{:.1f}"),
            Field("median_nearest", "distance to nearest training image", "{:.1f}"),
        ],
    )


def attacks_table(
    frame: pd.DataFrame, models: Mapping[str, str], titles: Mapping[str, Mapping[str, str]]
) -> Table:
    """tables/attacks.csv, with the columns of tables/optimality.csv where it has them

    The column `near_bound` is left out where it is 0 throughout.
    """
    if "near_bound" in frame and not frame["near_bound"].any():
        frame = frame.drop(columns="near_bound")
    named = frame.assign(
        attack=[
            titles[norm].get(attack, attack)
            for norm, attack in zip(frame["norm"], frame["attack"], strict=True)
        ]
    )
    return flat_table(
        named,
        [
            Field("norm", "norm", {name: norm.title for name, norm in NORMS.items()}),
            Field("attack", "attack"),
            Field("model", "model", models),
            Field("n", "images"),
            Field("found", "adversarials"),
            Field("minima", "best of all"),
            Field("near_bound", "done with near a proved bound"),
            Field("optimality", "optimality", "{:.3f}"),
            Field("excess", "median excess", "{:.1%}"),
            Field("alone", "best by far", "{:.0f}"),
            Field("needed", "needed", lambda value: "yes" if value else "no"),
            Field("spread", "spread of restarts", "{:.1%}"),
            Field("queries", "queries per image", "{:,.0f}"),
            Field("gradients", "gradients per image", "{:,.0f}"),
            Field("seconds", "time", duration),
            Field("device", "device"),
        ],
    )


def runtime_table(frame: pd.DataFrame, *_: object) -> Table:
    """tables/runtime.csv"""
    return flat_table(
        frame,
        [
            Field("stage", "rule"),
            Field("jobs", "jobs"),
            Field("seconds", "total", duration),
            Field("longest", "longest job", duration),
            Field("memory", "peak memory (MB)", "{:,.0f}"),
        ],
    )
