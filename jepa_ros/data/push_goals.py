"""Where a scripted arm goes next when there is a cube: about it at random, or on purpose, to push it to a place."""

import numpy as np

from jepa_ros.simulation.arm import JOINT_NAMES
from jepa_ros.simulation.tasks import CUBE_LOWER, CUBE_UPPER, PUSH, Goal, Task, sample_pose

POOL = 1500
CONTACT_M = (0.03, 0.085)
"""Horizontal distance between gripper frame and cube centre from which a push starts."""
PUSH_M = (0.04, 0.16)
LOW_M = 0.06
"""Height of the gripper frame from which down it touches the cube."""
PURPOSEFUL = 0.7
"""Of the episodes that have a destination for the cube."""
ARRIVED_M = 0.015
ASTRAY = 0.1
"""Chance of a move without purpose in a purposeful episode."""
LIFT_RAD = 0.5
"""Of the shoulder, to leave the cube without dragging it along."""
SHOULDER = JOINT_NAMES.index("shoulder_lift")


class PushGoals:
    """Low poses, drawn once, from which moves are picked by where the gripper and the cube are now.

    ``begin`` an episode, then ``sample`` one move after the other.
    """

    def __init__(self, task: Task):
        rng = np.random.default_rng(0)
        poses = [sample_pose(rng, PUSH) for _ in range(POOL)]
        self._task = task
        self._joints = np.stack([p.joints for p in poses])
        self._points = np.stack([p.end_effector[:2] for p in poses])
        self._destination: np.ndarray | None = None

    def begin(self, rng: np.random.Generator) -> None:
        """A new episode: with a destination for the cube, or without."""
        self._destination = _place(rng) if rng.random() < PURPOSEFUL else None

    def sample(
        self, rng: np.random.Generator, joints: np.ndarray, end_effector: np.ndarray, cube: np.ndarray
    ) -> np.ndarray:
        """(A,) rad: the next place to go to, from joints (A,), gripper frame (3,) and cube (3,) now."""
        if self._destination is None or rng.random() < ASTRAY:
            return self._at_random(rng, joints, end_effector, cube)
        if np.linalg.norm(self._destination - cube[:2]) < ARRIVED_M:
            self._destination = _place(rng)
        return self._on_purpose(rng, joints, end_effector, cube)

    def _on_purpose(self, rng, joints, end_effector, cube) -> np.ndarray:
        """Behind the cube, seen from where it shall go, over it where it is in the way; then ahead."""
        gripper, way = end_effector[:2], self._destination - cube[:2]
        length = float(np.linalg.norm(way))
        way = way / max(length, 1e-6)
        ahead = cube[:2] - gripper
        along, aside = float(ahead @ way), abs(float(ahead @ [way[1], -way[0]]))
        low = end_effector[2] <= LOW_M
        if low and aside < 0.022 and CONTACT_M[0] <= along <= CONTACT_M[1] + 0.015:
            return self._near(self._destination - way * rng.uniform(0.025, 0.045), joints)
        if low and np.linalg.norm(ahead) < 0.12 and along < 0.03:
            lifted = np.array(joints, dtype=float)
            lifted[SHOULDER] -= LIFT_RAD * rng.uniform(0.8, 1.2)
            return lifted
        behind = cube[:2] - way * rng.uniform(0.05, 0.08) + rng.normal(0, 0.006, 2)
        return self._near(behind, joints)

    def _at_random(self, rng, joints, end_effector, cube) -> np.ndarray:
        """To the cube from anywhere, through it, or away."""
        ahead = cube[:2] - end_effector[:2]
        distance = float(np.linalg.norm(ahead))
        chance = rng.random()
        if CONTACT_M[0] <= distance <= CONTACT_M[1] and end_effector[2] <= LOW_M and chance < 0.8:
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


def _place(rng: np.random.Generator) -> np.ndarray:
    """(2,) m: where a cube may be."""
    return rng.uniform(CUBE_LOWER, CUBE_UPPER)
