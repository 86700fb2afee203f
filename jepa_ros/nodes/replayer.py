"""Plays a bag into the live graph: sensors onto the graph's topics, all else under recorded/, /clock from stamps."""

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import rclpy
from builtin_interfaces.msg import Time
from lifecycle_msgs.srv import GetState
from rclpy.duration import Duration
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from jepa_ros.data.bag_files import RawMessage
from jepa_ros.data.images import decode_message
from jepa_ros.data.recording import header_stamp_ns
from jepa_ros.data.topics import IMAGE, Topics
from jepa_ros.errors import JepaError
from jepa_ros.nodes import images, qos
from jepa_ros.nodes.message_types import message_class
from jepa_ros.nodes.replay_clock import SET_BACK_NS, ReplayClock
from jepa_ros.nodes.replay_routes import CLOCK, GOAL, Route, absolute, find_routes, open_bag, require_harmless

LAST = "last"
CLOCK_HZ = 100.0
DEPTH = 50
"""Of every publisher: a reader that is busy for a moment loses nothing by the writer's queue."""
_QUIET_S, _SETTLE_S = 1.0, 5.0
"""The graph counts as discovered when it has stayed the same for so long, or after so long at the latest."""
_POLL_S = 0.05
_UNKNOWN = "_NODE_NAME_UNKNOWN_"
_SHOW_S = 0.2
_ACKNOWLEDGED_S = 5.0


@dataclass(frozen=True)
class ReplaySettings:
    """namespace: of the live graph.  rate: times real time.  start_s, duration_s: of the bag's time.
    loop: begin again at the end.  topics: which topic of the bag plays which role.
    force: play although a robot listens, or sensors are live.  goal: play the recorded goal.
    goal_image: (h, w, 3) uint8 RGB, or LAST (the last camera image played), published on `goal_image` at the
    beginning, in place of the recorded goal.  wait_s: for the readers of camera and joints.
    """

    bag: Path
    namespace: str = "jepa"
    rate: float = 1.0
    start_s: float = 0.0
    duration_s: float = math.inf
    loop: bool = False
    topics: Topics = Topics()
    force: bool = False
    goal: bool = True
    goal_image: np.ndarray | str | None = None
    wait_s: float = 10.0


@dataclass
class Progress:
    """Of a replay. seconds, total_s: of the bag, of this round.  rounds: begun.  messages: played, by bag topic.
    late_s, most_late_s: how far behind its time the last message came, and the latest."""

    total_s: float
    seconds: float = 0.0
    rounds: int = 0
    messages: dict[str, int] = field(default_factory=dict)
    late_s: float = 0.0
    most_late_s: float = 0.0


