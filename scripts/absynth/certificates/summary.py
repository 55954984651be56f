"""Statistics of bounds over images and over seeds of the prior samples."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from torch import Tensor

DISAGREEMENT = 0.01  # relative difference of the two halves of the starts from which on they disagree


def summarise_bounds(
    joint: Tensor, disagreement: Tensor, seeds: Sequence[Mapping[str, Tensor]]
) -> list[dict[str, object]]:
    """One row a bound: bound (its name), mean, median, standard_error, disagreeing, seeds, n.

    joint, disagreement (n,): from one seed; seeds: for each the paper's bounds by name, (n,) each. Mean and median
    are over images, averaged over seeds; standard_error is that of the average of the means (paper, section 7),
    empty with one seed. disagreeing: images on which the halves of the starts differ by more than 1 %, of the
    joint bound alone.
    """
    named = {
        "joint": [joint],
        **{name: [seed[name] for seed in seeds] for name in (seeds[0] if seeds else ())},
    }
    rows = []
    for name, bounds in named.items():
        means = [bound.double().mean().item() for bound in bounds]
        mean = sum(means) / len(means)
        spread = sum((value - mean) ** 2 for value in means)
        several = len(means) > 1
        medians = [np.median(bound.double().cpu().numpy()).item() for bound in bounds]  # of infinities too
        rows.append(
            {
                "bound": name,
                "mean": mean,
                "median": sum(medians) / len(medians),
                "standard_error": math.sqrt(spread / (len(means) - 1) / len(means)) if several else "",
                "disagreeing": int((disagreement > DISAGREEMENT).sum()) if name == "joint" else "",
                "seeds": len(means),
                "n": len(joint),
            }
        )
    return rows
