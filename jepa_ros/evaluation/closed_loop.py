"""Closed loop without ROS, faster than real time, with the semantics of the live graph.

The action guard turns a block of raw deltas into a stream of setpoints, a trajectory follower
interpolates between them as the joint trajectory controller does; when the block is done and the arm had a
moment to settle, the camera is read again. The robot does not wait for the agent to think: a fixed latency
from image to motion stands for that, so that the result does not depend on how busy the machine is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.errors import JepaError
from jepa_ros.evaluation.agents import Agent
from jepa_ros.evaluation.simulated_arm import TICK_S, SimulatedArm

if TYPE_CHECKING:
    from jepa_ros.evaluation.shifts.view import ShiftedView
    from jepa_ros.simulation.simulator import Simulator
    from jepa_ros.simulation.tasks import Goal, Task


@dataclass(frozen=True)
class Timing:
    """latency_s: from an image to the first motion that comes of it, while the arm holds.
    settle_s: from the end of a block to the next image. Both are about what the live graph takes."""

    latency_s: float = 0.10
    settle_s: float = 0.05

    def __post_init__(self):
        for item in fields(self):
            value = getattr(self, item.name)
            if not 0 <= value <= 0.4:
                raise JepaError(f"{item.name} is {value}; it must lie in [0, 0.4] s")

    def block_seconds(self, spec: ActionSpec) -> float:
        """Robot time from one image to the next, s."""
        return TICK_S * sum(round(s / TICK_S) for s in (self.latency_s, spec.block * spec.dt, self.settle_s))


@dataclass(frozen=True)
class EpisodeResult:
    """One episode. success: within ``task.tolerance`` without a break for ``task.hold_seconds``.

    seconds, blocks: robot time and blocks until success, until the agent gave up, or the whole budget.  start_error_m,
    final_error_m, least_error_m: task error at the start, when the episode ended, and at best.  plan_ms,
    encode_ms, candidates, made_by: one per block, see Agent.
    """

    agent: str
    seed: int
    success: bool
    blocks: int
    seconds: float
    start_error_m: float
    final_error_m: float
    least_error_m: float
    plan_ms: list[float] = field(default_factory=list)
    encode_ms: list[float] = field(default_factory=list)
    candidates: list[int] = field(default_factory=list)
    made_by: list[str] = field(default_factory=list)


class HoldTimer:
    """Success: the error stays within the tolerance for ``hold_seconds`` without a break."""

    def __init__(self, tolerance: float, hold_seconds: float):
        self.tolerance, self.hold_seconds = tolerance, hold_seconds
        self._since: float | None = None

    def update(self, now: float, error: float) -> bool:
        """now: s, not decreasing.  error: m. Whether it has been held long enough by now."""
        if not error <= self.tolerance:  # NaN breaks it as well
            self._since = None
            return False
        if self._since is None:
            self._since = now
        return now - self._since >= self.hold_seconds - 1e-9


def pace(task: Task, spec: ActionSpec) -> float:
    """Share of the action bounds that a task lets an arm use."""
    return 1.0 if task.step is None else min(1.0, task.step / max(spec.upper))


def run_episode(
    simulator: Simulator,
    task: Task,
    agent: Agent,
    seed: int,
    blocks: int,
    name: str,
    timing: Timing = Timing(),
    view: Simulator | ShiftedView | None = None,
    sub_goals: Sequence[Goal] = (),
) -> EpisodeResult:
    """Drive one episode of ``task`` with ``agent`` for at most ``blocks`` blocks; same seed, same episode.

    view: where the agent's pictures come from; None is the simulator.  sub_goals: shown to the agent as pictures to pass
    on the way, in their order; success is judged by the goal alone. An agent that gives up ends the episode. Where the task is
    slower than the robot, the guard holds every agent to that.
    """
    spec, view = agent.spec, view or simulator
    start, goal = task.episode(seed)
    simulator.reset(start)
    hold = HoldTimer(task.tolerance, task.hold_seconds)
    errors = [task.error(simulator, goal)]

    def solved() -> bool:
        errors.append(task.error(simulator, goal))
        return hold.update(simulator.time, errors[-1])

    arm = SimulatedArm(simulator, spec.slowed(pace(task, spec)), solved)
    agent.observe_truth(arm, goal)
    agent.reset(view.goal_image(goal), seed)
    agent.by_way_of([view.goal_image(sub_goal) for sub_goal in sub_goals])
    success, done, plan_ms, encode_ms, candidates, made_by = False, 0, [], [], [], []
    while done < blocks and not success:
        looked_at = simulator.time
        actions = agent.act(view.render(), simulator.joint_positions)
        if agent.gave_up:
            break
        done += 1
        plan_ms.append(agent.plan_ms)
        if agent.encode_ms is not None:
            encode_ms.append(agent.encode_ms)
        if agent.candidates is not None:
            candidates.append(agent.candidates)
        if agent.made_by is not None:
            made_by.append(agent.made_by)
        success = arm.advance(timing.latency_s)
        if not success:
            arm.execute(actions, looked_at)
            success = arm.advance(spec.block * spec.dt + timing.settle_s)
    return EpisodeResult(
        name,
        seed,
        success,
        done,
        round(simulator.time, 6),
        float(errors[0]),
        float(errors[-1]),
        float(min(errors)),
        plan_ms,
        encode_ms,
        candidates,
        made_by,
    )
