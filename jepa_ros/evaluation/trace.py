"""What was seen of the live graph during one goal, and what it amounts to."""

from dataclasses import dataclass, field

import numpy as np

from jepa_ros.evaluation.closed_loop import HoldTimer


@dataclass
class Trace:
    """One goal in the live graph. Times are of the robot's clock, s, from the moment the goal was sent.

    joint_times (N,), joint_positions (N, A) rad: measured.  images: (time, (h, w, 3) uint8 RGB), thinned out.
    distance_times, distances: latent distance, one per plan.  plan_ms, image_to_command_ms: one per plan or command.
    command_times: of image_to_command_ms.  reached: what the planner itself says in the end; None: it said nothing.
    """

    seed: int
    joint_times: list[float] = field(default_factory=list)
    joint_positions: list[np.ndarray] = field(default_factory=list)
    images: list[tuple[float, np.ndarray]] = field(default_factory=list)
    distance_times: list[float] = field(default_factory=list)
    distances: list[float] = field(default_factory=list)
    plan_ms: list[float] = field(default_factory=list)
    command_times: list[float] = field(default_factory=list)
    image_to_command_ms: list[float] = field(default_factory=list)
    latent_tolerance: float | None = None
    reached: bool | None = None
    termination: str = ""
    plans: int = 0
    deadline_misses: int = 0


@dataclass(frozen=True)
class Verdict:
    """success and how it was judged.  seconds: when it was achieved, else the end of the trace.
    errors_m: (N,) at joint_times, and final_error_m; None without ground truth."""

    success: bool
    judged_by: str
    seconds: float
    final_error_m: float | None = None
    errors_m: np.ndarray | None = None


def judge_by_position(trace: Trace, end_effectors: np.ndarray, goal: np.ndarray, tolerance: float,
                      hold_seconds: float) -> Verdict:
    """Ground truth: end-effector positions (N, 3) m at joint_times against the goal's (3,) m.

    Success is what it is in `jepa evaluate`: within the tolerance without a break for hold_seconds. A success counts
    from when it was achieved; final_error_m is the error at the end of the trace, so drifting off shows.
    """
    judged_by = f"ground truth: end effector within {100 * tolerance:g} cm for {hold_seconds:g} s"
    if not len(end_effectors):
        return Verdict(False, judged_by, 0.0)
    errors = np.linalg.norm(np.asarray(end_effectors) - goal, axis=1)
    hold = HoldTimer(tolerance, hold_seconds)
    for time, error in zip(trace.joint_times, errors, strict=True):
        if hold.update(time, error):
            return Verdict(True, judged_by, time, float(errors[-1]), errors)
    return Verdict(False, judged_by, trace.joint_times[-1], float(errors[-1]), errors)


def judge_by_planner(trace: Trace, why: str) -> Verdict:
    """No ground truth: what the planner concludes from the latent distance."""
    end = max([*trace.joint_times[-1:], *trace.distance_times[-1:], 0.0])
    return Verdict(bool(trace.reached), f"the planner's own latent distance ({why})", end)
