"""Compare models of one or several runs on the images that all of them were attacked on.

    absynth compare RUN RUN ... [--models NAME ...] [--epsilons l2=1 ...] [--out DIR]

Shows a table, and which differences are more than chance, image by image: McNemar's exact test of the accuracies at
ε, and the signed-rank test of the distances, with p-values adjusted for the number of tests (Holm). All of it, the
distances of every image, and figures go to a folder.
"""

import argparse
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from absynth.cli.arguments import mapping
from absynth.errors import InputError

HELP = "compare models of several runs on the same images"
_PAIRS = ("norm", "run", "model", "other_run", "other_model", "epsilon", "n", "only_first", "only_second",
          "p_accuracy", "p_accuracy_adjusted", "shorter", "longer", "equal", "p_distance",
          "p_distance_adjusted")  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("runs", nargs="+", metavar="RUN", help="names, in results/, or folders")
    parser.add_argument("--models", nargs="+", default=[], metavar="NAME", help="these models alone")
    parser.add_argument("--norms", nargs="+", metavar="NORM", help="these norms alone")
    parser.add_argument("--epsilons", nargs="+", default=[], metavar="NORM=ε",
                        help="in place of those of the first run's config")  # fmt: skip
    parser.add_argument("--out", type=Path, metavar="DIR", help="comparisons/RUN-RUN… if it is not given")


def run(options: argparse.Namespace) -> int:
    """Compare; 0."""
    from absynth.cli.comparison import candidates, common, pairs, summaries
    from absynth.evaluation.paired import adjusted

    runs = _opened(options.runs)
    chosen = candidates(runs, options.models)
    if len(chosen) < 2:
        raise InputError(f"{', '.join(runs)}: found {len(chosen)} model, two or more are needed")
    norms = _norms(runs, options.norms)
    epsilons = _epsilons(runs, options.epsilons)
    found = {norm: common(chosen, norm) for norm in norms}
    parts = [part for part in found.values() if part is not None]
    left = [norm for norm in norms if found[norm] is None]
    if left and (options.norms or not parts):
        names = ", ".join(one.key for one in chosen)
        raise InputError(f"--norms: found {left[0]}, in which none of {names} was attacked")
    rows = [row for part in parts for row in summaries(part, chosen, epsilons[part.norm])]
    tests = adjusted([row for part in parts for row in pairs(part, chosen, epsilons[part.norm])])
    out = options.out or default_folder(list(runs))
    _write(out, chosen, parts, {"models": rows, "pairs": tests}, epsilons)
    sys.stdout.write(_text(chosen, rows, tests))
    _warn(chosen, parts)
    sys.stdout.write(f"\ntables and figures: {out}\n")
    return 0


def default_folder(names: Sequence[str]) -> Path:
    """Where a comparison of these runs goes: a folder in comparisons/, whatever paths the runs are named by."""
    return Path(
        "comparisons", "-".join(re.sub(r"[^\w.-]+", "_", name).strip("._-") or "run" for name in names)
    )


def _opened(names: Sequence[str]) -> dict[str, Any]:
    """The runs by the names they are shown under: those of their folders, or those given if these are equal."""
    from absynth.api.run import open_run
    from absynth.cli.summary import run_folder

    folders = {name: run_folder(name).resolve() for name in names}
    short = [folder.name for folder in folders.values()]
    distinct = len(set(short)) == len(short)
    return {(folder.name if distinct else name): open_run(folder) for name, folder in folders.items()}


def _norms(runs: Mapping[str, Any], chosen: Sequence[str] | None) -> list[str]:
    from absynth.norms import NORMS

    there = [norm for norm in NORMS if any(norm in run.norms for run in runs.values())]
    unknown = [norm for norm in chosen or () if norm not in there]
    if unknown:
        raise InputError(f"--norms: found {unknown[0]}, the runs have {', '.join(there)}")
    return [norm for norm in there if not chosen or norm in chosen]


def _epsilons(runs: Mapping[str, Any], entries: Sequence[str]) -> dict[str, float]:
    """The first run's epsilons, with those given laid over them."""
    from absynth.cli.run_file import epsilon_sizes

    first = next(iter(runs.values()))
    return {**first.config["epsilons"], **epsilon_sizes(mapping(entries, "--epsilons"))}


