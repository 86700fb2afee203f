"""Tasks: where an episode starts, what its goal is, and when it is solved.

Random streams: ``task.episode(seed)`` is for demos and evaluation, ``task.collection_rng(seed)`` for recording training
data. The two are keyed apart, so no seed of one ever gives the numbers of the other: evaluation episodes are unseen
whatever seeds were used to collect. By convention demos use seeds below 1000 and reported evaluations 1000 and up.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np

from jepa_ros.errors import JepaError
from jepa_ros.simulation.kinematics import ArmKinematics

_EVALUATION, _COLLECTION = 1, 2
_MAX_DRAWS = 10_000

# Reach workspace. Joints are drawn uniformly between these bounds (rad) and kept where the gripper frame is in front of
# the arm, everything clears the table, no links touch and the whole arm is in view.
JOINTS_LOWER = np.array([-1.0, -1.5, -1.4, -1.4, -1.4, 0.0])
JOINTS_UPPER = np.array([1.0, 1.2, 1.5, 1.4, 1.4, 1.2])
EE_LOWER = np.array([0.10, -0.25, 0.04])
EE_UPPER = np.array([0.38, 0.25, 0.28])
CLEARANCE = 0.02
VIEW_MARGIN = 0.03
MIN_TRAVEL = 0.05
"""m; an episode whose error starts below this counts as already solved."""


@dataclass(frozen=True)
class Goal:
    """A complete scene: enough to put the simulator into it, or to render it.

    joints: (A,) rad, measured positions.  end_effector: (3,) m, gripper frame at those joints.
    cube: (3,) m, centre, or None in tasks without a cube.  cube_yaw: rad.
    """

    joints: np.ndarray
    end_effector: np.ndarray
    cube: np.ndarray | None = None
    cube_yaw: float = 0.0

    def to_dict(self) -> dict:
        """JSON-serialisable."""
        return {"joints": self.joints.tolist(), "end_effector": self.end_effector.tolist(),
                "cube": None if self.cube is None else self.cube.tolist(), "cube_yaw": self.cube_yaw}

    @classmethod
    def from_dict(cls, values: dict) -> "Goal":
        """The inverse of to_dict."""
        cube = values.get("cube")
        return cls(np.array(values["joints"], float), np.array(values["end_effector"], float),
                   None if cube is None else np.array(cube, float), float(values.get("cube_yaw", 0.0)))


class Task(Protocol):
    """What makes an episode. Deterministic given the generator or the seed; not for use from several threads."""

    name: str
    tolerance: float
    hold_seconds: float

    def sample_start(self, rng: np.random.Generator) -> Goal: ...
    def sample_goal(self, rng: np.random.Generator) -> Goal: ...
    def episode(self, seed: int) -> tuple[Goal, Goal]: ...
    def collection_rng(self, seed: int) -> np.random.Generator: ...
    def error(self, sim, goal: Goal) -> float: ...


@lru_cache(maxsize=1)
def _arm() -> ArmKinematics:
    return ArmKinematics()


def _inside(point: np.ndarray) -> bool:
    return bool(np.all(point >= EE_LOWER) and np.all(point <= EE_UPPER))


def _sample_pose(rng: np.random.Generator) -> Goal:
    arm = _arm()
    for _ in range(_MAX_DRAWS):
        joints = rng.uniform(JOINTS_LOWER, JOINTS_UPPER)
        arm.move(joints)
        end_effector = arm.end_effector
        if (_inside(end_effector) and arm.clearance() >= CLEARANCE and arm.view_margin() >= VIEW_MARGIN
                and not arm.collides()):
            return Goal(joints, end_effector)
    raise JepaError(f"no valid arm pose in {_MAX_DRAWS} draws; widen the workspace in jepa_ros/simulation/tasks.py")


def _direct_path_is_free(start: np.ndarray, goal: np.ndarray, steps: int = 8) -> bool:
    """Whether moving all joints together from start to goal, (A,) rad each, touches nothing."""
    arm = _arm()
    for part in np.linspace(0, 1, steps + 2)[1:-1]:
        arm.move(start + part * (goal - start))
        if arm.collides():
            return False
    return True


class ReachTask:
    """Bring the arm into the goal image's pose; the error is the distance of the gripper frame."""

    name = "reach"
    tolerance = 0.02
    hold_seconds = 0.5
    _key = 11

    def sample_start(self, rng: np.random.Generator) -> Goal:
        """A random valid pose, drawn like a goal."""
        return _sample_pose(rng)

    def sample_goal(self, rng: np.random.Generator) -> Goal:
        """A random valid pose."""
        return _sample_pose(rng)

    def episode(self, seed: int) -> tuple[Goal, Goal]:
        """(start, goal): the same for the same seed, more than MIN_TRAVEL apart, a free direct path between them."""
        rng = np.random.default_rng((_EVALUATION, self._key, seed))
        while True:
            start, goal = self.sample_start(rng), self.sample_goal(rng)
            if self._distance(start, goal) > MIN_TRAVEL and _direct_path_is_free(start.joints, goal.joints):
                return start, goal

    def collection_rng(self, seed: int) -> np.random.Generator:
        """The generator for recording training episode ``seed``."""
        return np.random.default_rng((_COLLECTION, self._key, seed))

    def error(self, sim, goal: Goal) -> float:
        """Distance in m between the gripper frame and its place in the goal."""
        return float(np.linalg.norm(sim.end_effector - goal.end_effector))

    @staticmethod
    def _distance(start: Goal, goal: Goal) -> float:
        return float(np.linalg.norm(start.end_effector - goal.end_effector))


_TASKS = {"reach": ReachTask}


def make_task(name: str) -> Task:
    """The task of that name: "reach" or "push"."""
    if name not in _TASKS:
        raise JepaError(f"unknown task {name!r}; known tasks: {', '.join(_TASKS)}")
    return _TASKS[name]()
