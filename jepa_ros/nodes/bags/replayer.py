"""Plays a bag into the live graph: sensors onto its topics, all else under recorded/, and /clock."""

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path

import numpy as np
import rclpy
from builtin_interfaces.msg import Time
from rclpy.duration import Duration
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from jepa_ros.data.bag_files import RawMessage
from jepa_ros.data.cdr import header_stamp_ns
from jepa_ros.data.images import decode_message
from jepa_ros.data.topics import IMAGE, Topics, absolute
from jepa_ros.errors import JepaError
from jepa_ros.nodes.bags.old_goals import renewed
from jepa_ros.nodes.bags.replay_clock import SET_BACK_NS, ReplayClock
from jepa_ros.nodes.bags.replay_routes import (
    CLOCK,
    GOAL,
    Route,
    find_routes,
    open_bag,
    require_harmless,
)
from jepa_ros.nodes.bags.replay_watch import LiveGraph
from jepa_ros.nodes.wire import images, qos
from jepa_ros.nodes.wire.message_types import message_class

LAST = "last"
CLOCK_HZ = 100.0
DEPTH = 50
"""Of every publisher: a reader that is busy for a moment loses nothing by the writer's queue."""
_SHOW_S = 0.2
_ACKNOWLEDGED_S = 5.0
"""Longer than a middleware takes to ask for an acknowledgement again (3 s)."""


