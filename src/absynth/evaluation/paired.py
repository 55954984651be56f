"""Tests of two models on the same images, pair by pair: is the difference more than chance?"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import binomtest, rankdata  # type: ignore[attr-defined]  # scipy defines them at run time

Distances = npt.NDArray[np.float64]
Row = dict[str, Any]
ALPHA = 0.05  # a difference whose adjusted p-value is below it is called beyond chance
COLUMNS = ("norm", "model", "other_model", "epsilon", "n", "only_first", "only_second", "p_accuracy",
           "p_accuracy_adjusted", "shorter", "longer", "equal", "p_distance", "p_distance_adjusted")  # fmt: skip
_TESTS = ("p_accuracy", "p_distance")
_MOST_EXACT = 60  # pairs for which the distribution of the rank sum is computed exactly


@dataclass(frozen=True)
class Pair:
    """What two models' distances on the same n images say of each other.

    only_first, only_second: images that only the one of them withstands at epsilon; p_accuracy: of the exact McNemar
        (sign) test of their numbers
    shorter, longer, equal: images on which the first model's distance is smaller, larger, equal
    p_distance: of the Wilcoxon signed-rank test of the distances
    """

    n: int
    only_first: int
    only_second: int
    p_accuracy: float
    shorter: int
    longer: int
    equal: int
    p_distance: float


def compare_pair(first: Distances, second: Distances, epsilon: float) -> Pair:
    """Compare two models by their distances (n,) on the same images: 0 where misclassified, inf where attacks failed.

    epsilon: a model withstands attack on an image whose distance exceeds it
    """
    withstands = first > epsilon, second > epsilon
    only = [int((a & ~b).sum()) for a, b in (withstands, withstands[::-1])]
    return Pair(
        n=len(first),
        only_first=only[0],
        only_second=only[1],
        p_accuracy=mcnemar(*only),
        shorter=int((first < second).sum()),
        longer=int((first > second).sum()),
        equal=int((first == second).sum()),
        p_distance=signed_rank(first, second),
    )


def mcnemar(only_first: int, only_second: int) -> float:
    """The two-sided p-value of McNemar's exact test: of that many discordant pairs each is as likely to be either.

    McNemar (1947), Psychometrika 12, 153-157; exact by the binomial distribution.
    """
    discordant = only_first + only_second
    return float(binomtest(only_first, discordant).pvalue) if discordant else 1.0


def signed_rank(first: Distances, second: Distances) -> float:
    """The two-sided p-value of the Wilcoxon signed-rank test of pairs (n,), which may be infinite.

    Equal pairs, two infinite ones among them, are left out; a pair of which one is infinite differs by more than any
    finite pair. Tied differences share their mean rank. Up to 60 pairs the distribution of the rank sum given the
    ranks is exact, ties included; beyond, normal with the variance of the tied ranks.
    Wilcoxon (1945), Biometrics Bulletin 1, 80-83.
    """
    both_infinite = np.isinf(first) & np.isinf(second)
    difference = np.subtract(first, second, where=~both_infinite, out=np.zeros(len(first)))
    difference = difference[difference != 0]
    if not len(difference):
        return 1.0
    ranks = rankdata(np.abs(difference))
    positive = ranks[difference > 0].sum()
    if len(ranks) <= _MOST_EXACT:
        return _exact(ranks, positive)
    deviation = abs(positive - ranks.sum() / 2) / math.sqrt((ranks**2).sum() / 4)
    return float(math.erfc(deviation / math.sqrt(2)))


def _exact(ranks: npt.NDArray[np.float64], positive: float) -> float:
    """The probability that signs at random make a rank sum as far from its mean as `positive` is."""
    doubled = np.rint(2 * ranks).astype(int)  # mean ranks are multiples of a half
    total = int(doubled.sum())
    share = np.zeros(total + 1)  # of the choices of signs, by twice the rank sum that they make
    share[0] = 1.0
    for rank in doubled:
        share = (share + np.concatenate([np.zeros(rank), share[: total + 1 - rank]])) / 2
    distance = np.abs(2 * np.arange(total + 1) - total)
    return float(min(1.0, share[distance >= abs(2 * round(2 * positive) - total)].sum()))


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted for their number, so that the chance of any false one below α stays below α.

    Holm (1979), Scandinavian Journal of Statistics 6, 65-70. In the order of `p_values`.
    """
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    adjusted, largest = [0.0] * len(p_values), 0.0
    for place, i in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - place) * p_values[i]))
        adjusted[i] = largest
    return adjusted


def adjusted(rows: Sequence[Row]) -> list[Row]:
    """The rows of all pairs with their p-values adjusted for the number of all of these tests, of both kinds."""
    values = holm([row[test] for row in rows for test in _TESTS])
    return [
        {**row, **{f"{test}_adjusted": values[len(_TESTS) * i + place] for place, test in enumerate(_TESTS)}}
        for i, row in enumerate(rows)
    ]


def pair_rows(distances: pd.DataFrame, epsilons: Mapping[str, float]) -> list[Row]:
    """A row of `COLUMNS` for each norm and two models of a run: the tests on the images that both were attacked on.

    distances: columns model, norm, index and distance, a row for each image; epsilons: by norm
    p-values are adjusted for the number of all tests of the run. No row for two models that share no image.
    """
    rows: list[Row] = []
    for norm, of_norm in distances.groupby("norm", sort=False):
        found = {
            str(model): part.set_index("index")["distance"]
            for model, part in of_norm.groupby("model", sort=False)
        }
        for model, other in combinations(found, 2):
            both = found[model].index.intersection(found[other].index)
            if len(both):
                first, second = (found[name].loc[both].to_numpy(float) for name in (model, other))
                pair = asdict(compare_pair(first, second, epsilons[str(norm)]))
                names = {"norm": norm, "model": model, "other_model": other}
                rows.append({**names, "epsilon": epsilons[str(norm)], **pair})
    return adjusted(rows)