def _text(
    chosen: Sequence[Any], rows: Sequence[Mapping[str, Any]], tests: Sequence[Mapping[str, Any]]
) -> str:
    """Both tables as text."""
    from absynth.cli.summary import aligned
    from absynth.evaluation.paired import ALPHA
    from absynth.norms import NORMS
    from absynth.reporting.pairs import p_text

    labels = {(one.run_name, one.model): one.label for one in chosen}
    models = [("norm", "model", "images", "clean", "median", "accuracy", "lower bound")]
    for row in rows:
        norm = NORMS[row["norm"]]
        lower = "–" if row["lower"] == "" else f"{_size(row['lower'], norm)} ({row['basis']})"
        models.append((norm.title, labels[row["run"], row["model"]], str(row["n"]), f"{100 * row['clean']:.1f}%",
                       _size(row["median"], norm), f"{100 * row['accuracy']:.1f}% at {row['epsilon']:.3g}",
                       lower))  # fmt: skip
    pairs = [("norm", "models", "withstood by one alone", "p", "distance smaller, larger", "p")]
    for row in tests:
        first, second = labels[row["run"], row["model"]], labels[row["other_run"], row["other_model"]]
        pairs.append((NORMS[row["norm"]].title, f"{first} – {second}", f"{row['only_first']} – {row['only_second']}",
                      p_text(row["p_accuracy_adjusted"]), f"{row['shorter']}, {row['longer']}",
                      p_text(row["p_distance_adjusted"])))  # fmt: skip
    note = f"* beyond chance: p < {ALPHA} after adjustment (Holm) for {2 * len(tests)} tests"
    return f"{aligned(models)}\n\n{aligned(pairs)}\n{note}\n"


def _size(value: float, norm: Any) -> str:
    return "∞" if value == float("inf") else norm.format_median(value)


def _warn(chosen: Sequence[Any], parts: Sequence[Any]) -> None:
    """Say where a comparison is not of models alone."""
    from absynth.cli.comparison import differing_attacks

    norms = [part.norm for part in parts if differing_attacks(chosen, part.norm)]
    if norms:
        sys.stdout.write(
            f"\nIn {', '.join(norms)} the models met different attacks, or the same with other options: a smaller "
            "distance may be due to a stronger attack.\n"
        )
    for part in parts:
        left = {key: n - len(part.images) for key, n in part.attacked.items() if n > len(part.images)}
        if left:
            shown = ", ".join(f"{n} of {key}" for key, n in left.items())
            sys.stdout.write(
                f"\n{part.norm}: left out, since not all models were attacked on them: {shown}\n"
            )


def _write(
    out: Path,
    chosen: Sequence[Any],
    parts: Sequence[Any],
    tables: Mapping[str, Any],
    epsilons: Mapping[str, float],
) -> None:
    """The tables as CSV, and the figures as PNG and SVG."""
    from absynth.cli.comparison import frames, image_rows
    from absynth.io.atomic import write_csv
    from absynth.reporting.figures.accuracy_distortion import accuracy_distortion_figure
    from absynth.reporting.figures.differences import differences_figure
    from absynth.reporting.figures.distribution import distribution_figure
    from absynth.reporting.figures.style import save_figure

    write_csv(out / "models.csv", tables["models"])
    write_csv(out / "pairs.csv", tables["pairs"], _PAIRS)
    write_csv(out / "images.csv", [row for part in parts for row in image_rows(part, chosen)])
    curves, lower, distances = frames(parts)
    models = {one.key: one.label for one in chosen}
    shared: dict[str, Any] = {"models": models, "norms": [part.norm for part in parts]}
    figures = {
        "accuracy_distortion": accuracy_distortion_figure(
            curves, lower_bounds=lower, epsilons=epsilons, **shared
        ),
        "distribution": distribution_figure(distances, epsilons=epsilons, **shared),
        "differences": differences_figure(distances, **shared),
    }
    for name, figure in figures.items():
        save_figure(figure, [out / f"{name}.png", out / f"{name}.svg"])