@dataclass(frozen=True)
class ReplaySettings:
    """namespace: of the live graph.  rate: times real time.  start_s, duration_s: of the bag's time.
    loop: begin again at the end.  topics: which topic of the bag plays which role.
    force: play although a robot listens, or sensors are live.  goal: play the recorded goal.
    goal_image: (h, w, 3) uint8 RGB, or LAST (the last camera image that is played); published on `goal_image`
    at the beginning, in place of the recorded goal.  wait_s: for the nodes that plan.
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
    """seconds, total_s: of the bag, in this round.  rounds: begun.  messages: played, by topic of the bag.
    late_s, most_late_s: how far behind its time the last message came, and the latest one."""

    total_s: float
    seconds: float = 0.0
    rounds: int = 0
    messages: dict[str, int] = field(default_factory=dict)
    late_s: float = 0.0
    most_late_s: float = 0.0


class Replayer:
    """A context manager. Making it reads the bag through once (times and damage); ``play`` plays it.

    Invariants: nothing is published before the live graph was looked at, and it is looked at all the while;
    every publisher passes ``require_harmless``. say: told, in words, what the user should know.
    """

    def __init__(self, settings: ReplaySettings, say: Callable[[str], None] = print):
        self.settings, self._say, self._told = settings, say, set()
        self._bag = open_bag(settings.bag)
        try:
            self.routes = find_routes(
                self._bag.connections,
                settings.topics,
                settings.namespace,
                str(self._bag.metadata.get("namespace", "")),
                settings.goal and settings.goal_image is None,
            )
            self._survey()
        except BaseException:
            self._bag.close()
            raise
        self._context = rclpy.Context()
        # No arguments: nobody remaps what was routed.
        rclpy.init(args=[], context=self._context, signal_handler_options=SignalHandlerOptions.NO)
        self._node = rclpy.create_node(
            "jepa_replay",
            namespace=settings.namespace,
            context=self._context,
            start_parameter_services=False,
        )
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self._live = LiveGraph(
            self._node, self._executor, settings.namespace, self.routes.command_topics, settings.force
        )
        for note in (*self.routes.notes, *self._notes, *self._bag.damage):
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

        JepaError where a robot listens to a command topic or sensors are live, before the first message or
        while playing, unless forced.
        """
        progress = Progress(1e-9 * (self._end_ns - self._begin_ns))
        self._advertise()  # early: others take a while to discover it
        if not self._live.settle(stop.wait):
            return progress
        if not self._live.wait_until_ready(self.settings.wait_s, stop.wait, self._say, self._tell_begin):
            return progress
        while self._play_round(stop, show, progress) and self.settings.loop:
            pass
        self._wait_for_readers()
        for damage in self._bag.damage:
            self._warn(damage)
        return progress

    # Before it plays.

    def _survey(self) -> None:
        """Read through the bag: when it begins and ends, its clock, its last image."""
        routes, settings = self.routes, self.settings
        played = {route.source for route in routes.routes}
        stamped = routes.joint_states or routes.image
        points: dict[str, list[tuple[int, int]]] = {routes.clock: [], stamped: []}
        first, last, ends = None, 0, math.inf
        self._goal_frame: RawMessage | None = None
        for message in self._bag.messages(played | {routes.clock}):
            if message.topic in points:
                points[message.topic].append((message.log_ns, header_stamp_ns(message.data)))
            if message.topic not in played:
                continue
            if first is None:
                first = message.log_ns
                ends = first + 1e9 * (settings.start_s + settings.duration_s)
            last = message.log_ns
            if message.topic == routes.image and message.log_ns <= ends:
                self._goal_frame = message
        if first is None:
            raise JepaError(f"{self._bag.path}: no message can be read: {'; '.join(self._bag.damage)}")
        self._begin_ns, self._end_ns = first + round(1e9 * settings.start_s), int(min(last, ends))
        if self._begin_ns > last:
            raise JepaError(f"--start {settings.start_s:g}: the bag lasts {1e-9 * (last - first):.1f} s")
        if settings.goal_image is not None and self._goal_frame is None:
            raise JepaError(f"{self._bag.path}: no camera image is played, so no goal image can be pursued")
        self._clock, self._notes = _make_clock(points[routes.clock], points[stamped], first)

    def _advertise(self) -> None:
        """Make the publishers; a type that is not installed is named and left out."""
        self._by_source: dict[str, object] = {}
        for route in self.routes.routes:
            kind = message_class(route.msgtype)
            if kind is None:
                package = route.msgtype.split("/")[0]
                self._warn(f"{route.source} is left out: its package {package} is not installed here")
            else:
                self._by_source[route.source] = self._publisher(route, kind, _profile(route))
        self._clocks = self._publisher(Route("", "/clock", CLOCK), Clock, qos.CLOCK)
        if self.settings.goal_image is not None:
            route = Route("", absolute("goal_image", self.settings.namespace), IMAGE)
            self._goal_images = self._publisher(route, Image, _profile(route))

    def _publisher(self, route: Route, kind: type, profile: QoSProfile):
        """The only place where a publisher is made."""
        require_harmless(route.target, route.msgtype, self.settings.namespace)
        publisher = self._node.create_publisher(kind, route.target, profile)
        self._live.publishers[route.target] = publisher
        return publisher

    # While it plays.

    def _play_round(self, stop: threading.Event, show: Callable, progress: Progress) -> bool:
        """Once through the bag; False where stopped."""
        progress.rounds += 1
        self._began, self._clock_told = None, -1
        earlier = {r.source: deque(maxlen=_depth(r)) for r in self.routes.routes if r.latched}
        for message in self._joints_before_image():
            if message.log_ns < self._begin_ns:
                if message.topic in earlier:
                    earlier[message.topic].append(bytes(message.data))
                continue
            if message.log_ns > self._end_ns:
                break
            if self._began is None:
                self._begin_round(earlier)
            if not self._keep_pace(message.log_ns, stop, show, progress):
                return False
            self._tell_clock(self._clock.at(message.log_ns))
            self._by_source[message.topic].publish(bytes(message.data))
            if message.topic == self.routes.image and not progress.messages.get(message.topic):
                self._wait_for_first_image()
            progress.messages[message.topic] = progress.messages.get(message.topic, 0) + 1
        progress.seconds = progress.total_s
        show(progress)
        return not stop.is_set()

    def _joints_before_image(self) -> Iterator[RawMessage]:
        """In the order of recording. Of messages recorded at once the image comes last: its plan starts from
        the joints of that moment."""
        for _, together in groupby(self._messages(), lambda message: message.log_ns):
            yield from sorted(together, key=lambda message: message.topic == self.routes.image)

    def _messages(self) -> Iterator[RawMessage]:
        """What is played, as messages of today."""
        old = {route.source for route in self.routes.routes if route.old}
        for message in self._bag.messages(self._by_source):
            if message.topic in old:
                try:
                    message = replace(message, data=renewed(self._bag.deserialize(message)))
                except ValueError as error:
                    self._warn(f"{message.topic}: a message is left out: {error}")
                    continue
            yield message

    def _begin_round(self, earlier: dict[str, deque[bytes]]) -> None:
        """The clock, what latched topics had said before, and the goal image."""
        self._tell_begin()
        for topic, messages in earlier.items():
            for data in messages:
                self._by_source[topic].publish(data)
        image = self.settings.goal_image
        if image is not None:
            if isinstance(image, str):
                image = decode_message(self._bag.deserialize(self._goal_frame))
            header = Header(stamp=_time(self._clock.at(self._begin_ns)))
            self._goal_images.publish(images.to_msg(image, header))
        self._began = self._next_tick = time.monotonic()
        self._show_at = self._began

    def _keep_pace(
        self, log_ns: int, stop: threading.Event, show: Callable[[Progress], None], progress: Progress
    ) -> bool:
        """Wait until a message is due, while the clock goes on; False where stopped."""
        due = self._began + 1e-9 * (log_ns - self._begin_ns) / self.settings.rate
        while not stop.is_set():
            now = time.monotonic()
            if now >= self._next_tick:
                self._next_tick = now + 1.0 / CLOCK_HZ
                elapsed_s = self.settings.rate * (now - self._began)
                self._tell_clock(self._clock.at(min(log_ns, self._begin_ns + int(1e9 * elapsed_s))))
                self._live.require_no_robot()
                if now >= self._show_at:
                    progress.seconds, self._show_at = min(elapsed_s, progress.total_s), now + _SHOW_S
                    show(progress)
            if now >= due:
                progress.late_s = now - due
                progress.most_late_s = max(progress.most_late_s, progress.late_s)
                return True
            stop.wait(min(due, self._next_tick) - now)
        return False

    def _wait_for_first_image(self) -> None:
        """A reader that we know may not know us yet: time goes on when the first image has arrived."""
        began = time.monotonic()
        self._by_source[self.routes.image].wait_for_all_acked(Duration(seconds=_ACKNOWLEDGED_S))
        self._began += time.monotonic() - began

    def _tell_begin(self) -> None:
        """The clock stands until the first message."""
        self._clock_told = -1
        self._tell_clock(self._clock.at(self._begin_ns))

    def _tell_clock(self, now_ns: int) -> None:
        if now_ns == self._clock_told:
            return
        if now_ns < self._clock_told - SET_BACK_NS:
            back = 1e-9 * (self._clock_told - now_ns)
            self._warn(f"the bag's clock is set back by {back:.1f} s (a simulator's reset?); played as it is")
        self._clock_told = now_ns
        self._clocks.publish(Clock(clock=_time(now_ns)))

    def _wait_for_readers(self) -> None:
        """Until the last messages have arrived."""
        ends = time.monotonic() + _ACKNOWLEDGED_S
        for topic, publisher in self._live.publishers.items():
            if not publisher.wait_for_all_acked(Duration(seconds=max(0.0, ends - time.monotonic()))):
                self._warn(f"not every reader of {topic} has taken its last messages")

    def _warn(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            self._say(f"warning: {text}")


def _make_clock(recorded: list, stamped: list, first_ns: int) -> tuple[ReplayClock, list[str]]:
    """(clock, what is wrong with it). recorded, stamped: (log time, ROS time) ns of the bag's /clock and of
    its stamps. The bag's /clock counts where it is the stamps' clock; without stamps, log times count."""
    notes = []
    stamped = [point for point in stamped if point[1]]
    if recorded:
        clock = ReplayClock(*np.array(recorded, np.int64).T)
        off = np.median([stamp - clock.at(logged) for logged, stamp in stamped]) if stamped else 0
        if abs(off) <= SET_BACK_NS:
            return clock, notes
        notes.append(f"the header stamps are {1e-9 * off:.1f} s off the bag's /clock; theirs is played")
    if not stamped:
        notes.append("the header stamps are all 0; /clock is the time of recording")
    return ReplayClock(*np.array(stamped or [(first_ns, first_ns)], np.int64).T), notes


def _profile(route: Route) -> QoSProfile:
    durability = DurabilityPolicy.TRANSIENT_LOCAL if route.latched else DurabilityPolicy.VOLATILE
    return QoSProfile(depth=_depth(route), reliability=ReliabilityPolicy.RELIABLE, durability=durability)


def _depth(route: Route) -> int:
    """Of goals only the last counts."""
    return 1 if route.msgtype == GOAL else DEPTH


def _time(nanoseconds: int) -> Time:
    seconds, rest = divmod(max(nanoseconds, 0), 10**9)
    return Time(sec=seconds, nanosec=rest)
