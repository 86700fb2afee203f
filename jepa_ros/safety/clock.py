"""One moment on two clocks, and whether the ROS clock runs."""

import math
from typing import NamedTuple

FUTURE_S = 0.05
"""A stamp may be this far ahead: two clocks never agree."""


class Now(NamedTuple):
    """One moment on two clocks.

    steady: monotonic seconds, for receipt times; runs on when simulated time stands still.
    ros: seconds of the ROS clock, for stamps, and for how far the arm's controller has come.
    """

    steady: float
    ros: float


class RosClock:
    """Whether the ROS clock moves: simulated time stands still when its source does.

    limit: s of the steady clock without a change; 0 does not look.
    """

    def __init__(self, limit: float):
        self.limit = limit
        self._ros = math.nan
        self._changed_at = math.nan  # steady

    def update(self, now: Now) -> None:
        """See the clock; call it often."""
        if now.ros != self._ros or math.isnan(self._changed_at):
            self._ros, self._changed_at = now.ros, now.steady

    def runs(self, now: Now) -> bool:
        """Whether it moved lately: where not, stamps may be ahead of it through no fault of theirs."""
        return now.steady - self._changed_at <= FUTURE_S

    def complaint(self, now: Now) -> str:
        """What is wrong, "" where it runs."""
        if self.limit == 0 or now.steady - self._changed_at <= self.limit:
            return ""
        return f"the ROS clock stood still for {self.limit:g} s; does /clock come?"
