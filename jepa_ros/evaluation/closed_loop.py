"""Closed loop without ROS, faster than real time, with the semantics of the live graph.

A block of raw deltas becomes absolute joint targets from the last commanded one, clipped to the position limits; a
trajectory follower interpolates between them as the joint trajectory controller does; after one block the camera is
read again. One difference to the live graph: the robot's clock stands still while the agent thinks.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.evaluation.agents import Agent

if TYPE_CHECKING:
    from jepa_ros.simulation.simulator import Simulator
    from jepa_ros.simulation.tasks import Goal, Task

CONTROL_PERIOD_S = 0.02
"""How often the follower's target reaches the actuators and success is looked at."""


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


def run_episode(simulator: Simulator, task: Task, agent: Agent, seed: int, blocks: int, name: str) -> EpisodeResult:
    """Drive one episode of ``task`` with ``agent`` for at most ``blocks`` blocks; same seed, same episode."""
    from jepa_ros.simulation.trajectory import JointTrajectoryFollower

    spec = agent.spec
    start, goal = task.episode(seed)
    simulator.reset(start)
    goal_image = simulator.goal_image(goal)
    agent.observe_truth(simulator, goal)
    agent.reset(goal_image, seed)
    follower = JointTrajectoryFollower()
    command = np.clip(simulator.joint_positions, spec.position_lower, spec.position_upper)
    times = spec.dt * np.arange(1, spec.block + 1)
    steps = round(spec.block * spec.dt / CONTROL_PERIOD_S)

    began = simulator.time
    hold = HoldTimer(task.tolerance, task.hold_seconds)
    start_error = least = error = task.error(simulator, goal)
    success, done, plan_ms, encode_ms = False, 0, [], []
    while done < blocks and not success:
        actions = agent.act(simulator.render(), simulator.joint_positions)
        plan_ms.append(agent.plan_ms)
        if agent.encode_ms is not None:
            encode_ms.append(agent.encode_ms)
        targets = absolute_targets(command, actions, spec)
        command = targets[-1]
        follower.accept(simulator.time, simulator.time, targets, times)
        done += 1
        for _ in range(steps):
            simulator.set_target(follower.target(simulator.time))
            simulator.advance(CONTROL_PERIOD_S)
            error = task.error(simulator, goal)
            least = min(least, error)
            if hold.update(simulator.time, error):
                success = True
                break
    return EpisodeResult(name, seed, success, done, round(simulator.time - began, 6), float(start_error), float(error),
                         float(least), plan_ms, encode_ms)
