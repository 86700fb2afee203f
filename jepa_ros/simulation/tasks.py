"""Tasks: where an episode starts, what its goal is, and when it is solved.

Random streams: ``task.episode(seed)`` is for demos and evaluation, ``task.collection_rng(seed)`` for
recording training data. The two are keyed apart, so no seed of one ever gives the numbers of the other:
evaluation episodes are unseen whatever seeds were used to collect. By convention demos use seeds below 1000,
reported evaluations 1000 to 2999, and what models and limits are chosen by, 3000 and up.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np

from jepa_ros.errors import JepaError
from jepa_ros.simulation.kinematics import ArmKinematics
from jepa_ros.simulation.light_curtain import HALF_DEPTH, HEIGHT, is_inside
from jepa_ros.simulation.scene import CUBE_HALF

_EVALUATION, _COLLECTION = 1, 2
_MAX_DRAWS = 10_000

VIEW_MARGIN = 0.03
"""Least distance of everything that moves from the image's edge, as a share of half the image."""

MIN_TRAVEL = 0.05
"""m; an episode whose error starts at or below this counts as already solved and is never drawn."""


@dataclass(frozen=True)
class Workspace:
    """Poses are drawn uniformly in joint space and kept where all of this holds (and no links touch).

    joints_lower, joints_upper: (A,) rad.  end_effector_lower, end_effector_upper: (3,) m, gripper frame.
    clearance: m between the moving links and the table.
    downward: the jaws point down at least this much (sine of the angle below the horizontal).
    """

    joints_lower: tuple[float, ...]
    joints_upper: tuple[float, ...]
    end_effector_lower: tuple[float, float, float]
    end_effector_upper: tuple[float, float, float]
    clearance: float
    downward: float = -1.0


REACH = Workspace(
    (-1.0, -1.5, -1.4, -1.4, -1.4, 0.0),
    (1.0, 1.2, 1.5, 1.4, 1.4, 1.2),
    (0.10, -0.25, 0.04),
    (0.38, 0.25, 0.28),
    clearance=0.02,
)
"""The air in front of the arm."""

PUSH = Workspace(
    (-0.9, -0.6, -0.6, 0.2, -1.4, -0.1),
    (0.9, 1.2, 1.5, 1.6, 1.4, 0.4),
    (0.12, -0.18, 0.012),
    (0.36, 0.18, 0.05),
    clearance=0.006,
    downward=0.7,
)
"""Gripper closed, pointing down, low enough to push."""

BESIDE_CURTAIN = Workspace(
    (-1.2, -0.6, -1.0, -0.4, -0.3, 0.0),
    (1.2, 1.2, 1.5, 1.4, 0.3, 0.4),
    (0.20, HALF_DEPTH + 0.03, 0.04),
    (0.36, HALF_DEPTH + 0.09, 0.11),
    clearance=0.02,
)
"""Low, on the curtain's left."""

ABOVE_CURTAIN = Workspace(
    (-1.2, -1.5, -1.4, -0.4, -0.3, 0.0),
    (1.2, 1.2, 1.5, 1.4, 0.3, 0.4),
    (0.12, -0.12, HEIGHT + 0.015),
    (0.36, 0.12, 0.32),
    clearance=0.02,
)

CUBE_LOWER, CUBE_UPPER = np.array([0.15, -0.14]), np.array([0.32, 0.14])
"""(2,) m: where the cube's centre may be."""


@dataclass(frozen=True)
class Goal:
    """A complete scene: enough to put the simulator into it, or to render it.

    joints: (A,) rad, measured positions.  end_effector: (3,) m, gripper frame at those joints.
    cube: (3,) m, centre, or None in tasks without a cube.  cube_yaw: rad.
    luck: of a start: what happens by chance in its episode is drawn from it (task "curtain").
    """

    joints: np.ndarray
    end_effector: np.ndarray
    cube: np.ndarray | None = None
    cube_yaw: float = 0.0
    luck: int = 0

    def to_dict(self) -> dict:
        """JSON-serialisable."""
        return {
            "joints": self.joints.tolist(),
            "end_effector": self.end_effector.tolist(),
            "cube": None if self.cube is None else self.cube.tolist(),
            "cube_yaw": self.cube_yaw,
            "luck": self.luck,
        }

    @classmethod
    def from_dict(cls, values: dict) -> "Goal":
        """The inverse of to_dict."""
        cube = values.get("cube")
        return cls(
            np.array(values["joints"], float),
            np.array(values["end_effector"], float),
            None if cube is None else np.array(cube, float),
            float(values.get("cube_yaw", 0.0)),
            int(values.get("luck", 0)),
        )


