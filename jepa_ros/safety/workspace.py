"""The box that the end effector stays in."""

from collections.abc import Callable

import numpy as np

from jepa_ros.errors import JepaError

_LOOKS = np.linspace(0.0, 1.0, 5)  # along the braking path


class Workspace:
    """Whether an arm that moves can still stop inside a box; one that is outside may only come back.

    lower, upper: (3,) m, corners in the frame of ``position_of``.
    position_of: joint positions (A,) rad -> (3,) m, the end effector.
    margin: m. Braking paths are looked at in five places and keep this distance, which covers what lies between.
    """

    def __init__(self, lower, upper, position_of: Callable[[np.ndarray], np.ndarray], margin: float = 0.01):
        self.lower, self.upper = (np.array(v, np.float64) for v in (lower, upper))
        if self.lower.shape != (3,) or self.upper.shape != (3,):
            raise JepaError("workspace: lower and upper must be x, y and z, m")
        if not (np.isfinite(margin) and margin >= 0):
            raise JepaError(f"workspace: margin is {margin}; it must be at least 0 m")
        if not np.all(self.lower + 2 * margin < self.upper):
            raise JepaError(
                f"workspace: the box from {self.lower} to {self.upper} m leaves no room for the margin {margin}"
            )
        self.position_of, self.margin = position_of, margin

    def outside(self, joints: np.ndarray) -> float:
        """m by which the end effector is outside the box less its margin; 0 inside."""
        at = self.position_of(joints)
        beyond = np.maximum(self.lower + self.margin - at, at - self.upper + self.margin)
        return max(0.0, float(beyond.max()))

    def allows(
        self, position: np.ndarray, velocity: np.ndarray, acceleration: np.ndarray, before: np.ndarray
    ) -> bool:
        """Whether the arm may go from ``before`` to ``position`` (A,) rad and be there at ``velocity`` (A,)."""
        stop = np.abs(velocity) / acceleration
        farthest = None
        for time in _LOOKS * stop.max():
            braked = np.minimum(time, stop)
            pose = position + velocity * braked - 0.5 * np.sign(velocity) * acceleration * braked**2
            out = self.outside(pose)
            if out > 0:
                if farthest is None:
                    farthest = self.outside(before)
                if not out <= farthest:
                    return False
        return True
