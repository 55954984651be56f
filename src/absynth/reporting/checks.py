"""What a reader should know before believing a run's numbers: each check that was made, and what it found."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from absynth.norms import NORMS, told_apart

# Titles of the checks, by the stems of the files under tables/ that they are read from, in the order shown.
TITLES = {
    "verification": "Verification",
    "bound_violations": "Bounds",
    "audit": "Audit of the attacks",
    "attacks": "Attacks that failed",
    "models": "Probe of the models",
}
_SHOWN = 20  # findings of one check

Frames = Mapping[str, pd.DataFrame]
Labels = Mapping[str, str]


@dataclass(frozen=True)
class Check:
    """One check: what it is about, whether all is well, a sentence, and a line for each finding."""

    title: str
    passed: bool
    text: str
    findings: tuple[str, ...] = ()


def checks(frames: Frames, models: Labels, titles: Mapping[str, Labels]) -> list[Check]:
    """The checks of which the tables are there.

    frames: by the stems of their files under tables/; models: labels; titles: of attacks, by norm
    """
    made: dict[str, Callable[[pd.DataFrame, Labels, Mapping[str, Labels]], Check]] = {
        "verification": _verification,
        "bound_violations": _bounds,
        "audit": _audit,
        "attacks": _failed,
        "models": _probe,
    }
    return [build(frames[stem], models, titles) for stem, build in made.items() if stem in frames]


def data_checks(provenance: Mapping[str, Any]) -> list[Check]:
    """What is odd about the images attacked: classes that none of them has, and their intensities.

    provenance: tables/provenance.json; of older code it says nothing of either
    """
    lacking, odd = (provenance.get(key) for key in ("lacking_classes", "odd_intensities"))
    return [Check("Data", False, said) for said in [*([lacking] if lacking else []), *(odd or [])]]


def _verification(frame: pd.DataFrame, *_: object) -> Check:
    wrong = frame[frame["disagreements"] > 0]
    ties = int(frame["ties"].sum())
    rounded = f" {ties} predictions differ by rounding alone." if ties else ""
    text = (
        f"{int(frame['checked'].sum())} adversarials in {(frame['checked'] > 0).sum()} files were measured, and "
        f"classified by their model, again: {_count(int(wrong['disagreements'].sum()), 'disagreement')}.{rounded}"
    )
    lines = (f"{row['file']}{_row(row['first_row'])}: {row['reason']}" for row in wrong.to_dict("records"))
    return Check(TITLES["verification"], wrong.empty, text, _cut(lines, len(wrong)))


def _row(number: float | str) -> str:
    """Which row of a file, nothing where the file as a whole is meant."""
    return "" if number == "" or pd.isna(number) else f", row {int(number)}"


def _bounds(frame: pd.DataFrame, models: Labels, *_: object) -> Check:
    if frame.empty:
        said = "No adversarial is nearer to its image than the lower bound there."
        return Check(TITLES["bound_violations"], True, said)
    own = int((frame["attributed_to_inference"] == 1).sum())
    text = (
        f"{_count(len(frame), 'adversarial')} nearer to the image than its lower bound; {own} of them where "
        "inference did not find the minimum of a class, on which the bound rests."
    )
    lines = (
        f"{_case(row, models)}, image {row['index']}: {_against(row['upper'], row['lower'], row['norm'])}"
        for row in frame.to_dict("records")
    )
    return Check(TITLES["bound_violations"], False, text, _cut(lines, len(frame)))


def _against(upper: float, lower: float, norm: str) -> str:
    """Both as tables show them, unless these look the same."""
    shown = NORMS[norm].format(upper), NORMS[norm].format(lower)
    return " against ".join(told_apart(upper, lower) if shown[0] == shown[1] else shown)


def _audit(frame: pd.DataFrame, models: Labels, *_: object) -> Check:
    found = _count(len(frame), "finding")
    text = (
        f"Attacks were compared with each other for signs of too few steps or of masked gradients: {found}."
    )
    lines = (f"{_case(row, models)}: {row['message']}" for row in frame.to_dict("records"))
    return Check(TITLES["audit"], frame.empty, text, _cut(lines, len(frame)))


def _failed(frame: pd.DataFrame, models: Labels, titles: Mapping[str, Labels]) -> Check:
    if frame.empty:
        return Check(TITLES["attacks"], True, "No model was attacked, so no attack failed.")
    run, wrong = frame[frame["n"] > 0], frame.loc[frame["n"] == 0, "model"].unique()
    failed = run[run["found"] == 0]
    runs = _count(len(run), "run") + " of an attack on a model in a norm"
    text = f"{runs}: {len(failed)} found nothing." if len(failed) else f"{runs}: each found something."
    lines = [
        f"{models.get(model, model)}: it misclassifies all images as they are, so none was attacked"
        for model in wrong
    ]
    lines += [
        f"{_case(row, models)}: {titles[row['norm']].get(row['attack'], row['attack'])}, no adversarial of "
        f"{_count(int(row['n']), 'image')}"
        for row in failed.to_dict("records")
    ]
    text = text if len(run) else "No image was attacked."
    return Check(TITLES["attacks"], not lines, text, _cut(iter(lines), len(lines)))


def _probe(frame: pd.DataFrame, models: Labels, *_: object) -> Check:
    said = frame["probe"].dropna() if "probe" in frame else pd.Series(dtype=object)
    warned = frame.loc[said.index[said.astype(str) != ""]]
    found = f"warnings about {_count(len(warned), 'model')}" if len(warned) else "no warnings"
    text = f"Each model was probed before it was attacked: {found}."
    lines = (f"{models.get(row['model'], row['model'])}: {row['probe']}" for row in warned.to_dict("records"))
    return Check(TITLES["models"], warned.empty, text, _cut(lines, len(warned)))


def _case(row: Mapping[str, str], models: Labels) -> str:
    return f"{models.get(row['model'], row['model'])}, {NORMS[row['norm']].title}"


def _count(n: int, name: str) -> str:
    return f"{n or 'no'} {name}{'' if n == 1 else 's'}"


def _cut(lines: Iterator[str], n: int) -> tuple[str, ...]:
    shown = tuple(line for line, _ in zip(lines, range(_SHOWN), strict=False))
    return shown if n <= _SHOWN else (*shown, f"and {n - _SHOWN} more, in the tables")