class Task(Protocol):
    """What makes an episode: deterministic given the generator or seed. Not for several threads at once.

    blocks: the budget of an episode, in action blocks.  step: rad that a joint may move per raw action; None leaves it to
    the robot.
    needs_heads: whether a planner gets nowhere by its world model alone: the arm has to go first where a thing is, and the
    picture is no more like the goal's there.
    """

    name: str
    tolerance: float
    hold_seconds: float
    blocks: int
    step: float | None
    needs_heads: bool

    def sample_start(self, rng: np.random.Generator) -> Goal: ...
    def sample_goal(self, rng: np.random.Generator) -> Goal: ...
    def episode(self, seed: int) -> tuple[Goal, Goal]: ...
    def collection_rng(self, seed: int) -> np.random.Generator: ...
    def error(self, sim, goal: Goal) -> float: ...


@lru_cache(maxsize=2)
def _arm(task: str) -> ArmKinematics:
    return ArmKinematics(task)


def sample_pose(rng: np.random.Generator, workspace: Workspace) -> Goal:
    """A random arm pose in the workspace, without a cube."""
    arm = _arm("reach")
    for _ in range(_MAX_DRAWS):
        joints = rng.uniform(workspace.joints_lower, workspace.joints_upper)
        arm.move(joints)
        end_effector = arm.end_effector
        if (
            np.all(end_effector >= workspace.end_effector_lower)
            and np.all(end_effector <= workspace.end_effector_upper)
            and -arm.approach[2] >= workspace.downward
            and arm.clearance() >= workspace.clearance
            and arm.view_margin() >= VIEW_MARGIN
            and not arm.collides()
        ):
            return Goal(joints, end_effector)
    raise JepaError(f"no valid arm pose in {_MAX_DRAWS} draws from {workspace}; widen it")


def direct_path_is_free(start: np.ndarray, goal: np.ndarray, steps: int = 8) -> bool:
    """Whether moving all joints together from start to goal, (A,) rad each, touches nothing."""
    arm = _arm("reach")
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
    blocks, step = 30, None
    needs_heads = False

    def sample_start(self, rng: np.random.Generator) -> Goal:
        """A random valid pose, drawn like a goal."""
        return sample_pose(rng, REACH)

    def sample_goal(self, rng: np.random.Generator) -> Goal:
        """A random valid pose."""
        return sample_pose(rng, REACH)

    def episode(self, seed: int) -> tuple[Goal, Goal]:
        """(start, goal): the same for the same seed, not yet solved, a free direct path between them."""
        rng = np.random.default_rng((_EVALUATION, 11, _checked_seed(seed)))
        for _ in range(_MAX_DRAWS):
            start, goal = self.sample_start(rng), self.sample_goal(rng)
            if np.linalg.norm(start.end_effector - goal.end_effector) > MIN_TRAVEL and direct_path_is_free(
                start.joints, goal.joints
            ):
                return start, goal
        raise JepaError(f"task reach: no episode for seed {seed}")

    def collection_rng(self, seed: int) -> np.random.Generator:
        """The generator for recording training episode ``seed``."""
        return np.random.default_rng((_COLLECTION, 11, _checked_seed(seed)))

    def error(self, sim, goal: Goal) -> float:
        """Distance in m between the gripper frame and its place in the goal."""
        return float(np.linalg.norm(sim.end_effector - goal.end_effector))


