"""Listens to the ROS graph for a bounded time. It subscribes and asks for parameters; it publishes to no topic of a
robot and calls no service that changes anything."""

import time
from collections.abc import Callable

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message
from rclpy.signals import SignalHandlerOptions
from rclpy.time import Time
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CompressedImage, Image, JointState
from std_msgs.msg import String

from jepa_ros.data.cdr import header_stamp_ns
from jepa_ros.nodes.base.parameter_survey import ParameterSurvey
from jepa_ros.nodes.doctor.expected import Expected, Topic
from jepa_ros.nodes.doctor.heard import Endpoint, Heard, Stream
from jepa_ros.nodes.wire import qos

_KINDS = {
    "sensor_msgs/msg/Image": Image,
    "sensor_msgs/msg/CompressedImage": CompressedImage,
    "sensor_msgs/msg/JointState": JointState,
}
_SETTLED_S = 1.0
"""The graph is known where it has not changed for so long."""
_ENOUGH_S = 2.0
"""A stream that was followed for so long has shown its rate."""
_LOOK_S = 0.05


class Listener:
    """A context manager with a ROS node of its own. First ``discover``, then ``listen``."""

    def __init__(self, namespace: str):
        self._context = rclpy.Context()
        rclpy.init(context=self._context, signal_handler_options=SignalHandlerOptions.NO)
        self.node = rclpy.create_node(
            "jepa_doctor", context=self._context, start_parameter_services=False, enable_rosout=False
        )
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self._survey = ParameterSurvey(self.node, namespace)
        self._heard = Heard()
        self._raw: dict[str, tuple[bytes, type]] = {}
        self._simulated = 0
        self.node.create_subscription(Clock, "/clock", self._on_clock, qos.CLOCK)
        self.node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, qos.STATUS)

    def __enter__(self) -> "Listener":
        return self

    def __exit__(self, *_) -> None:
        self._executor.shutdown()
        self.node.destroy_node()
        self._context.try_shutdown()

    def discover(self, timeout_s: float) -> dict[str, dict[str, object]]:
        """Full name to parameters of the namespace's nodes, once no new ones come and all have answered, or after
        timeout_s."""
        known, changed = None, time.monotonic()

        def settled() -> bool:
            nonlocal known, changed
            self._survey.look()
            now = set(self._topics()), set(self._nodes())
            if now != known:
                known, changed = now, time.monotonic()
            quiet = time.monotonic() - changed > _SETTLED_S
            return quiet and bool(self._nodes()) and not self._survey.silent

        self._spin(settled, timeout_s)
        return self._survey.found

    def listen(self, expected: Expected, timeout_s: float, needs_description: bool = False) -> Heard:
        """What came in at most timeout_s; less where every stream was followed long enough."""
        heard, began = self._heard, time.monotonic()
        inputs = (expected.image, expected.joint_states)
        if needs_description:
            self.node.create_subscription(
                String, expected.description.name, self._on_description, qos.GOAL_READER
            )

        def enough() -> bool:
            self._survey.look()
            for topic in inputs:
                self._follow(topic)
            streams = [heard.stream(topic.name) for topic in inputs]
            return (
                all(s.received and time.monotonic() - s.received[0] > _ENOUGH_S for s in streams)
                and (not expected.use_sim_time or len(heard.clock) > 1)
                and (not needs_description or bool(heard.description))
                and not self._survey.silent
            )

        self._spin(enough, timeout_s)
        heard.seconds = time.monotonic() - began
        for topic, (data, kind) in self._raw.items():
            heard.streams[topic].newest = deserialize_message(data, kind)
        names = {topic.name for topic in (*inputs, expected.command, expected.description)} | {"/clock"}
        info = self.node
        heard.publishers = {n: self._endpoints(info.get_publishers_info_by_topic, n) for n in names}
        heard.subscribers = {n: self._endpoints(info.get_subscriptions_info_by_topic, n) for n in names}
        heard.topics, heard.nodes, heard.parameters = self._topics(), self._nodes(), self._survey.found
        return heard

    def _spin(self, done: Callable[[], bool], timeout_s: float) -> None:
        ends = time.monotonic() + timeout_s
        while not done() and time.monotonic() < ends:
            again = min(ends, time.monotonic() + _LOOK_S)
            while (left := again - time.monotonic()) > 0:
                self._executor.spin_once(left)

    def _follow(self, topic: Topic) -> None:
        """Subscribe once a publisher of the right type is there, as the graph would, or as its QoS allows."""
        if topic.name in self._heard.streams:
            return
        offers = [
            e
            for e in self._endpoints(self.node.get_publishers_info_by_topic, topic.name)
            if e.kind == topic.kind
        ]
        if not offers:
            return
        reliable = all(topic.readers.values()) and all(e.reliable for e in offers)
        profile = QoSProfile(
            depth=5, reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT
        )
        kind = _KINDS[topic.kind]
        stream = self._heard.streams[topic.name] = Stream()

        def take(data: bytes) -> None:
            stream.received.append(time.monotonic())
            stream.stamp.append(header_stamp_ns(data))
            stream.system.append(time.time_ns())
            stream.simulated.append(self._simulated)
            stream.size_bytes = len(data)
            self._raw[topic.name] = data, kind

        self.node.create_subscription(kind, topic.name, take, profile, raw=True)

    def _on_clock(self, msg: Clock) -> None:
        self._simulated = Time.from_msg(msg.clock).nanoseconds
        self._heard.clock.append((time.monotonic(), self._simulated))

    def _on_diagnostics(self, msg: DiagnosticArray) -> None:
        for status in msg.status:
            self._heard.said[f"/{status.name.lstrip('/')}"] = status.level[0], status.message

    def _on_description(self, msg: String) -> None:
        self._heard.description = msg.data

    def _topics(self) -> dict[str, list[str]]:
        return dict(self.node.get_topic_names_and_types())

    def _nodes(self) -> list[str]:
        names = (f"{space.rstrip('/')}/{name}" for name, space in self.node.get_node_names_and_namespaces())
        return sorted(name for name in names if name != self.node.get_fully_qualified_name())

    def _endpoints(self, ask: Callable, topic: str) -> list[Endpoint]:
        own = self.node.get_name()
        return [
            Endpoint(
                f"{info.node_namespace.rstrip('/')}/{info.node_name}",
                info.topic_type,
                info.qos_profile.reliability != ReliabilityPolicy.BEST_EFFORT,
                info.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL,
            )
            for info in ask(topic)
            if info.node_name != own
        ]
