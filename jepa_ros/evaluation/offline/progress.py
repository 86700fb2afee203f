"""Goal distance along an episode: does the latent distance to its last frame fall as the arm gets there?"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from jepa_ros.evaluation.offline.tracks import Track
from jepa_ros.evaluation.offline.windows import rms

FEWEST_FRAMES = 8
"""Tracks of fewer frames get no correlation."""
MOVED_RAD, MOVED_M = 0.05, 0.01
"""A track whose joints (end effector) never were this far from where they ended gets no correlation."""


@dataclass(frozen=True)
class Progress:
    """One track's way to its last frame, per frame (L,).

    time_to_go: s.  distance: latent, root mean square over D.  ee_distance: m, or None where it is not known.
    spearman_time, spearman_distance: rank correlation of distance with time_to_go and with ee_distance;
    spearman_true: of ee_distance with time_to_go, what the arm's own way allows. NaN where undefined.
    """

    time_to_go: np.ndarray
    distance: np.ndarray
    ee_distance: np.ndarray | None
    spearman_time: float
    spearman_distance: float
    spearman_true: float


def progress(track: Track) -> Progress:
    """d(t) = sqrt(mean over D of (z(t) - z(last))^2). The last frame itself, always at 0, is left out of the
    correlations."""
    time_to_go = track.stamps[-1] - track.stamps
    distance = rms(track.latents - track.latents[-1])
    moved = np.abs(track.proprio - track.proprio[-1]).max() >= MOVED_RAD
    usable = moved and len(track) >= FEWEST_FRAMES
    by_time = spearman(distance[:-1], time_to_go[:-1]) if usable else float("nan")
    if track.end_effector is None:
        return Progress(time_to_go, distance, None, by_time, float("nan"), float("nan"))
    ee_distance = np.linalg.norm(track.end_effector - track.end_effector[-1], axis=1)
    by_distance = by_truth = float("nan")
    if usable and ee_distance.max() >= MOVED_M:
        by_distance = spearman(distance[:-1], ee_distance[:-1])
        by_truth = spearman(ee_distance[:-1], time_to_go[:-1])
    return Progress(time_to_go, distance, ee_distance, by_time, by_distance, by_truth)


def spearman(a: Sequence[float], b: Sequence[float]) -> float:
    """Spearman's rank correlation, -1 .. 1, ties at their mean rank; NaN where either is constant."""
    a, b = _ranks(a), _ranks(b)
    a, b = a - a.mean(), b - b.mean()
    scale = np.sqrt((a @ a) * (b @ b))
    return float(a @ b / scale) if scale > 0 else float("nan")


def _ranks(values: Sequence[float]) -> np.ndarray:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[inverse]
