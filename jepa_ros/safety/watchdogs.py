"""Whether an input is fresh: by when it was received on the steady clock, and by its stamp on the ROS clock."""

import math

from jepa_ros.safety.clock import FUTURE_S, Now
from jepa_ros.safety.states import Reason


class Watchdog:
    """Watches one input. A comparison with NaN complains.

    what: the input in words.  reason: that of a hold.  limit: oldest age, s; 0 does not watch.
    stamp_slack: s that a stamp may be older than the limit.
    """

    def __init__(self, what: str, reason: Reason, limit: float, stamp_slack: float = 0.0):
        self.what, self.reason, self.limit, self.stamp_slack = what, reason, limit, stamp_slack
        self.clear()

    def clear(self) -> None:
        """As if nothing had come."""
        self._received: float | None = None  # steady
        self._stamp: float | None = None  # ros

    def feed(self, now: Now, stamp: float | None = None) -> None:
        """Something came. stamp: s on the ROS clock, None where it has none."""
        self._received, self._stamp = now.steady, stamp

    def age(self, now: Now) -> float:
        """s since the last receipt; NaN before the first."""
        return math.nan if self._received is None else now.steady - self._received

    def complaint(self, now: Now) -> str:
        """What is wrong, "" where the input is fresh."""
        if self.limit == 0:
            return ""
        if not self.age(now) <= self.limit:
            return (
                f"no {self.what} for {self.limit:g} s"
                if self._received is not None
                else f"no {self.what} yet"
            )
        if self._stamp is None:
            return ""
        old, limit = now.ros - self._stamp, self.limit + self.stamp_slack
        if not old <= limit:
            return f"the last {self.what} is stamped {old:.3f} s ago, at most {limit:g} s"
        if not old >= -FUTURE_S:
            return f"the last {self.what} is stamped {-old:.3f} s ahead; do all nodes use one clock?"
        return ""
