"""The bracket: each image's smallest adversarial perturbation between its certificate and the best attack."""

import numpy as np
import pandas as pd

from absynth.errors import InputError
from absynth.evaluation.minima import accuracy_curve

SLACK = 1e-3  # by which an attack may lie below a bound for rounding
INTERVALS = ("model", "norm", "index", "lower", "upper", "attack")
VIOLATIONS = (*INTERVALS, "margin", "attributed_to_inference")
MEDIANS = ("model", "norm", "lower", "upper", "gap", "tight", "loose", "n")
TIGHT, LOOSE = 0.01, 0.1  # of the lower bound: gaps up to the one are tight, beyond the other loose
CURVES = ("model", "norm", "side", "distance", "accuracy")


def intervals(bounds: pd.DataFrame, minimal: dict[str, np.ndarray], source: str) -> pd.DataFrame:
    """index, lower (the joint bound), upper (the nearest adversarial's distance) and attack, an image a row.

    Both are 0 where the clean image is misclassified; upper is inf where every attack failed.
    Raises InputError, naming `source`, unless both hold the same images and agree on which are misclassified.
    """
    columns = ("index", "distance", "attack")
    attacked = pd.DataFrame({name: minimal[name] for name in columns})
    both = bounds.merge(attacked, on="index", how="outer", indicator=True)
    if (both["_merge"] != "both").any():
        alone = both.loc[both["_merge"] != "both", "index"].iloc[0]
        raise InputError(f"{source}: bounds and attacks hold different images, {alone} say; rerun both")
    differing = both.loc[(both["correct"] == 1) != (both["distance"] > 0), "index"]
    if len(differing):
        raise InputError(
            f"{source}: bounds and attacks disagree on the clean image {differing.iloc[0]}; rerun both"
        )
    renamed = both.rename(columns={"joint": "lower", "distance": "upper"})
    return renamed[["index", "lower", "upper", "attack"]]


def bound_violations(found: pd.DataFrame) -> pd.DataFrame:
    """The images whose nearest adversarial lies below their bound by more than rounding."""
    return found[found["upper"] < found["lower"] - SLACK]


def medians(found: pd.DataFrame) -> dict[str, float]:
    """Medians over images of both ends and of the gap (0 where both ends are infinite), and numbers of images.

    tight: images whose gap is at most 1 % of the lower bound, those misclassified among them; loose: more than 10 %
    """
    gap = (found["upper"] - found["lower"]).where(found["upper"] != found["lower"], 0.0)
    return {
        "lower": float(found["lower"].median()),
        "upper": float(found["upper"].median()),
        "gap": float(gap.median()),
        "tight": int((gap <= TIGHT * found["lower"]).sum()),
        "loose": int((gap > LOOSE * found["lower"]).sum()),
        "n": len(found),
    }


def curves(found: pd.DataFrame) -> pd.DataFrame:
    """side, distance, accuracy: certified accuracy and that under attack as larger perturbations are allowed.

    Certified are the images whose bound exceeds the distance.
    """
    sides = []
    for side, column in (("certified", "lower"), ("attacked", "upper")):
        distance, accuracy = accuracy_curve(found[column].to_numpy(dtype=float))
        sides.append(pd.DataFrame({"side": side, "distance": distance, "accuracy": accuracy}))
    return pd.concat(sides, ignore_index=True)
