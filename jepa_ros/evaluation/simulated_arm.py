"""The simulated arm behind the action guard and a trajectory follower, without ROS and in simulated time."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.safety.guard import ActionGuard, GuardConfig, Now, Plan, Setpoint
from jepa_ros.safety.limits import JointLimits

if TYPE_CHECKING:
    from jepa_ros.simulation.simulator import Simulator

TICK_S = 0.01
"""How often the follower's target reaches the actuators and success is looked at; as in the simulator
node."""
SETPOINT_TICKS = 2
"""Ticks from one setpoint of the guard to the next: 50 Hz, as action_publisher sends them."""


class SimulatedArm:
    """What lies between plans and physics in the live graph: the action guard and the trajectory follower.

    The guard makes absolute targets of raw deltas, chained from the last setpoint; where the arm is far from it
    (pressed against the table, say), the guard holds it where it is measured. There is no camera to watch here.
    """

    def __init__(self, simulator: Simulator, spec: ActionSpec, on_tick: Callable[[], bool] = lambda: False):
        """on_tick: called after every tick; True ends ``advance``."""
        from jepa_ros.simulation.arm import ACCELERATION, VELOCITY
        from jepa_ros.simulation.trajectory import JointTrajectoryFollower

        self.simulator, self.spec, self._on_tick = simulator, spec, on_tick
        self._follower = JointTrajectoryFollower(simulator.target, simulator.time)
        self._guard = ActionGuard(
            spec,
            JointLimits.from_spec(spec, VELOCITY, ACCELERATION),
            GuardConfig(period=SETPOINT_TICKS * TICK_S, image_s=0, embedding_s=0),
        )
        self._guard.arm(self._now())
        self._ticks = 0  # since the last plan

    def base(self) -> np.ndarray:
        """(A,) rad: the setpoint from which the next actions are chained."""
        self._observe()
        return self._guard.command

    def execute(self, actions: np.ndarray, looked_at: float) -> bool:
        """Follow raw deltas (K, A) made from the image of time ``looked_at``; False where the guard vetoes
        them."""
        self._observe()
        plan = Plan(looked_at, self.spec.joint_names, actions, self.spec.dt, len(actions), self.spec.space)
        verdict = self._guard.submit(plan, self._now())
        self._send(verdict.setpoint)
        if verdict.accepted:
            self._ticks = 0
        return verdict.accepted

    def advance(self, seconds: float) -> bool:
        """Let the arm follow for so long, in whole ticks; True where ``on_tick`` ended it."""
        for _ in range(round(seconds / TICK_S)):
            if self._ticks % SETPOINT_TICKS == 0:
                self._observe()
                self._send(self._guard.tick(self._now()))
            self._ticks += 1
            self.simulator.set_target(self._follower.target(self.simulator.time))
            self.simulator.advance(TICK_S)
            if self._on_tick():
                return True
        return False

    def _now(self) -> Now:
        return Now(self.simulator.time, self.simulator.time)

    def _send(self, setpoint: Setpoint | None) -> None:
        if setpoint is not None:
            self._follower.accept(
                self.simulator.time, 0.0, setpoint.positions[None], np.array([setpoint.duration])
            )

    def _observe(self) -> None:
        self._guard.observe(self.spec.joint_names, self.simulator.joint_positions, self._now())
