"""Watches the graph from outside: every command, the true arm, and the reasons that are published.

Times are those at which messages were sent, s of the system clock.
"""

import math
import threading
import time
from collections import deque
from collections.abc import Callable

import numpy as np
from command_audit import CommandAudit
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from faults.relay import TRUE
from jepa_ros.msg import ActionPlan, PlannerStatus, SafetyStatus
from rclpy.qos import QoSProfile
from sensor_msgs.msg import JointState
from trajectory_msgs.msg import JointTrajectory

from jepa_ros.nodes.client import GraphClient
from jepa_ros.safety.limits import JointLimits
from jepa_ros.safety.states import Reason, SafetyState

AT_REST = 0.02
"""rad/s; an arm of which no joint is faster rests."""
MOVING = 0.2
"""rad/s; an arm of which a joint is faster moves."""
BEGINS_NEAR = 1e-3
"""rad; a motion after arming begins this near to where the arm was seen in the last second."""
CREDIT_S = 0.04
"""Commands may come this much earlier than one per period, in a burst after a delay."""
_SILENT_S = 0.3
_STILL = 6
"""joint_states in which an arm at rest is seen."""
_PLANNER_REASONS = {
    getattr(PlannerStatus, name): name
    for name in ("NONE", "NO_IMAGE", "NO_JOINT_STATE", "NO_ROLLOUTS", "NO_GOAL", "MODEL_MISMATCH", "REJECTED",
                 "TIMEOUT", "CANCELED", "PREEMPTED", "INTERNAL_ERROR", "SURPRISE", "IMAGE_FROZEN", "SAFETY",
                 "SUB_GOAL_LOST")
}  # fmt: skip
_SAID = (PlannerStatus.WAITING, PlannerStatus.EXECUTING, PlannerStatus.FAILED)


