"""Surprise: how far what is seen lies from what was predicted one block before."""

from collections.abc import Sequence

import numpy as np

from jepa_ros.evaluation.offline.rollouts import Errors
from jepa_ros.world_model.calibration import Calibration

QUANTILE = "0.99"
MOST_SPIKES = 12
SHOWN = 6
"""Frames of the highest surprise that are shown, whether they are spikes or not."""
_MADS = 6.0


def surprise(errors: Sequence[Errors], calibration: Calibration | None, block: int) -> dict | None:
    """s(t + K) = RMS_D(predicted - observed) one block ahead, at every frame.

    threshold: the checkpoint's quantile of the same figure on held-out clips; without a calibration spikes are
    what exceeds the median by six median absolute deviations, and share_above is not known. Spikes are local
    maxima at least a block apart, the largest first; highest: the SHOWN largest maxima, above the threshold or not.
    None where no track is long enough.
    """
    if not errors:
        return None
    threshold = None if calibration is None else float(calibration.surprise_quantiles[QUANTILE])
    values = np.concatenate([e.model[:, 0] for e in errors])
    median = float(np.median(values))
    spread = float(np.median(np.abs(values - median)))
    limit = threshold if threshold is not None else median + _MADS * spread
    series, peaks = [], []
    for e in errors:
        frames, s = e.starts + block, e.model[:, 0]
        track, begin = e.track, e.track.stamps[0]
        series.append(
            {
                "bag": track.bag,
                "episode": track.index,
                "stamps_s": track.stamps[frames].tolist(),
                "time_s": (track.stamps[frames] - begin).tolist(),
                "surprise": s.tolist(),
            }
        )
        for i in _peaks(s, block):
            frame = frames[i]
            peaks.append(
                {
                    "bag": track.bag,
                    "episode": track.index,
                    "stamp_s": float(track.stamps[frame]),
                    "time_s": float(track.stamps[frame] - begin),
                    "surprise": float(s[i]),
                    "image_index": int(track.image_index[frame]),
                    "thumbnail": None,
                }
            )
    peaks.sort(key=lambda peak: -peak["surprise"])
    spikes = [peak for peak in peaks if peak["surprise"] > limit]
    return {
        "threshold": threshold,
        "quantile": QUANTILE,
        "median": median,
        "p95": float(np.percentile(values, 95)),
        "share_above": None if threshold is None else float(np.mean(values > threshold)),
        "series": series,
        "spikes": spikes[:MOST_SPIKES],
        "highest": peaks[: max(SHOWN, min(len(spikes), MOST_SPIKES))],
    }


def _peaks(values: np.ndarray, apart: int) -> list[int]:
    """Indices of values that are the largest within ``apart`` on either side."""
    found = []
    for i, value in enumerate(values):
        near = values[max(0, i - apart) : i + apart + 1]
        if value == near.max() and (not found or i - found[-1] > apart):
            found.append(i)
    return found
