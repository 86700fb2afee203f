"""What every joint may do: position with a margin, velocity, acceleration, step."""

from dataclasses import dataclass

import numpy as np

from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.errors import JepaError

COUNTED = 1e-6  # rad; a change below this is rounding, not clamping


@dataclass(frozen=True)
class JointLimits:
    """Limits of A joints, in the order of ``names``; each is (A,), or one number for all joints.

    lower, upper: position, rad.  velocity: largest speed of the commanded setpoint, rad/s.
    acceleration: largest change of that speed, rad/s^2; braking too.  margin: rad kept from both position
        limits.
    max_step: rad, farthest that a setpoint may lie from the one sent before it.
    """

    names: tuple[str, ...]
    lower: np.ndarray
    upper: np.ndarray
    velocity: np.ndarray
    acceleration: np.ndarray
    margin: np.ndarray = 0.0
    max_step: np.ndarray = np.inf

    def __post_init__(self):
        def need(ok, what):
            if not ok:
                raise JepaError(f"joint limits: {what}")

        object.__setattr__(self, "names", tuple(self.names))
        need(
            len(self.names) > 0 and len(set(self.names)) == len(self.names),
            f"joint names must be unique and at least one, got {list(self.names)}",
        )
        for field in ("lower", "upper", "velocity", "acceleration", "margin", "max_step"):
            values = np.array(getattr(self, field), dtype=np.float64)
            if values.ndim == 0:
                values = np.full(len(self.names), values)
            finite = np.isfinite(values) | (values == np.inf if field == "max_step" else False)
            need(
                values.shape == (len(self.names),) and np.all(finite),
                f"{field} must be {len(self.names)} finite numbers, one per joint, got {values}",
            )
            values.flags.writeable = False
            object.__setattr__(self, field, values)
        for i, name in enumerate(self.names):
            need(self.margin[i] >= 0, f"{name}: margin is {self.margin[i]}; it must be at least 0")
            need(
                self.lower[i] + 2 * self.margin[i] < self.upper[i],
                f"{name}: position limits {self.lower[i]} to {self.upper[i]} leave no room for the margin "
                f"{self.margin[i]}",
            )
            for field in ("velocity", "acceleration", "max_step"):
                value = getattr(self, field)[i]
                need(value > 0, f"{name}: {field} is {value}; it must be positive")

    @classmethod
    def from_spec(
        cls, spec: ActionSpec, velocity, acceleration, margin=0.0, max_step=np.inf
    ) -> "JointLimits":
        """The position limits of an ActionSpec, and the others."""
        return cls(
            spec.joint_names,
            spec.position_lower,
            spec.position_upper,
            velocity,
            acceleration,
            margin,
            max_step,
        )

    @property
    def dim(self) -> int:
        """A, the number of joints."""
        return len(self.names)

    @property
    def low(self) -> np.ndarray:
        """(A,) rad, the lower position limits with their margin."""
        return self.lower + self.margin

    @property
    def high(self) -> np.ndarray:
        """(A,) rad, the upper position limits with their margin."""
        return self.upper - self.margin

    def clamp_step(self, target: np.ndarray, previous: np.ndarray, dt: float) -> tuple[np.ndarray, int]:
        """The allowed target (A,) nearest to ``target`` dt s after ``previous``, and how many joints changed.

        Never further than velocity * dt from ``previous``, and never outside the position limits less the
        margin; a joint that starts outside comes back, or stays where that takes longer than dt.
        """
        step = self.velocity * dt
        allowed = np.clip(np.clip(target, self.low, self.high), previous - step, previous + step)
        return allowed, int(np.count_nonzero(np.abs(allowed - target) > COUNTED))
