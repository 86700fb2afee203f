"""Closed loop without ROS, faster than real time, with the semantics of the live graph.

A block of raw deltas becomes absolute joint targets from the last commanded one, clipped to the position limits; a
trajectory follower interpolates between them as the joint trajectory controller does; when the block is done and the
arm had a moment to settle, the camera is read again. The robot does not wait for the agent to think: a fixed latency
from image to motion stands for that, so that the result does not depend on how busy the machine is.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

import numpy as np

from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.errors import JepaError
from jepa_ros.evaluation.agents import Agent

if TYPE_CHECKING:
    from jepa_ros.simulation.simulator import Simulator
    from jepa_ros.simulation.tasks import Goal, Task

TICK_S = 0.01
"""How often the follower's target reaches the actuators and success is looked at; as in the simulator node."""


@dataclass(frozen=True)
class Timing:
    """latency_s: from an image to the first motion that comes of it, while the arm holds.
    settle_s: from the end of a block to the next image. Both are about what the live graph takes."""

    latency_s: float = 0.10
    settle_s: float = 0.05

    def __post_init__(self):
        for item in fields(self):
            value = getattr(self, item.name)
            if not 0 <= value <= 10:
                raise JepaError(f"{item.name} is {value}; it must lie in [0, 10] s")

    def block_seconds(self, spec: ActionSpec) -> float:
        """Robot time from one image to the next, s."""
        return TICK_S * sum(round(s / TICK_S) for s in (self.latency_s, spec.block * spec.dt, self.settle_s))


@dataclass(frozen=True)
class EpisodeResult:
    """One episode. success: within ``task.tolerance`` without a break for ``task.hold_seconds``.

    seconds, blocks: robot time and blocks until success, or the whole budget.  start_error_m, final_error_m,
    least_error_m: task error at the start, when the episode ended, and at best.  plan_ms, encode_ms: one per block.
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


def absolute_targets(command: np.ndarray, actions: np.ndarray, spec: ActionSpec) -> np.ndarray:
    """Deltas (K, A) on the commanded target (A,) -> targets (K, A), each step clipped to bounds and limits."""
    targets = np.empty_like(actions, dtype=float)
    for step, action in enumerate(actions):
        command = np.clip(command + np.clip(action, spec.lower, spec.upper), spec.position_lower, spec.position_upper)
        targets[step] = command
    return targets


def run_episode(simulator: Simulator, task: Task, agent: Agent, seed: int, blocks: int, name: str,
                timing: Timing = Timing()) -> EpisodeResult:
    """Drive one episode of ``task`` with ``agent`` for at most ``blocks`` blocks; same seed, same episode."""
    from jepa_ros.simulation.trajectory import JointTrajectoryFollower

    spec = agent.spec
    start, goal = task.episode(seed)
    simulator.reset(start)
    agent.observe_truth(simulator, goal)
    agent.reset(simulator.goal_image(goal), seed)
    follower = JointTrajectoryFollower(simulator.target, simulator.time)
    command = np.clip(simulator.joint_positions, spec.position_lower, spec.position_upper)
    times = spec.dt * np.arange(1, spec.block + 1)

    hold = HoldTimer(task.tolerance, task.hold_seconds)
    errors = [task.error(simulator, goal)]

    def advance(seconds: float) -> bool:
        """Let the arm follow for so long, or until success."""
        for _ in range(round(seconds / TICK_S)):
            simulator.set_target(follower.target(simulator.time))
            simulator.advance(TICK_S)
            errors.append(task.error(simulator, goal))
            if hold.update(simulator.time, errors[-1]):
                return True
        return False

    success, done, plan_ms, encode_ms = False, 0, [], []
    while done < blocks and not success:
        actions = agent.act(simulator.render(), simulator.joint_positions)
        done += 1
        plan_ms.append(agent.plan_ms)
        if agent.encode_ms is not None:
            encode_ms.append(agent.encode_ms)
        success = advance(timing.latency_s)
        if not success:
            targets = absolute_targets(command, actions, spec)
            command = targets[-1]
            follower.accept(simulator.time, 0.0, targets, times)
            success = advance(spec.block * spec.dt + timing.settle_s)
    return EpisodeResult(name, seed, success, done, round(simulator.time, 6), float(errors[0]), float(errors[-1]),
                         float(min(errors)), plan_ms, encode_ms)
