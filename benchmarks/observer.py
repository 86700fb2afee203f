"""Watches a graph from outside: judges every command, and the guard's watchdogs by what was published when.

Times are those at which the writers' middleware sent the messages (source timestamps, s of the system clock), so
delays of this process do not count. Messages are judged LAG_S late, in the order in which they were sent.
"""

import heapq
import itertools
import threading
from collections import Counter, deque
from typing import NamedTuple

import numpy as np
from command_audit import ROUNDING, CommandAudit
from jepa_ros.msg import PlannerStatus, SafetyStatus
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import JointState
from sim_graph import RunningGraph
from trajectory_msgs.msg import JointTrajectory

from jepa_ros.data.cdr import header_stamp_ns
from jepa_ros.safety.states import Reason, SafetyState

LAG_S = 1.0
DELIVERY_S = 0.1
"""A plan may take this long to the guard, whose limit counts from receipt."""
BEGIN_S, NEAR_RAD = 0.3, 0.02
"""A motion that begins where the arm is measured begins this near to where it was within the last BEGIN_S: right
after a hold the arm still moves, and joint states take their time."""
TOPICS = {
    "image": "sensor_msgs/msg/Image",
    "embedding": "jepa_ros/msg/Embedding",
    "joint_states": "sensor_msgs/msg/JointState",
    "plan": "jepa_ros/msg/ActionPlan",
    "joint_trajectory": "trajectory_msgs/msg/JointTrajectory",
    "action_publisher/safety_status": "jepa_ros/msg/SafetyStatus",
    "planner/status": "jepa_ros/msg/PlannerStatus",
}
WATCHED = {
    "image": ("watchdog.image_s", Reason.IMAGE_STALE),
    "embedding": ("watchdog.embedding_s", Reason.EMBEDDING_STALE),
    "joint_states": ("watchdog.joint_state_s", Reason.JOINT_STATE_STALE),
    "plan": ("watchdog.plan_s", Reason.NO_PLAN),
}


class Command(NamedTuple):
    """sent: s, by the publisher's middleware.  received: s, here.  moved: whether its position differs from the one
    before.  speed: rad/s, of its fastest joint; 0 says that the arm rests there.  state: of the guard, as it said
    last before.  number: the publisher's, one more than that of the command before."""

    sent: float
    received: float
    moved: bool
    speed: float
    state: int
    number: int


