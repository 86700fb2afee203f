"""Surprise over time: how far the next embedding was from the predicted one, and where it stood out."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from jepa_ros.evaluation.offline.tracks import Track
from jepa_ros.evaluation.offline.windows import Windows, rms
from jepa_ros.world_model.checkpoint import Checkpoint

QUANTILE = "0.99"
"""The threshold: this quantile of the surprise on frames held out of training, from the checkpoint's calibration."""
SPIKES = 12
DEVIATIONS = 6.0
"""Without calibration a spike lies this many median absolute deviations above the median."""


@dataclass(frozen=True)
class Surprise:
    """values: (n,) at n frames, stride 1 within a track.  track, frame: (n,) the frames that were predicted.

    threshold: from the calibration, NaN without.
    """

    values: np.ndarray
    track: np.ndarray
    frame: np.ndarray
    threshold: float

    @property
    def above(self) -> np.ndarray:
        """(n,) 1 where the threshold is passed, else 0; NaN without a threshold."""
        return np.where(self.values > self.threshold, 1.0, 0.0 if np.isfinite(self.threshold) else np.nan)

    @property
    def spike_level(self) -> float:
        """The threshold; without one, median + DEVIATIONS * median absolute deviation."""
        if np.isfinite(self.threshold):
            return self.threshold
        median = np.median(self.values)
        return float(median + DEVIATIONS * np.median(np.abs(self.values - median)))


def surprise(tracks: Sequence[Track], checkpoint: Checkpoint) -> Surprise | None:
    """s(t + K) = sqrt(mean over D of (predicted z(t + K) - observed z(t + K))^2), one block ahead of every frame t.

    None where no track has one block after a full context.
    """
    spec, model = checkpoint.spec, checkpoint.model
    windows = Windows(tracks, spec, model.context, 1)
    if not len(windows):
        return None
    values = np.concatenate(
        [
            rms(windows.imagine(model, rows, windows.blocks(rows)) - windows.seen(rows))[:, 0]
            for rows in windows.batches()
        ]
    )
    calibration = checkpoint.calibration
    threshold = float("nan") if calibration is None else calibration.surprise_quantiles[QUANTILE]
    return Surprise(values, windows.track, windows.frame + spec.block, threshold)


def spikes(found: Surprise, apart: int, most: int = SPIKES) -> np.ndarray:
    """Rows of the largest values above the spike level, the largest first, at most ``most``.

    A spike is the largest value within ``apart`` frames of it in its track (the first of equals).
    """
    kept: list[int] = []
    for row in np.argsort(-found.values, kind="stable"):
        if len(kept) == most or not found.values[row] > found.spike_level:
            break
        near = (found.track == found.track[row]) & (np.abs(found.frame - found.frame[row]) <= apart)
        window = found.values[near]
        if found.values[row] == window.max() and not np.any(near[kept]):
            kept.append(int(row))
    return np.array(kept, int)
