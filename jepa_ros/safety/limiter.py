"""Setpoints along a path, within position, velocity and acceleration limits, from one to the next.

Of a joint at p that moves at v, braking at acceleration a ends within v^2 / 2a. Invariant, for every joint and
after every step: p + v^2 / 2a does not lie beyond a position limit. It can always be kept: a step of any length
dt that brakes by a * dt goes no farther than continuous braking would.
"""

from collections.abc import Callable

import numpy as np

from jepa_ros.errors import JepaError
from jepa_ros.safety.limits import JointLimits

ARRIVED = 1e-6
"""rad; nearer than this to the end of its path, a joint is put there."""
STALL = 2.0
"""Periods without a step after which the arm has come to rest where it was sent."""


def brake_speed(distance: np.ndarray, acceleration: np.ndarray, dt: float) -> np.ndarray:
    """The speed v that, kept for dt s, leaves room to brake: v dt + v^2 / 2a = distance (at least 0)."""
    return 2 * distance / (np.sqrt(dt**2 + 2 * distance / acceleration) + dt)


class Path:
    """Targets dt s apart, linear between them, at rest after the last.

    points: (N + 1, ..., A) rad, from where the motion starts.  speed: (..., A) rad/s, with which it starts.
    fastest: (..., A) rad/s, as fast as any piece of the path, or as the start.
    """

    def __init__(self, points: np.ndarray, dt: float, speed: np.ndarray):
        self.points, self.dt = points, dt
        self.highest = np.maximum.accumulate(points[::-1])[::-1]  # of each point and all after it
        self.lowest = np.minimum.accumulate(points[::-1])[::-1]
        self.fastest = np.maximum(np.abs(np.diff(points, axis=0)).max(axis=0) / dt, speed)
        self.end = points[-1]
        self.duration = dt * (len(points) - 1)

    def at(self, time: float) -> np.ndarray:
        """(..., A) rad."""
        part = time / self.dt
        i = min(int(part), len(self.points) - 1)
        if i == len(self.points) - 1:
            return self.end
        return self.points[i] + (part - i) * (self.points[i + 1] - self.points[i])

    def range_from(self, time: float) -> tuple[np.ndarray, np.ndarray]:
        """(..., A) rad: the lowest and the highest of what is left of the path."""
        here, following = self.at(time), min(int(time / self.dt) + 1, len(self.points) - 1)
        return np.minimum(here, self.lowest[following]), np.maximum(here, self.highest[following])


class SetpointLimiter:
    """Where every joint is sent next; it is at rest until it has a path.

    position, velocity: (..., A) rad and rad/s, of the last step; leading axes are independent arms.
    period: s from one setpoint to the next, in which the arm goes there; so no step covers more time than that.
    """

    def __init__(self, limits: JointLimits, period: float, position: np.ndarray):
        if not period > 0:
            raise JepaError(f"limiter: period is {period}; it must be positive")
        self.limits, self.period = limits, period
        self.speed = np.minimum(limits.velocity, limits.max_step / period)
        self.position = np.array(position, np.float64)
        self.velocity = np.zeros_like(self.position)
        self.path: Path | None = None
        self.path_time = 0.0

    @property
    def at_rest(self) -> bool:
        """Whether nothing moves and nothing is left to do."""
        if np.any(self.velocity):
            return False
        return self.path is None or (
            self.path_time >= self.path.duration and np.array_equal(self.position, self.path.end)
        )

    def follow(self, targets: np.ndarray, dt: float) -> None:
        """Take a new path from where the setpoint is: targets (N, ..., A) rad, dt s apart. Targets beyond the
        position limits are moved to them, or where the setpoint is beyond them already, to it."""
        low, high = np.minimum(self.limits.low, self.position), np.maximum(self.limits.high, self.position)
        targets = np.clip(targets, low, high)
        points = np.concatenate([self.position[None], targets])
        self.path, self.path_time = Path(points, dt, np.abs(self.velocity)), 0.0

    def brake(self) -> None:
        """Come to rest as soon as the acceleration limit allows."""
        self.path = None

    def step(self, elapsed: float, allowed: Callable[[np.ndarray, np.ndarray], bool] | None = None) -> bool:
        """Go on, ``elapsed`` s after the last step. False where ``allowed(position, velocity)`` forbids what
        comes next; then nothing has changed, and ``brake`` is always possible.

        Steps that come late lose time on the path beyond two periods; after STALL periods the arm stands, and
        the motion starts again from rest.
        """
        velocity = self.velocity
        if elapsed > STALL * self.period:
            velocity, elapsed = np.zeros_like(velocity), self.period
        dt, path_time = min(elapsed, self.period), self.path_time + elapsed
        acceleration, low, high = self.limits.acceleration, self.limits.low, self.limits.high
        wanted = 0.0 if self.path is None else self._pursue(path_time, dt)
        # A joint outside its limits may come back and not go farther.
        room_below = np.maximum(self.position - low, 0.0)
        room_above = np.maximum(high - self.position, 0.0)
        slowest = np.maximum(
            np.maximum(velocity - acceleration * dt, -self.speed), -brake_speed(room_below, acceleration, dt)
        )
        fastest = np.minimum(
            np.minimum(velocity + acceleration * dt, self.speed), brake_speed(room_above, acceleration, dt)
        )
        velocity = np.minimum(np.maximum(wanted, slowest), fastest)
        position = np.minimum(
            np.maximum(self.position + velocity * dt, np.minimum(low, self.position)),
            np.maximum(high, self.position),
        )
        if self.path is not None and path_time >= self.path.duration:
            landed = (np.abs(self.path.end - position) < ARRIVED) & (np.abs(velocity) <= acceleration * dt)
            position = np.where(landed, self.path.end, position)
            velocity = np.where(landed & (position == self.position), 0.0, velocity)
        if allowed is not None and not allowed(position, velocity):
            return False
        self.position, self.velocity, self.path_time = position, velocity, path_time
        return True

    def _pursue(self, path_time: float, dt: float) -> np.ndarray:
        """(..., A) rad/s, with which to follow the path: its own speed, and what closes the distance to it by a
        speed that can still be braked; never more than the path's own highest speed, nor than lets the joint stop
        within what is left of its path."""
        before, after = self.path.at(self.path_time), self.path.at(path_time)
        acceleration, lag = self.limits.acceleration, before - self.position
        wanted = (after - before) / dt + np.copysign(brake_speed(np.abs(lag), acceleration, dt), lag)
        wanted = np.minimum(np.maximum(wanted, -self.path.fastest), self.path.fastest)
        lowest, highest = self.path.range_from(path_time)
        up, down = np.maximum(highest - self.position, 0.0), np.maximum(self.position - lowest, 0.0)
        return np.minimum(
            np.maximum(wanted, -brake_speed(down, acceleration, dt)), brake_speed(up, acceleration, dt)
        )
