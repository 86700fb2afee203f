"""Follow joint trajectories as joint_trajectory_controller of ros2_controllers does; time is an argument."""

import numpy as np

from jepa_ros.errors import JepaError
from jepa_ros.simulation.arm import POSITION_LOWER, POSITION_UPPER, VELOCITY


class JointTrajectoryFollower:
    """Turns trajectories into one joint target at a time.

    start: (A,) rad, the target before any trajectory.  now: s, the time of that target.
    lower, upper: (A,) rad position limits.  velocity: (A,) rad/s limits.  Defaults are those of the SO-101.

    Invariants: a new trajectory replaces the old one and starts at the target of that moment; points already
    in the past are dropped; between points the target is linear in time; after the last point it holds; the
    target never leaves the position limits and, from one call of ``target`` to the next, never moves faster
    than the velocity limits, also where a trajectory asks for it (it then lags and catches up). Time must not
    run backwards: an earlier ``now`` gives the present target; after a reset of the clock call ``reset``.
    """

    def __init__(
        self, start, now: float = 0.0, lower=POSITION_LOWER, upper=POSITION_UPPER, velocity=VELOCITY
    ):
        self.lower, self.upper, self.velocity = (np.array(v, np.float64) for v in (lower, upper, velocity))
        if not (self.lower.shape == self.upper.shape == self.velocity.shape and np.all(self.velocity > 0)):
            raise JepaError(
                "JointTrajectoryFollower: lower, upper and velocity need one value per joint, "
                "and every velocity must be above 0"
            )
        self.reset(start, now)

    def reset(self, target, now: float = 0.0) -> None:
        """Forget the trajectory and hold ``target`` (A,) rad from ``now`` on."""
        self._target = np.clip(self._checked(target, self.lower.shape, "start"), self.lower, self.upper)
        self._now = float(now)
        self._times = np.array([self._now])
        self._points = self._target[None]

    def accept(self, now: float, stamp: float, positions, times_from_start) -> int:
        """Take a trajectory; returns how many of its points lie ahead of ``now`` (0: all too late, ignored).

        now, stamp: s on one clock; stamp 0 means now.  positions: (N, A) rad.
        times_from_start: (N,) s after the stamp, strictly increasing.
        """
        count = np.size(times_from_start)
        times = self._checked(times_from_start, (count,), "times_from_start")
        points = self._checked(positions, (count, *self.lower.shape), "positions")
        if count == 0:
            raise JepaError("trajectory: it has no points; send at least one")
        if times[0] < 0 or np.any(np.diff(times) <= 0):
            raise JepaError(f"trajectory: times_from_start must start at 0 or later and rise, got {times}")
        if not (np.isfinite(stamp) and np.isfinite(now)):
            raise JepaError(f"trajectory: stamp {stamp} and now {now} must be finite")
        times = times + (stamp if stamp else now)
        ahead = times > now if stamp else times >= now
        if not np.any(ahead):
            return 0
        start = self.target(now)
        self._times = np.concatenate([[now], times[ahead]])
        self._points = np.concatenate([start[None], np.clip(points[ahead], self.lower, self.upper)])
        return int(ahead.sum())

    def target(self, now: float) -> np.ndarray:
        """(A,) rad, what the joints should be commanded to at ``now``."""
        if now > self._now:
            wanted = self._interpolate(now)
            reach = self.velocity * (now - self._now)
            self._target = np.clip(wanted, self._target - reach, self._target + reach)
            self._now = float(now)
        return self._target.copy()

    def done(self, now: float) -> bool:
        """Whether the last point's time has passed."""
        return bool(now >= self._times[-1])

    def _interpolate(self, now: float) -> np.ndarray:
        i = int(np.searchsorted(self._times, now, side="right"))
        if i == 0:
            return self._points[0]
        if i == len(self._times):
            return self._points[-1]
        t0, t1 = self._times[i - 1], self._times[i]
        part = (now - t0) / (t1 - t0)
        return self._points[i - 1] + part * (self._points[i] - self._points[i - 1])

    @staticmethod
    def _checked(values, shape: tuple[int, ...], what: str) -> np.ndarray:
        try:
            array = np.asarray(values, dtype=np.float64)
        except (TypeError, ValueError):
            raise JepaError(f"trajectory: {what} is not an array of numbers of shape {shape}") from None
        if array.shape != shape:
            raise JepaError(f"trajectory: {what} has shape {array.shape}; expected {shape}")
        if not np.all(np.isfinite(array)):
            raise JepaError(f"trajectory: {what} holds NaN or Inf")
        return array
