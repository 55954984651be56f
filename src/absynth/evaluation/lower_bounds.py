"""Statistics of lower bounds over images and over draws of the prior samples; no torch."""

import math
from typing import Any

import pandas as pd

from absynth.basis import PROVED, SEARCHED

COLUMNS = (
    "index",
    "label",
    "correct",
    "paper",
    "joint",
    "basis",
    "paper_without_kl",
    "rival",
    "disagreement",
)
PAPER = ("paper", "paper_without_kl")
DRAWS = ("index", "draw", *PAPER)
SUMMARY = ("bound", "basis", "mean", "median", "standard_error", "disagreeing", "seeds", "n")
CERTIFICATES = ("model", "norm", "basis", "clean", "median", "epsilon", "accuracy", "n")
DISAGREEMENT = 0.01  # relative difference beyond which the bounds from the two halves of the starts disagree


def summarise_bounds(bounds: pd.DataFrame, draws: pd.DataFrame) -> list[dict[str, Any]]:
    """One row of `SUMMARY` per bound, from rows of `COLUMNS` and of `DRAWS` for all images.

    basis: what the bound rests on, `PROVED` or `SEARCHED`; the paper's are always searched
    mean, median: over images, averaged over draws
    standard_error: of that mean, over draws (paper, section 7); empty with one draw
    disagreeing: images whose joint bounds from the two halves of the starts differ by more than 1 %
    """
    named = {"joint": [bounds["joint"]]}
    if len(draws):
        named |= {name: [part[name] for _, part in draws.groupby("draw")] for name in PAPER}
    rows = []
    for name, parts in named.items():
        means = pd.Series([part.mean() for part in parts])
        rows.append(
            {
                "bound": name,
                "basis": one_basis(bounds) if name == "joint" else SEARCHED,
                "mean": means.mean(),
                "median": sum(part.median() for part in parts) / len(parts),
                "standard_error": means.std() / math.sqrt(len(parts)) if len(parts) > 1 else "",
                "disagreeing": int((bounds["disagreement"] > DISAGREEMENT).sum()) if name == "joint" else "",
                "seeds": len(parts),
                "n": len(bounds),
            }
        )
    return rows


def summarise_joint(bounds: pd.DataFrame, epsilon: float) -> dict[str, Any]:
    """A row of `CERTIFICATES`, but for model and norm, from rows of `COLUMNS` for all images.

    clean: accuracy on the clean images; median: of the joint bound over all images, 0 where misclassified
    accuracy: the share of images whose joint bound exceeds epsilon, a lower bound of the accuracy under attack
    """
    return {
        "basis": one_basis(bounds),
        "clean": float((bounds["correct"] == 1).mean()),
        "median": float(bounds["joint"].median()),
        "epsilon": epsilon,
        "accuracy": float((bounds["joint"] > epsilon).mean()),
        "n": len(bounds),
    }


def one_basis(bounds: pd.DataFrame) -> str:
    """What all of a model's joint bounds rest on: proved only if each of them is."""
    return PROVED if len(bounds) and (bounds["basis"] == PROVED).all() else SEARCHED
