"""Follows one goal in the live graph: raw messages into a bag, the numbers among them into a Trace."""

import threading
import time
from pathlib import Path

import numpy as np

from jepa_ros.data.bag_writer import BagWriter
from jepa_ros.data.images import decode_image
from jepa_ros.data.messages import deserialize
from jepa_ros.data.stamps import stamp_ns
from jepa_ros.evaluation.trace import Trace

TOPICS = {  # relative name: (type, reliable, latched)
    "image": ("sensor_msgs/msg/Image", True, False),
    "camera_info": ("sensor_msgs/msg/CameraInfo", True, False),
    "joint_states": ("sensor_msgs/msg/JointState", True, False),
    "joint_trajectory": ("trajectory_msgs/msg/JointTrajectory", True, False),
    "/clock": ("rosgraph_msgs/msg/Clock", False, False),
    "embedding": ("jepa_ros/msg/Embedding", True, False),
    "goal": ("jepa_ros/msg/Goal", True, True),
    "plan": ("jepa_ros/msg/ActionPlan", True, False),
    "planner/status": ("jepa_ros/msg/PlannerStatus", True, False),
    "action_publisher/safety_status": ("jepa_ros/msg/SafetyStatus", True, False),
    "simulator/cube": ("geometry_msgs/msg/PointStamped", True, False),
}
ALWAYS = ("image", "simulator/cube", "action_publisher/safety_status")
IN_A_TRACE = ("joint_states", "planner/status")


class Recorder:
    """Subscribes once; ``begin`` and ``end`` bracket an episode. Callbacks come in the client's thread."""

    def __init__(self, client, namespace: str, joint_names: tuple[str, ...], has_cube: bool):
        self._lock = threading.Lock()
        self._joint_names, self._has_cube = joint_names, has_cube
        self._bag: BagWriter | None = None
        self._trace: Trace | None = None
        self._began_ns = 0
        self._cube: np.ndarray | None = None
        self._image: np.ndarray | None = None
        self._first_image = threading.Event()
        self._plan_age_s: float | None = None
        self._absolute = {name: name if name.startswith("/") else f"/{namespace}/{name}" for name in TOPICS}
        for name, (kind, reliable, latched) in TOPICS.items():
            client.listen(
                self._absolute[name],
                kind,
                lambda data, name=name: self._on_message(name, data),
                reliable=reliable,
                latched=latched,
            )

    def wait_image(self, timeout_s: float) -> np.ndarray | None:
        """The newest camera image (h, w, 3) uint8 RGB; None where none comes in time."""
        return self._image if self._first_image.wait(timeout_s) else None

    def begin(self, trace: Trace, bag: Path, metadata: dict) -> None:
        """Fill ``trace`` and a new bag from now on; now is time 0 of the trace."""
        topics = {self._absolute[name]: kind for name, (kind, _, _) in TOPICS.items()}
        latched = [self._absolute[name] for name, (_, _, is_latched) in TOPICS.items() if is_latched]
        writer = BagWriter(bag, topics, metadata, latched)
        with self._lock:
            self._bag, self._trace, self._began_ns = writer, trace, time.time_ns()
            self._plans = 0

    def end(self) -> None:
        """Finish the bag; safe to call twice."""
        with self._lock:
            bag, self._bag, self._trace = self._bag, None, None
        if bag is not None:
            bag.close()

    def _on_message(self, name: str, data: bytes) -> None:
        data = bytes(data)
        with self._lock:
            if self._bag is not None:
                self._bag.write_raw(self._absolute[name], time.time_ns(), data)
            if name in ALWAYS or (name in IN_A_TRACE and self._trace is not None):
                getattr(self, f"_on_{name.replace('/', '_')}")(deserialize(data, TOPICS[name][0]))

    # Each with the lock held.

    def _on_image(self, msg) -> None:
        if not self._first_image.is_set():
            self._image = decode_image(msg.encoding, msg.height, msg.width, msg.step, msg.data)
            self._first_image.set()

    def _on_simulator_cube(self, msg) -> None:
        self._cube = np.array([msg.point.x, msg.point.y, msg.point.z])

    def _on_joint_states(self, msg) -> None:
        seconds = self._seconds(msg)
        if seconds < 0 or (self._has_cube and self._cube is None):
            return
        by_name = dict(zip(msg.name, msg.position, strict=True))
        self._trace.joints.append(np.array([by_name[joint] for joint in self._joint_names]))
        self._trace.cubes.append(self._cube if self._has_cube else None)
        self._trace.joint_times.append(seconds)  # last: the demo reads as many of the others without the lock

    def _on_planner_status(self, msg) -> None:
        seconds, trace = self._seconds(msg), self._trace
        if seconds >= 0 and msg.plans > self._plans:
            self._plans = msg.plans
            trace.distance_times.append(seconds)
            trace.distances.append(float(msg.distance))
            trace.plan_ms.append(float(msg.plan_ms))
            trace.latent_tolerance = float(msg.tolerance)
            trace.deadline_misses, trace.dropped = int(msg.deadline_misses), int(msg.dropped)

    def _on_action_publisher_safety_status(self, msg) -> None:
        age = float(msg.plan_age_s)
        if np.isfinite(age) and age != self._plan_age_s:  # repeated until the next command
            self._plan_age_s = age
            if self._trace is not None:
                self._trace.command_times.append(self._seconds(msg))
                self._trace.image_to_command_ms.append(1e3 * age)

    def _seconds(self, msg) -> float:
        return 1e-9 * (stamp_ns(msg) - self._began_ns)
