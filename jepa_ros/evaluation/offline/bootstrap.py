"""How sure a figure is: bootstrap over episodes, or over stretches of frames where there are few episodes.

Frames of one episode resemble each other, so whole episodes (or stretches) are drawn, not frames.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from jepa_ros.evaluation.offline.tracks import Track

DRAWS = 2000
FEW_TRACKS = 5
"""Below so many tracks, stretches of frames are drawn in their place."""
STRETCH_S = 3.0
FEWEST_GROUPS = 5
"""No interval is given below so many groups: it would be too narrow."""
CONFIDENCE = 0.95

Interval = tuple[float, float]
UNKNOWN: Interval = (float("nan"), float("nan"))


class Groups:
    """What is drawn: tracks, or stretches of STRETCH_S where there are fewer than FEW_TRACKS.

    They are ranges of a bag's images, so that frames of two checkpoints fall into the same groups even where the
    checkpoints look at other frames of the bag. unit: "episodes" or "stretches".
    """

    def __init__(self, tracks: Sequence[Track], rate_hz: float):
        self.unit = "episodes" if len(tracks) >= FEW_TRACKS else "stretches"
        length = max(1, round(STRETCH_S * rate_hz))
        begins: dict[str, list[int]] = {}
        for track in tracks:
            frames = track.image_index[:1] if self.unit == "episodes" else track.image_index[::length]
            if self.unit == "stretches" and len(frames) > 1 and len(track) % length < length / 2:
                frames = frames[:-1]  # a short rest goes with the stretch before it
            begins.setdefault(track.bag, []).extend(int(i) for i in frames)
        self._edges = {bag: np.unique(found) for bag, found in begins.items()}
        firsts = np.cumsum([0, *(len(e) for e in self._edges.values())])
        self._first = dict(zip(self._edges, firsts.tolist(), strict=False))
        self.size = int(firsts[-1])

    def of(self, track: Track, frames: np.ndarray) -> np.ndarray:
        """The group of each frame (n,) of a track; -1 for a bag that is not known here."""
        edges = self._edges.get(track.bag)
        if edges is None:
            return np.full(np.shape(frames), -1)
        place = np.searchsorted(edges, track.image_index[frames], side="right") - 1
        return self._first[track.bag] + np.maximum(place, 0)

    def of_rows(self, tracks: Sequence[Track], numbers: np.ndarray, frames: np.ndarray) -> np.ndarray:
        """The group of frame frames[i] of tracks[numbers[i]]: (n,)."""
        found = np.full(len(frames), -1)
        for number in np.unique(numbers):
            rows = numbers == number
            found[rows] = self.of(tracks[number], frames[rows])
        return found

    def draws(self, seed: int) -> np.ndarray:
        """(DRAWS, size): how often each group is drawn; the same for the same seed, so that figures pair."""
        rng = np.random.default_rng(seed)
        return rng.multinomial(self.size, np.full(self.size, 1 / self.size), DRAWS).astype(float)


@dataclass(frozen=True)
class Ratio:
    """A figure that is a sum over groups divided by another: a mean, or an error relative to another.

    above, below: (G,).  n: values behind it.
    """

    above: np.ndarray
    below: np.ndarray
    n: int

    @classmethod
    def mean(cls, values: np.ndarray, ids: np.ndarray, groups: Groups) -> "Ratio":
        """The mean of values (n,) in groups ids (n,); NaN is left out."""
        return cls.relative(values, np.where(np.isfinite(values), 1.0, np.nan), ids, groups)

    @classmethod
    def relative(cls, values: np.ndarray, others: np.ndarray, ids: np.ndarray, groups: Groups) -> "Ratio":
        """Sum of values (n,) / sum of others (n,), groups ids (n,)."""
        values, others = np.asarray(values, float), np.asarray(others, float)
        used = np.isfinite(values) & np.isfinite(others) & (ids >= 0)

        def sums(weights):
            return np.bincount(ids[used], weights[used], minlength=groups.size)

        return cls(sums(values), sums(others), int(used.sum()))

    @property
    def value(self) -> float:
        """The figure; NaN without values."""
        return float(_divide(self.above.sum(), self.below.sum()))

    @property
    def filled(self) -> int:
        """Groups that hold values."""
        return int(np.count_nonzero(self.below))

    def resampled(self, draws: np.ndarray) -> np.ndarray:
        """The figure in each draw (R, G) -> (R,)."""
        return _divide(draws @ self.above, draws @ self.below)

    def interval(self, draws: np.ndarray) -> Interval:
        """The CONFIDENCE interval of the figure; NaN below FEWEST_GROUPS groups."""
        return UNKNOWN if self.filled < FEWEST_GROUPS else percentiles(self.resampled(draws))


def difference_interval(a: Ratio, b: Ratio, draws: np.ndarray) -> Interval:
    """The paired interval of b - a: both figures from the same draws; NaN below FEWEST_GROUPS common groups."""
    if np.count_nonzero((a.below != 0) & (b.below != 0)) < FEWEST_GROUPS:
        return UNKNOWN
    return percentiles(b.resampled(draws) - a.resampled(draws))


def percentiles(values: np.ndarray) -> Interval:
    """The middle CONFIDENCE of values, NaN left out."""
    values = values[np.isfinite(values)]
    if not len(values):
        return UNKNOWN
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(values, (tail, 100 - tail))
    return float(low), float(high)


def _divide(above, below):
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(np.asarray(below) != 0, above / np.asarray(below), np.nan)
