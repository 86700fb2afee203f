"""How a time grows with a size: t ~ size^e. e = 1 is linear, e = 0 does not grow.

Taken over the larger sizes, where what does not depend on the size weighs least: over all of them a constant would hide
growth that is faster than linear.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 2000
LEAST_ROUNDS = 8
"""Fewer give no interval to judge by."""


@dataclass(frozen=True)
class Growth:
    """exponent: least-squares slope of log median time over log size.  low, high: its 95 % percentile bootstrap
    interval over rounds.  steepest: the largest slope between neighbouring sizes, small ones included.  rounds: how many."""

    exponent: float
    low: float
    high: float
    steepest: float
    rounds: int

    @property
    def no_faster_than_linear(self) -> bool | None:
        """True where the interval ends at 1 or below, False where it begins above 1, None where it holds 1 or rounds are few."""
        if self.rounds < LEAST_ROUNDS:
            return None
        if self.high <= 1:
            return True
        return False if self.low > 1 else None

    def to_dict(self) -> dict:
        """JSON-serialisable, rounded to a thousandth."""
        return {
            "exponent": round(self.exponent, 3),
            "interval_95": [round(self.low, 3), round(self.high, 3)],
            "steepest_between_neighbours": round(self.steepest, 3),
            "no_faster_than_linear": self.no_faster_than_linear,
        }


def fit(sizes: Sequence[float], times: np.ndarray, seed: int = 0) -> Growth:
    """sizes (n,), ascending; times (rounds, n), a row per round of calls in turns. ValueError for fewer than two sizes.

    Whole rounds are drawn again, so that what slowed a round down slows all its sizes. The interval tells the noise of
    the measurement; a curve that is no power law shows in ``steepest``.
    """
    x, times = np.log(np.asarray(sizes, float)), np.asarray(times, float)
    if len(x) < 2 or times.ndim != 2 or times.shape[1] != len(x) or not np.all(np.diff(x) > 0):
        raise ValueError(f"sizes {list(sizes)} and times of shape {times.shape} are no growth")
    y = np.log(np.median(times, axis=0))
    steepest = np.max(np.diff(y) / np.diff(x))
    larger = slice(-max(2, (len(x) + 1) // 2), None)
    x, y, times = x[larger], y[larger], times[:, larger]
    draws = np.random.default_rng(seed).integers(len(times), size=(RESAMPLES, len(times)))
    resampled = np.log(np.median(times[draws], axis=1))  # (RESAMPLES, n)
    low, high = np.percentile(_slope(x, resampled), [2.5, 97.5])
    return Growth(float(_slope(x, y)), float(low), float(high), float(steepest), len(times))


def _slope(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """x (n,), y (..., n) -> least-squares slopes (...)."""
    centred = x - x.mean()
    return y @ centred / (centred @ centred)
