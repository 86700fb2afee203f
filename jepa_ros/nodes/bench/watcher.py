"""Listens to the graph while it works: latencies per plan, joints, diagnostics."""

import threading

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from sensor_msgs.msg import JointState

from jepa_ros.data.stamps import stamp_ns
from jepa_ros.evaluation.trace import Trace
from jepa_ros.msg import PlannerStatus, SafetyStatus
from jepa_ros.nodes.client import GraphClient
from jepa_ros.nodes.wire import qos

STAGES = ("encode_ms", "policy_ms", "rollout_ms", "cost_ms", "plan_ms", "image_age_ms")

_MAKERS = ("searched", "proposed")


class Watcher:
    """Subscribes once; ``begin`` starts a new Trace. Callbacks come in the client's thread.

    Only what the figures need is read, so that watching slows the graph as little as it can.
    stages: of every plan since ``begin``, STAGES of PlannerStatus, and whether it was "searched" or "proposed".
    diagnostics: node to key to value, the newest.
    """

    def __init__(self, client: GraphClient, joint_names: tuple[str, ...]):
        self._joint_names, self._changed = joint_names, threading.Condition()
        self._plan_age_s = np.nan
        self.diagnostics: dict[str, dict[str, str]] = {}
        self.begin(0)
        node = client.node
        for kind, topic, callback, profile in (
            (PlannerStatus, "planner/status", self._on_status, qos.STATUS),
            (SafetyStatus, "action_publisher/safety_status", self._on_safety, qos.STATUS),
            (JointState, "joint_states", self._on_joints, qos.JOINT_STATES),
            (DiagnosticArray, "/diagnostics", self._on_diagnostics, qos.STATUS),
        ):
            node.create_subscription(kind, topic, callback, profile)

    def begin(self, seed: int) -> None:
        """Forget what was traced."""
        with self._changed:
            self.trace, self.stages, self._plans = Trace(seed), [], 0
            self._counts = dict.fromkeys(_MAKERS, 0)

    def end(self) -> Trace:
        """What was traced since ``begin``; what comes from now on is not in it."""
        with self._changed:
            ended = self.trace
            self.begin(ended.seed)
        return ended

    def wait(self, done, timeout_s: float) -> bool:
        """Whether ``done()`` came true in time; asked again after every message."""
        with self._changed:
            return self._changed.wait_for(done, timeout_s)

    def _on_status(self, msg: PlannerStatus) -> None:
        with self._changed:
            if msg.plans > self._plans:
                stages = {name: float(getattr(msg, name)) for name in STAGES}
                counts = {name: int(getattr(msg, name)) for name in _MAKERS}
                made_by = {name: counts[name] > self._counts[name] for name in _MAKERS}
                self.stages.append({**stages, **made_by})
                self._plans, self._counts = msg.plans, counts
                self.trace.plan_ms.append(float(msg.plan_ms))
                self.trace.deadline_misses = int(msg.deadline_misses)
            self._changed.notify_all()

    def _on_safety(self, msg: SafetyStatus) -> None:
        with self._changed:
            age = float(msg.plan_age_s)
            if np.isfinite(age) and age != self._plan_age_s:  # repeated until the next command
                self._plan_age_s = age
                self.trace.image_to_command_ms.append(1e3 * age)
                self._changed.notify_all()

    def _on_joints(self, msg: JointState) -> None:
        by_name = dict(zip(msg.name, msg.position, strict=True))
        with self._changed:
            self.trace.joints.append(np.array([by_name[joint] for joint in self._joint_names]))
            self.trace.cubes.append(None)
            self.trace.joint_times.append(stamp_ns(msg) * 1e-9)
            self._changed.notify_all()

    def _on_diagnostics(self, msg: DiagnosticArray) -> None:
        with self._changed:
            for status in msg.status:
                self.diagnostics[status.name.rpartition("/")[2]] = {v.key: v.value for v in status.values}
            self._changed.notify_all()
