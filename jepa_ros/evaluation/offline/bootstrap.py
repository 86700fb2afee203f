"""Percentile bootstrap (Efron, 1979) over episodes: frames of one episode are not independent."""

from collections.abc import Sequence

import numpy as np

RESAMPLES = 2000
FEWEST = 5
"""With fewer groups than this, groups are stretches of CHUNK frames instead of whole episodes."""
CHUNK = 20


def groups_of(values: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Values per episode, each (n,) or (n, m) -> groups to resample: episodes, or stretches of few episodes."""
    filled = [v for v in values if len(v)]
    if len(filled) >= FEWEST:
        return filled
    return [v[i : i + CHUNK] for v in filled for i in range(0, len(v), CHUNK)]


def mean_interval(values: Sequence[np.ndarray], seed: int = 0) -> list[list[float]] | list[float] | None:
    """95 % interval [low, high] of the mean over all values, NaN left out; a list of them for (n, m) values.

    None where there is nothing.
    """
    groups = groups_of([np.asarray(v, float) for v in values])
    if not groups:
        return None
    sums = np.array([np.nansum(g, axis=0) for g in groups])
    counts = np.array([np.sum(np.isfinite(g), axis=0) for g in groups])
    draws = np.random.default_rng(seed).integers(len(groups), size=(RESAMPLES, len(groups)))
    with np.errstate(invalid="ignore", divide="ignore"):
        means = sums[draws].sum(1) / counts[draws].sum(1)
    if not np.any(np.isfinite(means)):
        return None
    return np.nanpercentile(means, [2.5, 97.5], axis=0).T.tolist()


def paired_interval(
    a: Sequence[np.ndarray], b: Sequence[np.ndarray], figure, seed: int = 0
) -> tuple[float, float] | None:
    """95 % interval of figure(b) - figure(a) with episodes drawn together.

    a, b: values per episode, (n,) or (n, m), of the same episodes in the same order.
    figure: all values concatenated, (N,) or (N, m) -> a number.
    """
    pairs = [(x, y) for x, y in zip(a, b, strict=True) if len(x) and len(y)]
    if len(pairs) < FEWEST:
        short = [(x, y, min(len(x), len(y))) for x, y in pairs]
        pairs = [
            (x[i : min(i + CHUNK, n)], y[i : min(i + CHUNK, n)])
            for x, y, n in short
            for i in range(0, n, CHUNK)
        ]
    if len(pairs) < 2:
        return None
    rng, differences = np.random.default_rng(seed), []
    for _ in range(RESAMPLES // 2):
        draw = rng.integers(len(pairs), size=len(pairs))
        first = figure(np.concatenate([pairs[i][0] for i in draw]))
        second = figure(np.concatenate([pairs[i][1] for i in draw]))
        differences.append(second - first)
    differences = [d for d in differences if np.isfinite(d)]
    if not differences:
        return None
    low, high = np.percentile(differences, [2.5, 97.5])
    return float(low), float(high)