class FarTask(ReachTask):
    """A pose far away for an arm that may only move slowly: no way there takes fewer than ``least_actions`` raw actions.

    The error is how far the worst joint is off, in m, of a point ``lever`` from its axis: all of the pose counts, so that the
    way of the joint that has the farthest to go is part of it. The scene and its data are those of reach.
    """

    name = "far"
    tolerance = 0.03
    lever = 0.2
    hold_seconds = 0.5
    step = 0.015
    """rad; an eighth of what the recorded arm moves per action."""
    least_actions = 100
    blocks = 75
    """Three times the blocks of the shortest way."""

    def episode(self, seed: int) -> tuple[Goal, Goal]:
        """(start, goal): the same for the same seed; poses of reach that are far enough apart, with a free direct path."""
        rng = np.random.default_rng((_EVALUATION, 14, _checked_seed(seed)))
        for _ in range(_MAX_DRAWS):
            start, goal = self.sample_start(rng), self.sample_goal(rng)
            if self.actions(start, goal) >= self.least_actions and direct_path_is_free(
                start.joints, goal.joints
            ):
                return start, goal
        raise JepaError(f"task far: no episode for seed {seed}")

    def collection_rng(self, seed: int) -> np.random.Generator:
        """The generator for recording training episode ``seed``."""
        return np.random.default_rng((_COLLECTION, 14, _checked_seed(seed)))

    def error(self, sim, goal: Goal) -> float:
        """How far the joint that is farthest off is from where the goal has it: m, ``lever`` from its axis."""
        return float(self.lever * np.max(np.abs(sim.joint_positions - goal.joints)))

    def actions(self, start: Goal, goal: Goal) -> int:
        """The fewest raw actions from start to within the tolerance of goal."""
        travel = np.max(np.abs(start.joints - goal.joints)) - self.tolerance / self.lever
        return max(0, int(np.ceil(travel / self.step)))


class PushTask:
    """Push the cube to its place in the goal image; the error is the distance of the cube.

    A goal shows the gripper close behind the cube, as it is after a push.
    """

    name = "push"
    tolerance = 0.03
    hold_seconds = 0.5
    blocks, step = 54, None
    """30 s, as long as `jepa demo` gives a goal."""
    needs_heads = True
    min_push, max_push = 0.06, 0.15
    """m between the cube's first and last place."""

    reach_to_cube = (0.035, 0.07)
    """m, horizontal distance of gripper frame and cube centre in a goal."""

    def sample_start(self, rng: np.random.Generator) -> Goal:
        """The arm in the air as in reach, the cube anywhere it does not touch the arm."""
        for _ in range(_MAX_DRAWS):
            pose = sample_pose(rng, REACH)
            start = _with_cube(pose, rng.uniform(CUBE_LOWER, CUBE_UPPER), rng.uniform(-np.pi, np.pi))
            if start is not None:
                return start
        raise JepaError("task push: no valid start; check the cube's region in jepa_ros/simulation/tasks.py")

    def sample_goal(self, rng: np.random.Generator) -> Goal:
        """The gripper low and pointing down, the cube beside it in a random direction."""
        for _ in range(_MAX_DRAWS):
            pose = sample_pose(rng, PUSH)
            angle, distance = rng.uniform(-np.pi, np.pi), rng.uniform(*self.reach_to_cube)
            cube = pose.end_effector[:2] + distance * np.array([np.cos(angle), np.sin(angle)])
            if np.all(cube >= CUBE_LOWER) and np.all(cube <= CUBE_UPPER):
                goal = _with_cube(pose, cube, angle)
                if goal is not None:
                    return goal
        raise JepaError("task push: no valid goal; check the cube's region in jepa_ros/simulation/tasks.py")

    def episode(self, seed: int) -> tuple[Goal, Goal]:
        """(start, goal): the same for the same seed; a push that ends with the gripper behind the cube."""
        rng = np.random.default_rng((_EVALUATION, 12, _checked_seed(seed)))
        for _ in range(_MAX_DRAWS):
            start, goal = self.sample_start(rng), self.sample_goal(rng)
            if self._is_push(start, goal):
                return start, goal
        raise JepaError(f"task push: no episode for seed {seed}")

    def collection_rng(self, seed: int) -> np.random.Generator:
        """The generator for recording training episode ``seed``."""
        return np.random.default_rng((_COLLECTION, 12, _checked_seed(seed)))

    def error(self, sim, goal: Goal) -> float:
        """Distance in m between the cube's centre and its place in the goal."""
        return float(np.linalg.norm(sim.cube - goal.cube))

    def _is_push(self, start: Goal, goal: Goal) -> bool:
        """Whether the cube's way is of a sensible length and leads away from the gripper's goal pose."""
        way, arm = goal.cube - start.cube, goal.cube - goal.end_effector
        length = np.linalg.norm(way)
        along = way[:2] @ arm[:2] / (length * np.linalg.norm(arm[:2]))
        return bool(self.min_push <= length <= self.max_push and along >= np.cos(np.radians(40)))


