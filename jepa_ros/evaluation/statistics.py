"""Figures that a success rate needs beside it."""

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np


def wilson_interval(successes: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """The score interval of a binomial proportion (Wilson, 1927): (low, high) in 0..1; (0, 1) without trials.

    Unlike the normal approximation it stays inside 0..1 and has a width at 0 and at 100 %.
    """
    if not 0 <= successes <= trials:
        raise ValueError(f"successes is {successes} of {trials} trials")
    if trials == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    share = successes / trials
    centre = share + z * z / (2 * trials)
    half = z * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials**2))
    scale = 1 + z * z / trials
    low = 0.0 if successes == 0 else (centre - half) / scale
    high = 1.0 if successes == trials else (centre + half) / scale
    return low, high


def mcnemar_p(only_first: int, only_second: int) -> float:
    """Two-sided p of the exact test of McNemar (1947) for two agents on the same episodes: how likely are counts at least as
    uneven as these by chance, of the episodes that only the first, and only the second, ended in a certain way."""
    if min(only_first, only_second) < 0:
        raise ValueError(f"counts of episodes are {only_first} and {only_second}")
    trials, fewer = only_first + only_second, min(only_first, only_second)
    return min(1.0, 2 * sum(math.comb(trials, k) for k in range(fewer + 1)) / 2**trials)


def percentile(values: Sequence[float], q: float) -> float | None:
    """The q-th percentile (0..100, linear interpolation) of the finite values; None where there is none."""
    values = np.asarray([v for v in values if v is not None], dtype=float)
    values = values[np.isfinite(values)]
    return float(np.percentile(values, q)) if len(values) else None
