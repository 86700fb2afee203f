"""Where a scripted arm goes next when there is a cube: behind it, through it, or away."""

import numpy as np

from jepa_ros.simulation.tasks import PUSH, Goal, Task, sample_pose

POOL = 1500
CONTACT_M = (0.03, 0.085)
"""Horizontal distance between gripper frame and cube centre from which a push starts."""
PUSH_M = (0.04, 0.16)


class PushGoals:
    """Low poses, drawn once, from which moves are picked by where the gripper and the cube are now."""

    def __init__(self, task: Task):
        rng = np.random.default_rng(0)
        poses = [sample_pose(rng, PUSH) for _ in range(POOL)]
        self._task = task
        self._joints = np.stack([p.joints for p in poses])
        self._points = np.stack([p.end_effector[:2] for p in poses])

    def sample(
        self, rng: np.random.Generator, joints: np.ndarray, end_effector: np.ndarray, cube: np.ndarray
    ) -> np.ndarray:
        """(A,) rad: the next place to go to, from joints (A,), gripper frame (3,) and cube (3,) now."""
        ahead = cube[:2] - end_effector[:2]
        distance = float(np.linalg.norm(ahead))
        chance = rng.random()
        if (
            CONTACT_M[0] <= distance <= CONTACT_M[1]
            and end_effector[2] <= PUSH.end_effector_upper[2]
            and chance < 0.8
        ):
            return self._near(end_effector[:2] + ahead / distance * rng.uniform(*PUSH_M), joints)
        if chance < 0.75:
            angle, back = rng.uniform(-np.pi, np.pi), rng.uniform(0.045, CONTACT_M[1])
            return self._near(cube[:2] + back * np.array([np.cos(angle), np.sin(angle)]), joints)
        return self._elsewhere(rng).joints

    def _near(self, point: np.ndarray, joints: np.ndarray) -> np.ndarray:
        """Of the twelve poses nearest to the point the one that needs the least motion."""
        nearest = np.argsort(np.linalg.norm(self._points - point, axis=1))[:12]
        return self._joints[nearest[np.argmin(np.abs(self._joints[nearest] - joints).max(axis=1))]]

    def _elsewhere(self, rng: np.random.Generator) -> Goal:
        return self._task.sample_start(rng)
