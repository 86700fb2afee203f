"""Many numbers to as many as a chart can show."""

from collections.abc import Sequence

import numpy as np

POINTS = 2000


def floats(values: Sequence | None) -> np.ndarray:
    """float64 array; None inside becomes NaN, None itself an empty array."""
    return np.array([np.nan if v is None else v for v in values or ()], dtype=float)


def finite(values: Sequence | None) -> np.ndarray:
    array = floats(values)
    return array[np.isfinite(array)]


def peaks(values: np.ndarray, limit: int) -> np.ndarray:
    """Ascending indices of at most ``limit`` of the values (n,): the least and the greatest of each stretch."""
    if len(values) <= limit:
        return np.arange(len(values))
    stretches = np.array_split(np.arange(len(values)), max(1, limit // 2))
    kept = set()
    for stretch in stretches:
        part = values[stretch]
        if np.isfinite(part).any():
            kept |= {int(stretch[np.nanargmin(part)]), int(stretch[np.nanargmax(part)])}
    return np.array(sorted(kept), dtype=int)


def every(count: int, limit: int) -> np.ndarray:
    """Ascending indices of at most ``limit`` of ``count`` items, evenly spread."""
    return (
        np.unique(np.linspace(0, count - 1, min(count, limit)).round().astype(int)) if count else np.arange(0)
    )


def histogram(values: np.ndarray, low: float, high: float, bins: int) -> tuple[np.ndarray, np.ndarray]:
    """Edges (bins + 1,) and the share of the finite values in each bin (bins,); values outside count at the
    ends."""
    edges = np.linspace(low, high, bins + 1)
    counts, _ = np.histogram(np.clip(values[np.isfinite(values)], low, high), edges)
    return edges, counts / max(1, counts.sum())


def quantiles_along(
    curves: Sequence[tuple[np.ndarray, np.ndarray]], levels: Sequence[float], points: int = 120
) -> tuple[np.ndarray, np.ndarray]:
    """Quantiles over curves of (x (n,), y (n,)): x (points,), values (levels, points).

    Where fewer than a quarter of the curves reach, x ends.
    """
    reach = np.sort([np.nanmax(x) for x, _ in curves])
    grid = np.linspace(0, reach[int(0.75 * (len(reach) - 1))], points)
    stack = []
    for x, y in curves:
        order = np.argsort(x)
        stack.append(np.interp(grid, x[order], y[order], left=np.nan, right=np.nan))
    stack = np.array(stack)
    grid, stack = (a[..., np.isfinite(stack).any(axis=0)] for a in (grid, stack))
    return grid, np.nanquantile(stack, levels, axis=0)