class CurtainTask:
    """Come into the goal image's pose on the other side of a light curtain (light_curtain.py); the error is the distance of
    the gripper frame. Straight through is short, and may be the end; over it is long and safe.
    """

    name = "curtain"
    tolerance = 0.04
    hold_seconds = 0.5
    blocks, step = 30, None
    needs_heads = False
    farthest = 0.9
    """rad that a joint has to go at most from start to goal, so that the straight way is much the shorter one."""
    above, across = 0.3, 0.75
    """Share of a recorded arm's goals that lie above the curtain; and of the others, of those on the side where it did not
    start."""

    def __init__(self):
        self._side = 1.0

    def sample_start(self, rng: np.random.Generator) -> Goal:
        """A random low pose beside the curtain, with its luck."""
        self._side = rng.choice((-1.0, 1.0))
        return self._beside(rng, self._side)

    def sample_goal(self, rng: np.random.Generator) -> Goal:
        """Where a recorded arm goes next: low beside the curtain, most often on the side where its episode did not start, or
        above it."""
        if rng.random() < self.above:
            return sample_pose(rng, ABOVE_CURTAIN)
        return self._beside(rng, self._side * rng.choice((-1.0, 1.0), p=(self.across, 1 - self.across)))

    def episode(self, seed: int) -> tuple[Goal, Goal]:
        """(start, goal): the same for the same seed; low on either side, the straight way through the curtain."""
        rng = np.random.default_rng((_EVALUATION, 13, _checked_seed(seed)))
        side = rng.choice((-1.0, 1.0))
        for _ in range(_MAX_DRAWS):
            start, goal = self._beside(rng, side), self._beside(rng, -side)
            if np.abs(start.joints - goal.joints).max() <= self.farthest and self._leads_through(start, goal):
                return start, goal
        raise JepaError(f"task curtain: no episode for seed {seed}")

    def collection_rng(self, seed: int) -> np.random.Generator:
        """The generator for recording training episode ``seed``."""
        return np.random.default_rng((_COLLECTION, 13, _checked_seed(seed)))

    def error(self, sim, goal: Goal) -> float:
        """Distance in m between the gripper frame and its place in the goal."""
        return float(np.linalg.norm(sim.end_effector - goal.end_effector))

    def _beside(self, rng: np.random.Generator, side: float) -> Goal:
        """side: 1 left, -1 right."""
        joints = sample_pose(rng, BESIDE_CURTAIN).joints * [side, 1, 1, 1, side, 1]
        arm = _arm("reach")
        arm.move(joints)
        return Goal(joints, arm.end_effector, luck=int(rng.integers(2**31)))

    def _leads_through(self, start: Goal, goal: Goal, steps: int = 40) -> bool:
        arm = _arm("reach")
        for part in np.linspace(0, 1, steps):
            arm.move(start.joints + part * (goal.joints - start.joints))
            if is_inside(arm.end_effector):
                return True
        return False


def _with_cube(pose: Goal, cube_xy: np.ndarray, yaw: float) -> Goal | None:
    """The pose with a cube on the table, or None where they touch or the cube is out of view."""
    arm = _arm("push")
    arm.move(pose.joints, cube_xy)
    if arm.collides() or arm.view_margin() < VIEW_MARGIN:
        return None
    return Goal(pose.joints, pose.end_effector, np.array([*cube_xy, CUBE_HALF]), float(yaw))


def _checked_seed(seed: int) -> int:
    if not (isinstance(seed, (int, np.integer)) and seed >= 0):
        raise JepaError(f"seed is {seed!r}; it must be a whole number from 0 up")
    return int(seed)


_TASKS = {"reach": ReachTask, "push": PushTask, "far": FarTask, "curtain": CurtainTask}


def make_task(name: str) -> Task:
    """The task of that name: "reach", "push", "far" or "curtain"."""
    if name not in _TASKS:
        raise JepaError(f"unknown task {name!r}; known tasks: {', '.join(_TASKS)}")
    return _TASKS[name]()