class Observer:
    """Subscribes at once; read its fields after ``settle``.

    commands: the newest of them.  missed: what no watchdog should have let pass, in words.
    expiries: reason -> {"confirmed", "unconfirmed"}, by whether this observer saw the input stop.
    arm_speeds: [(stamp s, rad/s of the fastest joint)] of joint_states, the newest.
    speed, status, joints: rad/s of the fastest joint of the last command, and what came last; not LAG_S late.
    oldest: topic -> oldest age while the arm moved, s.  plans: [(sent s, plan ms)].
    lost: commands that did not get here, by their numbers; of the next one only position and speed are judged.
    plan_commands: when commands were sent that a plan's acceptance gave, between two ticks.
    begun_anew: motions that began where the arm was measured, as after arming.
    states: transitions of the guard, "RUNNING>HOLDING NO_PLAN" -> count.
    """

    def __init__(self, running: RunningGraph):
        names = ["limits.velocity", "limits.acceleration", "limits.position_margin", "robot.position_lower",
                 "robot.position_upper", "publish_rate_hz", "robot.joint_names", "limits.max_step"]  # fmt: skip
        names += [parameter for parameter, _ in WATCHED.values()]
        told = dict(zip(names, running.parameters("action_publisher", *names), strict=True))
        self.settings = {name: list(v) if hasattr(v, "__len__") and not isinstance(v, str) else v
                         for name, v in told.items()}  # fmt: skip
        self.period, self.names = 1.0 / told["publish_rate_hz"], list(told["robot.joint_names"])
        self.limits = {topic: told[parameter] for topic, (parameter, _) in WATCHED.items()}
        self.acceleration = np.array(told["limits.acceleration"])
        margin = np.array(told["limits.position_margin"])
        max_step = np.array([v or np.inf for v in told["limits.max_step"]])
        self.audit = CommandAudit(
            np.array(told["robot.position_lower"]) + margin,
            np.array(told["robot.position_upper"]) - margin,
            np.array(told["limits.velocity"]),
            self.acceleration,
            self.period,
            max_step,
            jitter=self.period,
        )
        self.commands: deque[Command] = deque(maxlen=20_000)
        self.arm_speeds: deque[tuple[float, float]] = deque(maxlen=5_000)
        self.statuses: deque[tuple[float, SafetyStatus]] = deque(maxlen=2_000)
        self.plans: list[tuple[float, float]] = []
        self.expiries: dict[str, Counter] = {}
        self.states: Counter = Counter()
        self.missed: list[str] = []
        self.begun_anew = self.lost = self._number_before = 0
        self.plan_commands: set[float] = set()
        self.oldest = dict.fromkeys(WATCHED, 0.0)
        self.status: SafetyStatus | None = None
        self.joints: np.ndarray | None = None
        self.speed = 0.0
        self._newest: dict[str, tuple[float, float]] = {}  # topic -> (sent, stamp)
        self._judged_status: SafetyStatus | None = None
        self._measured: deque[tuple[float, np.ndarray]] = deque(maxlen=50)
        self._command = None
        self._fresh, self._ramp, self._plan_id = True, 0.0, ""
        self._events, self._number, self._lock = [], itertools.count(), threading.Lock()
        self._newest_sent = 0.0
        for topic, kind in TOPICS.items():
            running.client.listen(topic, kind, self._receiver(topic))

    def settle(self) -> None:
        """Judge what is left; nothing more is taken."""
        with self._lock:
            self._judge_until(np.inf)

    def command_counts(self) -> dict:
        """What a result says of the commands that were judged."""
        return {
            "commands": self.audit.count,
            "commands_lost_on_the_way_here": self.lost,
            "commands_sent_late": self.audit.late,
            "command_violations": list(self.audit.violations),
        }

    # In the client's thread.

    def _receiver(self, topic: str):
        def receive(data, info):
            with self._lock:
                self._take(topic, data, info)

        return receive

    def _take(self, topic: str, data: bytes, info: dict) -> None:
        sent = info["source_timestamp"] * 1e-9
        if topic == "joint_states":
            message = deserialize_message(data, JointState)
            found = dict(zip(message.name, message.position))
            self.joints = np.array([found[name] for name in self.names])
            content = header_stamp_ns(data) * 1e-9, self.joints
            self.arm_speeds.append((content[0], float(np.abs(message.velocity).max())))
        elif topic in WATCHED:
            content = header_stamp_ns(data) * 1e-9
        elif topic == "joint_trajectory":
            message = deserialize_message(data, JointTrajectory)
            self.speed = float(np.abs(message.points[0].velocities).max())
            content = info["received_timestamp"] * 1e-9, info["publication_sequence_number"], message
        elif topic == "planner/status":
            content = deserialize_message(data, PlannerStatus)
        else:
            content = self.status = deserialize_message(data, SafetyStatus)
        heapq.heappush(self._events, (sent, next(self._number), topic, content))
        self._newest_sent = max(self._newest_sent, sent)
        self._judge_until(self._newest_sent - LAG_S)

    def _judge_until(self, until: float) -> None:
        while self._events and self._events[0][0] <= until:
            sent, _, topic, content = heapq.heappop(self._events)
            if topic == "joint_states":
                stamp, joints = content
                self._measured.append((sent, joints))
                self._newest[topic] = sent, stamp
            elif topic in WATCHED:
                self._newest[topic] = sent, content
            elif topic == "joint_trajectory":
                self._judge_command(sent, *content)
            elif topic == "planner/status":
                if content.plan_id and content.plan_id != self._plan_id:
                    self._plan_id = content.plan_id
                    self.plans.append((sent, content.plan_ms))
            else:
                self._judge_status(sent, content)

    def _judge_command(self, sent: float, received: float, number: int, message: JointTrajectory) -> None:
        position, velocity = (
            np.array(values) for values in (message.points[0].positions, message.points[0].velocities)
        )
        came_from = position - velocity * self.period
        lost = number - self._number_before - 1 if self._command is not None else 0
        self.lost += lost
        self._number_before = number
        if self._command is None or (self._fresh and not lost and not self._goes_on(position, velocity)):
            seen = np.array([joints for at, joints in self._measured if at > sent - BEGIN_S] or [came_from])
            off = np.maximum(seen.min(axis=0) - came_from, came_from - seen.max(axis=0)).max()
            if off > NEAR_RAD:
                self.audit.violations.append(f"a motion began {off:.3f} rad from where the arm was measured")
            self.begun_anew += 1
            self.audit.restart(came_from)
            self._command = came_from
        self._fresh = False
        (self.audit.resume if lost else self.audit.check)(position, velocity, sent, sent)
        moved = bool(np.any(position != self._command))
        self._command = position
        state = self._judged_status.state if self._judged_status is not None else SafetyState.IDLE
        self.commands.append(Command(sent, received, moved, float(np.abs(velocity).max()), state, number))
        self._ramp = max(self._ramp, float((np.abs(velocity) / self.acceleration).max()))
        if moved:
            self._judge_ages(sent)

    def _goes_on(self, position: np.ndarray, velocity: np.ndarray) -> bool:
        """Whether a command comes out of the one before, in a period or less."""
        step, reach = position - self._command, velocity * self.period
        return bool(
            np.all((step >= np.minimum(reach, 0) - ROUNDING) & (step <= np.maximum(reach, 0) + ROUNDING))
        )

    def _judge_ages(self, sent: float) -> None:
        """Of the inputs, while the arm moves; braking after a watchdog is a motion too."""
        for topic, (published, stamp) in self._newest.items():
            age, allowed = sent - stamp, self.limits[topic]
            if topic == "plan":
                age, allowed = sent - published, self.limits[topic] + DELIVERY_S
            self.oldest[topic] = max(self.oldest[topic], age)
            if self.limits[topic] and age > allowed + self.period + self._ramp:
                self._miss(f"a command moved the arm with {topic} {age:.3f} s old")

    def _judge_status(self, sent: float, status: SafetyStatus) -> None:
        before, self._judged_status = self._judged_status, status
        if before is not None and self.commands and status.plan_age_s != before.plan_age_s:
            if status.plan_age_s == status.plan_age_s:
                self.plan_commands.add(self.commands[-1].sent)  # the status follows it in the same callback
        self.statuses.append((sent, status))
        if status.state == SafetyState.ARMED:
            self._fresh = True
        if status.state == SafetyState.RUNNING:
            for topic, age in (
                ("image", status.image_age_s),
                ("embedding", status.embedding_age_s),
                ("joint_states", status.joint_state_age_s),
            ):
                if self.limits[topic] and not age <= self.limits[topic] + self.period:
                    self._miss(f"SafetyStatus says RUNNING with {topic} {age:.3f} s old")
        if before is None or before.state == status.state:
            return
        step = f"{SafetyState(before.state).name}>{SafetyState(status.state).name}"
        self.states[f"{step} {Reason(status.reason).name}"] += 1
        if step == "RUNNING>HOLDING":
            self._judge_expiry(sent, Reason(status.reason))

    def _judge_expiry(self, sent: float, reason: Reason) -> None:
        for topic, (_, expired) in WATCHED.items():
            if reason == expired:
                published, stamp = self._newest.get(topic, (0.0, 0.0))
                silent = sent - (published if topic == "plan" else stamp) > self.limits[topic] - DELIVERY_S
                counts = self.expiries.setdefault(reason.name, Counter(confirmed=0, unconfirmed=0))
                counts["confirmed" if silent else "unconfirmed"] += 1

    def _miss(self, text: str) -> None:
        if len(self.missed) < 50:
            self.missed.append(text)
