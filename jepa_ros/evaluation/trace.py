"""What was seen of the live graph during one goal, and what it amounts to."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from jepa_ros.evaluation.closed_loop import HoldTimer
from jepa_ros.simulation.simulator import Simulator
from jepa_ros.simulation.tasks import Goal, Task


@dataclass
class Trace:
    """One goal in the live graph. Times are s since the goal was sent, from the stamps of the messages.

    joint_times (N,), joints (N, A) rad: measured.  cubes: (N, 3) m, None in scenes without one.
    distance_times, distances, plan_ms: one per plan, by its image; distances are latent.
    command_times, image_to_command_ms: one per command.
    latent_tolerance: latent distance that the planner counts as reached.
    reached: the planner's own word in the end, None while there is none.  termination: the same in words.
    """

    seed: int
    joint_times: list[float] = field(default_factory=list)
    joints: list[np.ndarray] = field(default_factory=list)
    cubes: list[np.ndarray | None] = field(default_factory=list)
    distance_times: list[float] = field(default_factory=list)
    distances: list[float] = field(default_factory=list)
    plan_ms: list[float] = field(default_factory=list)
    command_times: list[float] = field(default_factory=list)
    image_to_command_ms: list[float] = field(default_factory=list)
    latent_tolerance: float | None = None
    reached: bool | None = None
    termination: str = ""
    deadline_misses: int = 0
    dropped: int = 0

    @property
    def seconds(self) -> float:
        """Time of the last thing seen."""
        return max([*self.joint_times[-1:], *self.distance_times[-1:], 0.0])


@dataclass(frozen=True)
class Verdict:
    """success, and how that was judged.  seconds: when it was achieved, else the end of the trace.
    judged_error_m: the error at that moment; what is said and drawn of the episode.  errors_m: (N,) at
    joint_times.  final_error_m: the last of them; after a success the arm may have gone on moving.
    All three None without ground truth."""

    success: bool
    judged_by: str
    seconds: float
    judged_error_m: float | None = None
    final_error_m: float | None = None
    errors_m: np.ndarray | None = None


class GroundTruth:
    """The task's own error, computed from recorded joints (forward kinematics) and cube positions."""

    def __init__(self, task: Task, goal: Goal):
        self.task, self.goal = task, goal
        self._simulator = Simulator(task=task.name)

    def error(self, joints: np.ndarray, cube: np.ndarray | None) -> float:
        """m, for joints (A,) rad and cube (3,) m or None."""
        self._simulator.reset(scene(joints, cube))
        return self.task.error(self._simulator, self.goal)

    def judge(self, trace: Trace) -> Verdict:
        """Success is what it is in `jepa evaluate`: within the tolerance without a break for hold_seconds.

        A success counts from when it was achieved, at the end of hold_seconds, and judged_error_m is the
        error then; final_error_m is the error at the end of the trace, so drifting off shows.
        """
        what = "the end effector" if self.goal.cube is None else "the cube"
        judged_by = (
            f"ground truth: {what} within {100 * self.task.tolerance:g} cm for {self.task.hold_seconds:g} s"
        )
        errors = np.array([self.error(*row) for row in zip(trace.joints, trace.cubes, strict=True)])
        if not len(errors):
            return Verdict(False, judged_by, trace.seconds)
        achieved = first_held(trace.joint_times, errors, self.task.tolerance, self.task.hold_seconds)
        return Verdict(
            achieved is not None,
            judged_by,
            trace.seconds if achieved is None else achieved,
            float(errors[-1 if achieved is None else trace.joint_times.index(achieved)]),
            float(errors[-1]),
            errors,
        )


def judge_by_planner(trace: Trace) -> Verdict:
    """Without ground truth: what the planner concludes from the latent distance."""
    return Verdict(
        bool(trace.reached),
        "the planner's latent distance; a goal image from a file has no ground truth",
        trace.seconds,
    )


def first_held(
    times: Sequence[float], errors: Sequence[float], tolerance: float, hold_seconds: float
) -> float | None:
    """The time at which the errors have stayed within the tolerance for hold_seconds, or None."""
    hold = HoldTimer(tolerance, hold_seconds)
    return next((t for t, error in zip(times, errors, strict=True) if hold.update(t, error)), None)


def scene(joints: np.ndarray, cube: np.ndarray | None) -> Goal:
    """Recorded joints (A,) and cube (3,) as a scene that a Simulator can show."""
    return Goal(np.asarray(joints, float), np.zeros(3), None if cube is None else np.asarray(cube, float))
