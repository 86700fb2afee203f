"""ROS time along a bag, for /clock of a replay. No ROS import here."""

from bisect import bisect_right

import numpy as np

SET_BACK_NS = 1_000_000_000
"""A longer step back is a clock that was set back; shorter ones come from several publishers of one topic."""


class ReplayClock:
    """Log times of a bag to ROS time: as recorded at every point, linear in between, and at the pace of real
    time before the first point, after the last, and up to a point where the clock was set back."""

    def __init__(self, logged: np.ndarray, times: np.ndarray):
        """logged: (n,) int64 ns, ascending, n > 0.  times: (n,) int64 ns, the ROS time there."""
        begins = [0, *(np.flatnonzero(np.diff(times) < -SET_BACK_NS) + 1).tolist()]
        self._times = np.concatenate([np.maximum.accumulate(part) for part in np.split(times, begins[1:])])
        self._logged, self._begins = logged, set(begins)

    def at(self, log_ns: int) -> int:
        """ROS time, ns. Within one stretch it never goes back."""
        before = bisect_right(self._logged, log_ns) - 1
        near = max(before, 0)
        logged, time = int(self._logged[near]), int(self._times[near])
        following = before + 1
        if before < 0 or following == len(self._times) or following in self._begins:
            return time + log_ns - logged
        share = (log_ns - logged) / (int(self._logged[following]) - logged)
        return time + int(share * (int(self._times[following]) - time))
