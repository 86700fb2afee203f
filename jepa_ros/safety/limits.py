"""Joint limits, and the clamp that no command passes by."""

from dataclasses import dataclass

import numpy as np

from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.errors import JepaError

COUNTED = 1e-6  # rad; a change below this is rounding, not clamping


@dataclass(frozen=True)
class JointLimits:
    """Limits of A joints, in the order of ``names``.

    lower, upper: (A,) position limits, rad.  velocity: (A,) largest speed of the commanded target, rad/s.
    margin: rad kept from both position limits.
    """

    names: tuple[str, ...]
    lower: np.ndarray
    upper: np.ndarray
    velocity: np.ndarray
    margin: float = 0.0

    def __post_init__(self):
        def need(ok, what):
            if not ok:
                raise JepaError(f"joint limits: {what}")

        object.__setattr__(self, "names", tuple(self.names))
        need(len(self.names) > 0 and len(set(self.names)) == len(self.names),
             f"joint names must be unique and at least one, got {list(self.names)}")
        for field in ("lower", "upper", "velocity"):
            values = np.array(getattr(self, field), dtype=np.float64)
            need(values.shape == (len(self.names),) and np.all(np.isfinite(values)),
                 f"{field} must be {len(self.names)} finite numbers, one per joint, got {values}")
            values.flags.writeable = False
            object.__setattr__(self, field, values)
        need(np.isfinite(self.margin) and self.margin >= 0, f"margin is {self.margin}; it must be at least 0")
        for i, name in enumerate(self.names):
            need(self.lower[i] + 2 * self.margin < self.upper[i],
                 f"{name}: position limits {self.lower[i]} to {self.upper[i]} leave no room for the margin "
                 f"{self.margin}")
            need(self.velocity[i] > 0, f"{name}: velocity is {self.velocity[i]}; it must be positive")

    @classmethod
    def from_spec(cls, spec: ActionSpec, velocity, margin: float = 0.0) -> "JointLimits":
        """The position limits of an ActionSpec; velocity: rad/s, (A,) or one number for all joints."""
        return cls(spec.joint_names, spec.position_lower, spec.position_upper,
                   np.broadcast_to(np.asarray(velocity, dtype=np.float64), (spec.dim,)), margin)

    @property
    def dim(self) -> int:
        """A, the number of joints."""
        return len(self.names)

    def clamp_step(self, target: np.ndarray, previous: np.ndarray, dt: float) -> tuple[np.ndarray, int]:
        """The allowed target (A,) nearest to ``target`` dt s after ``previous``, and how many joints changed.

        Never further than velocity * dt from ``previous``, and never outside the position limits less the
        margin; a joint that starts outside comes back, or stays where that takes longer than dt.
        """
        low, high = self.lower + self.margin, self.upper - self.margin
        step = self.velocity * dt
        allowed = np.clip(np.clip(target, low, high), previous - step, previous + step)
        return allowed, int(np.count_nonzero(np.abs(allowed - target) > COUNTED))
