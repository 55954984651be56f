"""The robustness table: from one row per attack to the layout of the paper's Table 1."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pandas as pd

from absynth.norms import NORMS

NEAR_BOUND = "‡"  # in a cell of Table 1
NEAR_BOUND_NOTE = (
    f"{NEAR_BOUND} done with some images once their best adversarial, perhaps another attack's, was near a proved "
    "bound (stop_when_tight): smaller distances may exist, down to the bound"
)
_LATEX = str.maketrans(
    {mark: f"\\{mark}" for mark in "%&_#${}"}
    | {"∞": r"$\infty$", "ε": r"$\epsilon$", "\\": r"\textbackslash{}"}
    | {NEAR_BOUND: r"$\ddagger$"}
    | {"^": r"\textasciicircum{}", "~": r"\textasciitilde{}"}
)
_BASES = {"proved": "Median lower bound (proved)", "searched": "Median lower bound (searched)"}


def table1(
    robustness: pd.DataFrame,
    clean: Mapping[str, float],
    *,
    models: Mapping[str, str],
    attacks: Mapping[str, Mapping[str, str]],
    epsilons: Mapping[str, float],
    of_paper: Collection[str] = (),
    near_bound: Collection[tuple[str, str, str]] = (),
    brackets: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Lay out `robustness` (model, norm, attack, median, accuracy, n) as the paper does.

    clean: accuracy on the unperturbed images of each model that was attacked
    models: column titles; attacks: by norm, in order, row titles; epsilons: those of the accuracies
    of_paper: the attacks that the paper has; their rows, and that of their minimum, `paper`, go before the others
    near_bound: model, norm and attack of rows of `robustness` with images done with near a proved bound; marked
    brackets: medians of the lower bound and of its gap to the best adversarial (model, norm, lower, basis, gap);
        norms without any get no rows for them
    Returns a frame of strings, "median / accuracy", with the columns norm, attack and one per model; empty where an
    attack does not apply
    """
    cells = {(row["model"], row["norm"], row["attack"]): row for row in robustness.to_dict("records")}
    brackets = pd.DataFrame(columns=["model", "norm"]) if brackets is None else brackets
    bounds = {(row["model"], row["norm"]): row for row in brackets.to_dict("records")}
    accuracies = (f"{100 * clean[model]:.1f}%" if model in clean else "" for model in models)
    rows = [["", "Clean", *accuracies]]
    for norm, titles in attacks.items():
        shown = {
            attack: title
            for attack, title in titles.items()
            if any((m, norm, attack) in cells for m in models)
        }
        apart = of_paper if any((m, norm, "paper") in cells for m in models) else ()
        for attack, title in _rows(shown, norm, apart).items():
            keys = [(model, norm, attack) for model in models]
            entries = [
                _cell(cells.get(key), norm) + (f" {NEAR_BOUND}" if key in near_bound else "") for key in keys
            ]
            rows.append([_section(norm, epsilons), title, *entries])
        of_norm = {model: bounds[model, norm] for model in models if (model, norm) in bounds}
        for title, column, chosen in _bracket_rows(of_norm):
            entries = [_median(of_norm[model][column] if model in chosen else None, norm) for model in models]
            rows.append([_section(norm, epsilons), title, *entries])
    return pd.DataFrame(rows, columns=["norm", "attack", *models.values()])


def certificates_table(certificates: pd.DataFrame, models: Mapping[str, str]) -> pd.DataFrame:
    """Lay out the rows of tables/certificates.csv like Table 1: "median / accuracy" of the lower bounds.

    models: column titles, of those with lower bounds
    """
    cells = {(row["model"], row["norm"], row["basis"]): row for row in certificates.to_dict("records")}
    clean = {row["model"]: f"{100 * row['clean']:.1f}%" for row in certificates.to_dict("records")}
    rows = [["", "Clean", *(clean.get(model, "") for model in models)]]
    for norm, of_norm in certificates.groupby("norm", sort=False):
        section = _section(str(norm), {str(norm): float(of_norm["epsilon"].iloc[0])})
        for basis in (basis for basis in _BASES if (of_norm["basis"] == basis).any()):
            entries = [_cell(cells.get((model, str(norm), basis)), str(norm)) for model in models]
            rows.append([section, f"Lower bounds, {basis}", *entries])
    return pd.DataFrame(rows, columns=["norm", "attack", *models.values()])


def _rows(titles: Mapping[str, str], norm: str, apart: Collection[str]) -> dict[str, str]:
    """The rows of a norm in their order, those of the attacks `apart`, and of their minimum, before the others."""
    first = {attack: title for attack, title in titles.items() if attack in apart}
    together = f"All {NORMS[norm].title} attacks"
    return {**first, **({"paper": f"{together} of the paper"} if apart else {}), **titles, "all": together}


def _bracket_rows(brackets: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, str, set[str]]]:
    """Title, column and models of the rows on the brackets of a norm: one for each basis, and one for the gap."""
    by_basis = {
        basis: {model for model, row in brackets.items() if row["basis"] == basis} for basis in _BASES
    }
    rows = [(title, "lower", by_basis[basis]) for basis, title in _BASES.items() if by_basis[basis]]
    return [*rows, ("Median gap", "gap", set(brackets))] if rows else []


def _cell(row: Mapping[str, Any] | None, norm: str) -> str:
    if row is None:
        return ""
    return f"{_median(row['median'], norm)} / {100 * row['accuracy']:.0f}%"


def _median(value: float | None, norm: str) -> str:
    if value is None:
        return ""
    return NORMS[norm].format_median(value)


def _section(norm: str, epsilons: Mapping[str, float]) -> str:
    return f"{NORMS[norm].title} (ε = {epsilons[norm]:g})"


def to_markdown(table: pd.DataFrame) -> str:
    """The table as GitHub Markdown, the norm once above its rows; below, what a mark means, if any cell has one."""
    models = list(table.columns[2:])
    lines = [_line(["", *models]), _line([":--", *["--:"] * len(models)])]
    section = ""
    for _, norm, attack, *cells in table.itertuples():
        if norm != section:
            lines.append(_line([f"**{norm}**", *[""] * len(models)]))
            section = norm
        lines.append(_line([attack, *cells]))
    if table.iloc[:, 2:].map(lambda cell: NEAR_BOUND in cell).any(axis=None):
        lines += ["", NEAR_BOUND_NOTE]
    return "\n".join(lines) + "\n"


def to_latex(table: pd.DataFrame) -> str:
    """The table as a LaTeX tabular; needs booktabs."""
    models = list(table.columns[2:])
    lines = [rf"\begin{{tabular}}{{l{'r' * len(models)}}}", r"\toprule", _row(["", *models]), r"\midrule"]
    section = ""
    for _, norm, attack, *cells in table.itertuples():
        if norm != section:
            lines += [r"\midrule", rf"\multicolumn{{{len(models) + 1}}}{{l}}{{{_escape(norm)}}} \\"]
            section = norm
        lines.append(_row([attack, *cells]))
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"


def _row(cells: Sequence[str]) -> str:
    return " & ".join(map(_escape, cells)) + r" \\"


def _escape(text: str) -> str:
    return text.translate(_LATEX)
