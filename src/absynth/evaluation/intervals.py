"""Exact confidence intervals of what a sample of images says about all images; no torch."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

LEVEL = 0.95


def share_interval(hits: int, n: int, level: float = LEVEL) -> tuple[float, float]:
    """The interval of a share of which `hits` of `n` independent images are evidence, at least at `level`.

    By Clopper and Pearson (1934), "The use of confidence or fiducial limits illustrated in the case of the binomial".
    Raises ValueError unless 0 <= hits <= n and n > 0.
    """
    from scipy.special import betaincinv

    if not 0 <= hits <= n or n == 0:
        raise ValueError(f"{hits} of {n} is no share")
    tail = (1 - level) / 2
    low = 0.0 if hits == 0 else float(betaincinv(hits, n - hits + 1, tail))
    high = 1.0 if hits == n else float(betaincinv(hits + 1, n - hits, 1 - tail))
    return low, high


def median_interval(
    values: Sequence[float] | npt.NDArray[np.float64], level: float = LEVEL
) -> tuple[float, float]:
    """The interval of the median of which independent values, infinite ones too, are evidence, at least at `level`.

    It runs from one of the sorted values to another, as far inside as the binomial distribution of how many lie below
    the median allows (Conover, "Practical nonparametric statistics", 1999, section 3.2). (-∞, ∞) where there are too
    few values for that: five, at 95 %.
    """
    from scipy.special import bdtr

    ordered = np.sort(np.asarray(values, dtype=np.float64))
    n = len(ordered)
    # P(at most k of n values lie below the median), and the largest k that is left out on each side.
    below = [float(bdtr(k, n, 0.5)) for k in range(n // 2)]
    outside = sum(share <= (1 - level) / 2 for share in below)
    if outside == 0:
        return -math.inf, math.inf
    return float(ordered[outside - 1]), float(ordered[n - outside])
