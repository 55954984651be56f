"""The bracket: each image's smallest adversarial perturbation, between its lower bound and its best adversarial."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from absynth.errors import InputError
from absynth.evaluation.accuracy_curve import accuracy_curve
from absynth.evaluation.lower_bounds import one_basis

SLACK = {
    "proved": (1e-6, 1e-6),
    "searched": (1e-3, 0.01),
}  # absolute, and share of the bound; see bound_violations
INTERVALS = ("model", "norm", "index", "lower", "basis", "upper", "attack")
VIOLATIONS = (*INTERVALS, "margin", "attributed_to_inference")
MEDIANS = ("model", "norm", "lower", "basis", "upper", "gap", "tight", "loose", "n")
TIGHT = 0.01  # share of the lower bound; up to such a gap a bracket is tight
LOOSE = 0.1  # and above such a gap it is loose
CURVES = ("model", "norm", "side", "distance", "accuracy")


def intervals(bounds: pd.DataFrame, minimal: Mapping[str, npt.NDArray[Any]], source: str) -> pd.DataFrame:
    """One row per image: index, lower (the joint bound), its basis, upper (the best adversarial's distance), attack.

    Both ends are 0 where the clean image is misclassified; upper is inf where every attack failed.

    Takes   bounds: columns index, correct, joint and basis; minimal: index, distance and attack
    Raises  InputError, naming `source`, unless both hold the same images and agree on which are misclassified
    """
    columns = ("index", "distance", "attack")
    attacked = pd.DataFrame({name: minimal[name] for name in columns})
    both = bounds.merge(attacked, on="index", how="outer", indicator=True)
    if (both["_merge"] != "both").any():
        alone = both.loc[both["_merge"] != "both", "index"].iloc[0]
        raise InputError(
            f"{source}: lower bounds and attacks hold different images, for example {alone}; {_remedy(source)}"
        )
    differing = both.loc[(both["correct"] == 1) != (both["distance"] > 0), "index"]
    if len(differing):
        raise InputError(
            f"{source}: lower bounds and attacks disagree on whether the clean image {differing.iloc[0]} is "
            f"correctly classified; {_remedy(source)}"
        )
    renamed = both.rename(columns={"joint": "lower", "distance": "upper"})
    return renamed[["index", "lower", "basis", "upper", "attack"]]


def _remedy(source: str) -> str:
    """What to delete so that both are made again: the shards behind bounds/{model}/{norm}.csv, and the attacks."""
    shards = Path(source).with_suffix("")
    attacks = Path(*shards.parts[:-3], "attacks", *shards.parts[-2:])
    return f"delete the folders {shards} and {attacks} and rerun"


def bound_violations(found: pd.DataFrame) -> pd.DataFrame:
    """The rows of `intervals` whose best adversarial lies below the lower bound by more than rounding.

    That is by more than 0.001 or 1 % of the bound, whichever is less, where it is searched; by 10⁻⁶, and as large a
    share, where it is proved.
    """
    absolute, share = np.array([SLACK[basis] for basis in found["basis"]]).reshape(-1, 2).T
    slack = np.minimum(absolute, share * found["lower"])
    return found[found["upper"] < found["lower"] - slack]


def gaps(found: pd.DataFrame) -> pd.Series:
    """By how much the ends of the rows of `intervals` are apart: 0 where both are infinite."""
    return (found["upper"] - found["lower"]).where(found["upper"] != found["lower"], 0.0)


def is_tight(found: pd.DataFrame, within: float = TIGHT) -> pd.Series:
    """Which rows of `intervals` have ends that are apart by at most a share `within` of the lower bound."""
    gap = gaps(found)
    return (gap == 0) | (np.isfinite(gap) & (gap.abs() <= within * found["lower"]))


def is_loose(found: pd.DataFrame) -> pd.Series:
    """Which rows of `intervals` have an upper end that exceeds the lower one by more than 10 % of it."""
    return gaps(found) > LOOSE * found["lower"]


def medians(found: pd.DataFrame) -> dict[str, float | str]:
    """Medians over images of both ends and of the gap (0 where both ends are infinite), and numbers of images.

    tight: images whose gap is at most 1 % of the lower bound, misclassified ones included; loose: more than 10 %
    """
    return {
        "lower": float(found["lower"].median()),
        "basis": one_basis(found),
        "upper": float(found["upper"].median()),
        "gap": float(gaps(found).median()),
        "tight": int(is_tight(found).sum()),
        "loose": int(is_loose(found).sum()),
        "n": len(found),
    }


def bracket_curves(found: pd.DataFrame) -> pd.DataFrame:
    """side, distance, accuracy: the accuracy-distortion curves of both ends of the intervals.

    side "proved" or "searched", by what the lower bounds rest on: the share of images whose lower bound exceeds the
    distance; "attacked": accuracy under attack
    """
    sides = ((one_basis(found), "lower"), ("attacked", "upper"))
    curves = [accuracy_curve(found[column].to_numpy(dtype=float), side=side) for side, column in sides]
    return pd.concat(curves, ignore_index=True)
