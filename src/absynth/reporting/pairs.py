"""Which differences between models are more than chance, in a table and in sentences."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from absynth.evaluation.paired import ALPHA
from absynth.norms import NORMS
from absynth.reporting.report import Cell, Table

TESTS = (
    "Each two models on the same images: McNemar's exact test of the numbers of images that one alone withstands at "
    "ε, and the signed-rank test of the distances. p-values are adjusted for the number of all tests of the run "
    f"(Holm); * marks what is beyond chance, p < {ALPHA}."
)
_NOT_MET = ("per_model", "label", "norms", "models")  # keys of an attack's entry that change no step of it


def p_text(value: float) -> str:
    """An adjusted p-value as tables show it, marked where the difference is beyond chance."""
    return ("< 0.001" if value < 0.001 else f"{value:.3f}") + (" *" if value < ALPHA else "")


def pairs_table(frame: pd.DataFrame, models: Mapping[str, str], *_: object) -> Table:
    """tables/pairs.csv, a group per norm."""
    header = ["models", "images", "withstood by one alone", "p", "distance smaller, larger, equal", "p"]
    groups = []
    for norm, rows in frame.groupby("norm", sort=False):
        title = f"{NORMS[str(norm)].title}, ε = {rows['epsilon'].iloc[0]:g}"
        groups.append((title, [_cells(row, models) for row in rows.to_dict("records")]))
    return Table(header, groups)


def _cells(row: Mapping[Any, Any], models: Mapping[str, str]) -> list[Cell]:
    names = f"{_label(row['model'], models)} – {_label(row['other_model'], models)}"
    alone, longer = row["only_first"] - row["only_second"], row["longer"] - row["shorter"]
    return [
        Cell(names, names),
        Cell(str(row["n"]), row["n"]),
        Cell(f"{row['only_first']} – {row['only_second']}", alone),
        Cell(p_text(row["p_accuracy_adjusted"]), row["p_accuracy_adjusted"]),
        Cell(f"{row['shorter']}, {row['longer']}, {row['equal']}", longer),
        Cell(p_text(row["p_distance_adjusted"]), row["p_distance_adjusted"]),
    ]


def _label(model: str, models: Mapping[str, str]) -> str:
    return models.get(model, model)


def pairs_text(frame: pd.DataFrame, n_models: int) -> list[str]:
    """A sentence per norm: how many differences are beyond chance; or one, that there is nothing to compare.

    n_models: of the run; of a single one nothing is said
    """
    if n_models < 2:
        return []
    if frame.empty:
        return ["No two models were attacked on the same images, so none are compared."]
    sentences = []
    for norm, rows in frame.groupby("norm", sort=False):
        counts = [
            f"{int((rows[f'p_{test}_adjusted'] < ALPHA).sum())} in {name}"
            for test, name in (("accuracy", "accuracy at ε"), ("distance", "distance"))
        ]
        n = len(rows)
        sentences.append(
            f"{NORMS[str(norm)].title}: of {n} pair{'' if n == 1 else 's'} of models, differences beyond chance: "
            f"{' and '.join(counts)}."
        )
    return sentences


def met_options(entry: Mapping[str, Any] | None, model: str) -> dict[str, Any]:
    """What an attack's entry asks for on a model: without whom it is for, and what it is called."""
    said = entry or {}
    own = (said.get("per_model") or {}).get(model) or {}
    return {key: value for key, value in {**said, **own}.items() if key not in _NOT_MET}


def unequal_norms(attacks: pd.DataFrame, entries: Mapping[str, Mapping[str, Any] | None]) -> list[str]:
    """Titles of the norms in which models met different attacks, or the same with other options.

    attacks: columns model, norm and attack; entries: of the config, by attack
    """
    found = []
    for norm, of_norm in attacks.groupby("norm", sort=False):
        met = [
            {name: met_options(entries.get(name), str(model)) for name in rows["attack"]}
            for model, rows in of_norm.groupby("model", sort=False)
        ]
        if any(other != met[0] for other in met[1:]):
            found.append(NORMS[str(norm)].title)
    return found
