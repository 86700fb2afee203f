"""Success under a shift as a ratio to clean success, from the same episodes."""

from collections.abc import Sequence

import numpy as np

DRAWS = 4000
_PRIOR = 0.5


def success_ratio(clean: Sequence[float], shifted: Sequence[float]) -> float | None:
    """sum(shifted) / sum(clean); None where nothing succeeded when clean."""
    return float(np.sum(shifted) / np.sum(clean)) if np.sum(clean) else None


def ratio_interval(clean: Sequence[float], shifted: Sequence[float], seed: int = 0) -> list[float] | None:
    """95 % interval [low, high] of the ratio, episodes drawn in pairs; None where nothing succeeded when clean.

    clean, shifted: (n,) of the same episodes in the same order, each 0 or 1, or a mean of several in between.

    The Bayesian bootstrap (Rubin, 1981: every episode's weight is drawn, Dirichlet(1, ..., 1)) with four more
    episodes of weight 1/2, one for each way in which a pair can end. For outcomes of 0 and 1 that is the posterior
    under Jeffreys' prior. An ordinary bootstrap of 20 successes of 20 would claim an interval without width. The interval always holds the ratio itself.
    """
    clean, shifted = np.asarray(clean, float), np.asarray(shifted, float)
    if clean.shape != shifted.shape or clean.ndim != 1:
        raise ValueError(f"clean has shape {clean.shape}, shifted {shifted.shape}; they must be pairs")
    if not clean.sum():
        return None
    pairs = np.concatenate([np.stack([clean, shifted], axis=1), [[0, 0], [0, 1], [1, 0], [1, 1]]])
    weights = np.random.default_rng(seed).gamma([1.0] * len(clean) + [_PRIOR] * 4, size=(DRAWS, len(pairs)))
    below, above = (weights @ pairs).T
    low, high = np.percentile(above / below, [2.5, 97.5])
    ratio = success_ratio(clean, shifted)
    return [float(min(low, ratio)), float(max(high, ratio))]
