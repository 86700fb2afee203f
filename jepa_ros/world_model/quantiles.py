"""Quantiles of what was measured on held-out data: the yardsticks that limits are given in. No torch."""

import math
from collections.abc import Mapping

import numpy as np

from jepa_ros.errors import JepaError

QUANTILES = ("0.5", "0.95", "0.99", "0.999")


def quantiles_of(scores: np.ndarray) -> dict[str, float]:
    """QUANTILES of scores (N,)."""
    return {q: float(np.quantile(scores, float(q))) for q in QUANTILES}


def require_quantiles(name: str, found: Mapping[str, float]) -> None:
    """JepaError unless ``found`` has all QUANTILES, finite and not negative."""
    if missing := sorted(set(QUANTILES) - set(found)):
        raise JepaError(f"calibration: {name} lacks {missing}")
    if not all(math.isfinite(value) and value >= 0 for value in found.values()):
        raise JepaError(f"calibration: {name} must be finite and not negative: {dict(found)}")