class Judge:
    """Subscribes at once. ``begin`` starts a trial, ``strike`` its fault.

    audit: of every command, since the last ``begin``.  missed: commands that this judge did not get.
    reasons: since the fault, "guard IMAGE_STALE" -> (s after the fault, words); planner and diagnostics alike.
    speeds: [(sent s, fastest joint rad/s)] of the true arm, since ``begin``.  plans: published since then.
    struck: when the fault struck.  complaints: node -> what its last diagnostics said; "" where all is well.
    """

    def __init__(self, client: GraphClient, limits: JointLimits, period: float):
        self._limits, self._period, self._client = limits, period, client
        self._changed = threading.Condition()
        self._measured: deque[tuple[float, np.ndarray]] = deque()
        self._new_motion = True
        self.status: SafetyStatus | None = None
        self.complaints: dict[str, str] = {}
        self._plan_age, self._accepted = math.nan, -math.inf  # of the last accepted plan; when that was said
        self.begin()
        node = client.node
        for kind, topic, receive in (
            (JointTrajectory, TRUE + "joint_trajectory", self._on_command),
            (JointState, TRUE + "joint_states", self._on_joints),
            (ActionPlan, "plan", self._on_plan),
            (SafetyStatus, "action_publisher/safety_status", self._on_safety),
            (PlannerStatus, "planner/status", self._on_planner),
            (DiagnosticArray, "/diagnostics", self._on_diagnostics),
        ):
            node.create_subscription(kind, topic, self._noted(receive), QoSProfile(depth=500))

    def begin(self) -> None:
        """Forget the last trial; the next motion may begin where the arm is measured."""
        limits = self._limits
        with self._changed:
            self.audit = CommandAudit(
                limits.low, limits.high, limits.velocity, limits.acceleration, self._period,
                limits.max_step, jitter=self._period,
            )  # fmt: skip
            self.missed = self.plans = 0
            self.speeds: list[tuple[float, float]] = []
            self.moved: list[float] = []  # s, of every command that moves
            self.reasons: dict[str, tuple[float, str]] = {}
            self.struck = math.inf
            self._new_motion = True
            self._last = None  # sent, sequence number, position, credit

    def strike(self, at: float) -> None:
        """The fault of this trial began at this time."""
        with self._changed:
            self.struck = at
            self.reasons.clear()

    def new_motion(self) -> None:
        """The guard was armed, or is another process: the next motion begins where the arm is measured."""
        with self._changed:
            self._new_motion = True

    def note(self, reason: str, words: str, at: float) -> None:
        """A reason that was published, or answered."""
        with self._changed:
            if at >= self.struck:
                self.reasons.setdefault(reason, (round(at - self.struck, 3), words))
            self._changed.notify_all()

    def wait(self, ready: Callable[[], object], timeout_s: float) -> bool:
        """Wait until ``ready()``, which is asked after every message; False where it stays false."""
        with self._changed:
            return bool(self._changed.wait_for(ready, timeout_s))

    def rest(self) -> tuple[float, str]:
        """s from the fault until the last sign of motion, and where that was seen: in joint_states, or in commands
        where joint_states have ended."""
        with self._changed:
            alive = bool(self.speeds) and self.speeds[-1][0] > time.time() - _SILENT_S
            moving = [sent for sent, speed in self.speeds if speed > AT_REST] if alive else self.moved
            last = max((sent for sent in moving if sent >= self.struck), default=self.struck)
            return round(last - self.struck, 3), "joint_states" if alive else "commands"

    @property
    def at_rest(self) -> bool:
        """Whether the arm rested in the last joint_states, and nothing was sent for as long."""
        speeds = self.speeds[-_STILL:]
        still = len(speeds) == _STILL and all(speed < AT_REST for _, speed in speeds)
        return still and (not self.moved or self.moved[-1] < speeds[0][0])

    @property
    def going_on(self) -> bool:
        """Whether the guard runs a plan of the last second."""
        return self.running and self._accepted > time.time() - 1.0

    @property
    def running(self) -> bool:
        """Whether the guard executes a plan, as it said last."""
        return self.status is not None and self.status.state == SafetyState.RUNNING

    @property
    def position(self) -> np.ndarray | None:
        """(A,) rad, where the arm was seen last."""
        return self._measured[-1][1] if self._measured else None

    # In the client's thread.

    def _noted(self, receive):
        def received(message, info):
            with self._changed:
                receive(message, info)
                self._changed.notify_all()

        return received

    def _on_joints(self, message: JointState, info: dict) -> None:
        sent = info["source_timestamp"] * 1e-9
        found = dict(zip(message.name, message.position))
        self._measured.append((sent, np.array([found[name] for name in self._limits.names])))
        while self._measured[0][0] < sent - 1.0:
            self._measured.popleft()
        self.speeds.append((sent, float(np.abs(message.velocity).max())))

    def _on_plan(self, message: ActionPlan, info: dict) -> None:
        self.plans += 1

    def _on_command(self, message: JointTrajectory, info: dict) -> None:
        sent, number = info["source_timestamp"] * 1e-9, info["publication_sequence_number"]
        point = message.points[0]
        position, velocity = np.array(point.positions), np.array(point.velocities)
        came_from = position - velocity * self._period
        credit = CREDIT_S
        if self._last is not None and (not self._new_motion or self._goes_on(number, position, velocity)):
            credit = min(self._last[3] + sent - self._last[0], CREDIT_S)
            self.missed += number - self._last[1] - 1
        else:
            if not self._was_seen_at(came_from):
                self.audit.violations.append("a motion did not begin where the arm was measured")
            self.audit.restart(came_from)
            self._last = (sent, number, came_from, CREDIT_S)
            self._new_motion = False
        self.audit.check(position, velocity, sent, sent)
        step, speed = np.abs(position - self._last[2]), np.abs(velocity)
        claimed = min(float((step[speed > 0.01] / speed[speed > 0.01]).max(initial=0.0)), self._period)
        credit -= claimed
        if credit < -1e-6:
            self.audit.violations.append(
                f"command {self.audit.count}: commands outrun the clock by {-credit:.4f} s"
            )
        if step.any():
            self.moved.append(sent)
        self._last = sent, number, position, credit

    def _goes_on(self, number: int, position: np.ndarray, velocity: np.ndarray) -> bool:
        """Whether this command follows the last one, although it might have begun a new motion."""
        step = np.abs(position - self._last[2])
        return number == self._last[1] + 1 and bool(np.all(step <= np.abs(velocity) * self._period + 1e-5))

    def _was_seen_at(self, position: np.ndarray) -> bool:
        return any(np.abs(position - seen).max() < BEGINS_NEAR for _, seen in self._measured)

    def _on_safety(self, message: SafetyStatus, info: dict) -> None:
        self.status = message
        if message.plan_age_s != self._plan_age and math.isfinite(message.plan_age_s):  # of another plan
            self._plan_age, self._accepted = message.plan_age_s, info["source_timestamp"] * 1e-9
        if message.reason != Reason.NONE:
            self.note(f"guard {Reason(message.reason).name}", message.text, info["source_timestamp"] * 1e-9)

    def _on_planner(self, message: PlannerStatus, info: dict) -> None:
        if message.state in _SAID and message.reason != PlannerStatus.NONE:
            self.note(
                f"planner {_PLANNER_REASONS[message.reason]}", message.text, info["source_timestamp"] * 1e-9
            )

    def _on_diagnostics(self, message: DiagnosticArray, info: dict) -> None:
        prefix = self._client.node.get_namespace().strip("/") + "/"
        for status in message.status:
            if status.name.startswith(prefix):
                name = status.name.removeprefix(prefix)
                self.complaints[name] = status.message if status.level != DiagnosticStatus.OK else ""
                if status.level == DiagnosticStatus.ERROR:
                    self.note(f"diagnostics {name}", status.message, info["source_timestamp"] * 1e-9)