class Replayer:
    """A context manager. Making it reads the bag through once (times and damage); ``play`` plays it.

    Invariants: no topic is published before ``require_no_robot`` has looked at a settled graph, and it looks again
    all the while; every publisher passes ``require_harmless``. say: told, in words, what the user should know.
    """

    def __init__(self, settings: ReplaySettings, say: Callable[[str], None] = print):
        self.settings, self._say, self._told = settings, say, set()
        self._bag = open_bag(settings.bag)
        try:
            self.routes = find_routes(
                self._bag.connections,
                settings.topics,
                settings.namespace,
                str(self._bag.metadata.get("namespace", settings.namespace)),
                settings.goal and settings.goal_image is None,
            )
            self._survey()
            self._context = rclpy.Context()
            # No arguments: nobody remaps what was routed.
            rclpy.init(args=[], context=self._context, signal_handler_options=SignalHandlerOptions.NO)
        except BaseException:
            self._bag.close()
            raise
        self._node = rclpy.create_node(
            "jepa_replay", namespace=settings.namespace, context=self._context, start_parameter_services=False
        )
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self._publishers: dict[str, object] = {}
        self._clock_told = -1
        for note in (*self.routes.notes, *self._bag.damage):
            self._warn(note)

    def __enter__(self) -> "Replayer":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        """Leave the graph and close the bag."""
        self._executor.shutdown()
        self._node.destroy_node()
        self._context.try_shutdown()
        self._bag.close()

    def play(self, stop: threading.Event, show: Callable[[Progress], None] = lambda _: None) -> Progress:
        """Play until the end, or until ``stop`` is set. show: called a few times a second.

        JepaError where a robot listens to a command topic or where sensors are live, before the first message
        or while playing, unless forced.
        """
        progress = Progress(1e-9 * (self._end_ns - self._begin_ns))
        if not self._settle(stop):
            return progress
        self._advertise()
        if not self._wait_for_readers(stop):
            return progress
        while self._play_round(stop, show, progress) and self.settings.loop:
            pass
        for publisher in self._publishers.values():
            if not publisher.wait_for_all_acked(Duration(seconds=_ACKNOWLEDGED_S)):
                self._warn(f"not every reader of {publisher.topic_name} has taken its last messages")
        for damage in self._bag.damage:
            self._warn(damage)
        return progress

    # Before it plays.

    def _survey(self) -> None:
        """Read through the bag: when it begins and ends, its clock, its last image."""
        routes, settings = self.routes, self.settings
        stamped = routes.joint_states or routes.image
        played = {route.source for route in routes.routes}
        first, last = None, 0
        points: dict[str, list[tuple[int, int]]] = {topic: [] for topic in (routes.clock, stamped)}
        self._goal_frame: RawMessage | None = None
        ends = math.inf
        for message in self._bag.messages(played | {routes.clock}):
            if first is None:
                first = message.log_ns
                ends = first + 1e9 * (settings.start_s + settings.duration_s)
            if message.topic in points:
                points[message.topic].append((message.log_ns, header_stamp_ns(message.data)))
            if message.topic in played:
                last = message.log_ns
            if message.topic == routes.image and message.log_ns <= ends:
                self._goal_frame = message
        if first is None:
            raise JepaError(f"{self._bag.path}: no message can be read: {'; '.join(self._bag.damage)}")
        self._begin_ns = first + round(1e9 * settings.start_s)
        self._end_ns = int(min(last, ends))
        if self._begin_ns > last:
            raise JepaError(f"--start {settings.start_s:g}: the bag lasts {1e-9 * (last - first):.1f} s")
        if settings.goal_image is not None and self._goal_frame is None:
            raise JepaError(
                f"{self._bag.path}: a goal image needs camera images to plan from, and there is none"
            )
        self._clock, self._clock_note = _make_clock(points[routes.clock], points[stamped], first)

    def _settle(self, stop: threading.Event) -> bool:
        """Look at the graph until it is discovered; False where stopped."""
        began = changed = time.monotonic()
        seen = None
        while True:
            self.require_no_robot()
            now, graph = time.monotonic(), self._graph()
            changed = now if graph != seen else changed
            seen = graph
            if now - changed >= _QUIET_S or now - began >= _SETTLE_S:
                return True
            if stop.wait(_POLL_S):
                return False

    def _graph(self) -> tuple:
        topics = self._node.get_topic_names_and_types()
        return self._node.get_node_names_and_namespaces(), [
            (name, self._node.count_subscribers(name), self._node.count_publishers(name))
            for name, _ in topics
        ]

    def require_no_robot(self) -> None:
        """Raise JepaError where a node listens to a robot's command topic, or another publishes what is played."""
        if self.settings.force:
            return
        for topic in self.routes.command_topics:
            if self._node.count_subscribers(topic):
                raise JepaError(
                    f"{self._names(self._node.get_subscriptions_info_by_topic, topic)} listens to {topic}: a robot could move by what is planned from the past. Stop it, "
                    "or give --force where it is no robot (such as a recorder)"
                )
        for name in ("image", "image/compressed", "joint_states", "/clock"):
            topic = absolute(name, self.settings.namespace)
            if self._node.count_publishers(topic) > (topic in self._publishers):
                raise JepaError(
                    f"{self._names(self._node.get_publishers_info_by_topic, topic)} publishes {topic}: a robot or a simulator is live, and the past would mix "
                    "with it. Stop it, or give --force or another --namespace"
                )

    def _names(self, ask: Callable[[str], list], topic: str) -> str:
        """The other nodes at a topic, in words. An endpoint may be discovered a moment before its node's name."""
        ends, own = time.monotonic() + _QUIET_S, self._node.get_fully_qualified_name()
        while True:
            names = {_full_name(info) for info in ask(topic)}
            if "" not in names or time.monotonic() > ends:
                names = sorted(names - {own, ""}) or ["of unknown name"]
                return f"node {', '.join(names)}"
            time.sleep(_POLL_S)

    def _advertise(self) -> None:
        """The publishers; types that are not installed are named and left out."""
        self._by_source: dict[str, object] = {}
        for route in self.routes.routes:
            kind = message_class(route.msgtype)
            if kind is None:
                package = route.msgtype.split("/")[0]
                self._warn(f"{route.source} is left out: its package {package} is not installed here")
                continue
            self._by_source[route.source] = self._publish_on(route, kind, _profile(route))
        self._clocks = self._publish_on(Route("", "/clock", CLOCK), Clock, qos.CLOCK)
        if self.settings.goal_image is not None:
            route = Route("", absolute("goal_image", self.settings.namespace), IMAGE)
            self._goal_images = self._publish_on(route, Image, _profile(route))

    def _publish_on(self, route: Route, kind: type, profile: QoSProfile):
        """The only place where a publisher is made."""
        require_harmless(route.target, route.msgtype, self.settings.namespace)
        self._publishers[route.target] = self._node.create_publisher(kind, route.target, profile)
        return self._publishers[route.target]

    def _wait_for_readers(self, stop: threading.Event) -> bool:
        """Until camera and joints have readers, and those that have a lifecycle are active; False where stopped.
        Where that takes longer than wait_s, it is said and the replay goes on."""
        wanted = [s for s in (self.routes.image, self.routes.joint_states) if s in self._by_source]
        publishers = [self._by_source[source] for source in wanted]
        if self.settings.goal_image is not None:
            publishers.append(self._goal_images)
        ends, told = time.monotonic() + self.settings.wait_s, ""
        while True:
            self.require_no_robot()
            missing = [p.topic_name for p in publishers if not p.get_subscription_count()]
            waiting = f"a reader of {', '.join(missing)}" if missing else self._not_active(publishers)
            if not waiting:
                return True
            left = ends - time.monotonic()
            if left <= 0:
                self._warn(f"played without {waiting}")
                return True
            if waiting != told:
                self._say(f"waiting for {waiting}, at most {left:.0f} s")
                told = waiting
            self._tell_clock(self._clock.at(self._begin_ns))
            if stop.wait(_POLL_S):
                return False

    def _not_active(self, publishers: list) -> str:
        """The readers that have a lifecycle and are not active, in words."""
        found = {
            _full_name(info) or "a reader of unknown name"
            for p in publishers
            for info in self._node.get_subscriptions_info_by_topic(p.topic_name)
        }
        services = {name for name, _ in self._node.get_service_names_and_types()}
        waiting = []
        for name in sorted(found):
            has_lifecycle = f"{name}/get_state" in services
            if not name.startswith("/") or (has_lifecycle and not self._is_active(name)):
                waiting.append(name)
        return f"{', '.join(waiting)} to become active" if waiting else ""

    def _is_active(self, node: str) -> bool:
        client = self._node.create_client(GetState, f"{node}/get_state")
        try:
            if not client.service_is_ready():
                return False
            future = client.call_async(GetState.Request())
            self._executor.spin_until_future_complete(future, _QUIET_S)
            return future.done() and future.result().current_state.label == "active"
        finally:
            self._node.destroy_client(client)

    # While it plays.

    def _play_round(self, stop: threading.Event, show: Callable, progress: Progress) -> bool:
        """Once through the bag; False where stopped."""
        progress.rounds += 1
        self._clock_told = -1
        if progress.rounds == 1 and self._clock_note:
            self._warn(self._clock_note)
        earlier: dict[str, deque[bytes]] = {
            r.source: deque(maxlen=_depth(r)) for r in self.routes.routes if r.latched
        }
        self._began = None
        for message in self._bag.messages(self._by_source):
            if message.log_ns < self._begin_ns:
                if message.topic in earlier:
                    earlier[message.topic].append(bytes(message.data))
                continue
            if message.log_ns > self._end_ns:
                break
            if self._began is None:
                self._begin_round(earlier)
                self._shown_at = -math.inf
            if not self._keep_pace(message.log_ns, stop, show, progress):
                return False
            self._tell_clock(self._clock.at(message.log_ns))
            self._by_source[message.topic].publish(bytes(message.data))
            progress.messages[message.topic] = progress.messages.get(message.topic, 0) + 1
        progress.seconds = progress.total_s
        show(progress)
        return not stop.is_set()

    def _begin_round(self, earlier: dict[str, deque[bytes]]) -> None:
        """The clock, the goal, and what latched topics had said before --start."""
        self._began = time.monotonic()
        self._next_tick = self._began
        self._tell_clock(self._clock.at(self._begin_ns))
        for topic, messages in earlier.items():
            for data in messages:
                self._by_source[topic].publish(data)
        image = self.settings.goal_image
        if image is not None:
            if isinstance(image, str):
                image = decode_message(self._bag.deserialize(self._goal_frame))
            stamp = Header(stamp=_time(self._clock.at(self._begin_ns)))
            self._goal_images.publish(images.to_msg(image, stamp))

    def _keep_pace(self, log_ns: int, stop: threading.Event, show: Callable, progress: Progress) -> bool:
        """Wait until a message is due, with the clock going on; False where stopped."""
        rate, began = self.settings.rate, self._began
        due = began + 1e-9 * (log_ns - self._begin_ns) / rate
        while not stop.is_set():
            now = time.monotonic()
            if now >= self._next_tick:
                self._next_tick = now + 1.0 / CLOCK_HZ
                self._tell_clock(
                    self._clock.at(min(log_ns, self._begin_ns + int(1e9 * (now - began) * rate)))
                )
                self.require_no_robot()
                if now - self._shown_at >= _SHOW_S:
                    progress.seconds, self._shown_at = (now - began) * rate, now
                    show(progress)
            if now >= due:
                progress.late_s = now - due
                progress.most_late_s = max(progress.most_late_s, now - due)
                return True
            stop.wait(min(due, self._next_tick) - now)
        return False

    def _tell_clock(self, now_ns: int) -> None:
        if now_ns == self._clock_told:
            return
        if now_ns < self._clock_told - SET_BACK_NS:
            back = 1e-9 * (self._clock_told - now_ns)
            self._warn(
                f"the bag's clock is set back by {back:.1f} s (a simulator was reset?); played as recorded"
            )
        self._clock_told = now_ns
        self._clocks.publish(Clock(clock=_time(now_ns)))

    def _warn(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            self._say(f"warning: {text}")


def _make_clock(recorded: list, stamped: list, first_ns: int) -> tuple[ReplayClock, str]:
    """(clock, what is wrong with it). recorded, stamped: (log time, ROS time) ns of the bag's /clock, and of the
    stamps. The bag's /clock counts where it is the clock of the stamps; without stamps, the log times count."""
    note = ""
    stamped = [point for point in stamped if point[1]]
    if recorded:
        clock = ReplayClock(*np.array(recorded, np.int64).T)
        off = np.median([stamp - clock.at(logged) for logged, stamp in stamped]) if stamped else 0
        if abs(off) <= SET_BACK_NS:
            return clock, note
        note = f"the header stamps are {1e-9 * off:.1f} s off the bag's /clock; the stamps' clock is played"
    if not stamped:
        note = "the header stamps are all 0; /clock is the time of recording"
    return ReplayClock(*np.array(stamped or [(first_ns, first_ns)], np.int64).T), note


def _profile(route: Route) -> QoSProfile:
    durability = DurabilityPolicy.TRANSIENT_LOCAL if route.latched else DurabilityPolicy.VOLATILE
    return QoSProfile(depth=_depth(route), reliability=ReliabilityPolicy.RELIABLE, durability=durability)


def _depth(route: Route) -> int:
    """Of goals only the last counts."""
    return 1 if route.msgtype == GOAL else DEPTH


def _full_name(info) -> str:
    """Of an endpoint's node; "" where it is not known yet."""
    unknown = info.node_name == _UNKNOWN
    return "" if unknown else f"{info.node_namespace.rstrip('/')}/{info.node_name}"


def _time(nanoseconds: int) -> Time:
    seconds, rest = divmod(max(nanoseconds, 0), 10**9)
    return Time(sec=seconds, nanosec=rest)
