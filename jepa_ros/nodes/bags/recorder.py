"""Records topics of the live graph into a bag. Callbacks only queue; data/bag_queue.py writes."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import rclpy
from rclpy.clock import Clock, ClockType
from rclpy.event_handler import SubscriptionEventCallbacks, UnsupportedEventTypeError
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile
from rclpy.signals import SignalHandlerOptions
from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime

from jepa_ros.data.bag_queue import BagQueue, TopicCount
from jepa_ros.data.bag_writer import BagWriter
from jepa_ros.data.installed_types import knows
from jepa_ros.nodes.bags.record_metadata import describe, origin
from jepa_ros.nodes.base.parameter_survey import ParameterSurvey
from jepa_ros.nodes.base.spinning import SpinThread
from jepa_ros.nodes.bringup.record_topics import RecordTopic
from jepa_ros.nodes.wire import qos
from jepa_ros.nodes.wire.message_types import message_class

_POLL_S = 0.2
_LAST_ANSWERS_S = 1.0


@dataclass(frozen=True)
class RecordSettings:
    """out: the bag folder, which must not exist.  topics: with absolute names.
    namespace: of the nodes whose parameters are kept.  all_topics: whatever else is published, too.
    compression: of the chunks, "zstd" or "none".  max_queue_mb: what may wait for the disk.
    checkpoint: "" takes what the nodes' parameters say.  use_sim_time: log times from /clock.
    """

    out: Path
    topics: tuple[RecordTopic, ...]
    namespace: str = "jepa"
    all_topics: bool = False
    compression: str = "zstd"
    max_queue_mb: float = 256.0
    checkpoint: str = ""
    use_sim_time: bool = False


@dataclass
class _Subscription:
    handle: object
    kind: str
    message: type
    profile: QoSProfile
    publishers: int


class Recorder:
    """Records from its making until ``close``; a context manager, with an executor thread of its own.

    Topics are taken up when their publishers come, with the QoS that those offer. counts: what became of each
    topic's messages.  say: told, in words, what the user should know.
    """

    def __init__(self, settings: RecordSettings, say: Callable[[str], None] = print):
        self.settings, self._say = settings, say
        self._origin = origin(settings.namespace, "jepa record")
        self._subscriptions: dict[str, _Subscription] = {}
        self._refused: set[str] = set()
        self._crash: Exception | None = None
        self._told, self._open = 0, True
        writer = BagWriter(settings.out, {}, self._origin, live=True, compression=settings.compression)
        self._queue = BagQueue(writer, int(settings.max_queue_mb * 1e6))
        self._context = rclpy.Context()
        rclpy.init(context=self._context, signal_handler_options=SignalHandlerOptions.NO)
        self._node = rclpy.create_node(
            "jepa_recorder",
            context=self._context,
            start_parameter_services=False,
            parameter_overrides=[Parameter("use_sim_time", value=settings.use_sim_time)],
        )
        self._survey = ParameterSurvey(self._node, settings.namespace)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self._node.create_timer(_POLL_S, self._poll, clock=Clock(clock_type=ClockType.STEADY_TIME))
        self._spinner = SpinThread(self._executor, "recorder", self._crashed)

    def __enter__(self) -> "Recorder":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    @property
    def counts(self) -> dict[str, TopicCount]:
        """Topic to what was recorded of it; only those that were subscribed."""
        return dict(self._queue.counts)

    @property
    def failure(self) -> Exception | None:
        """What ended the recording before its time."""
        return self._queue.failure or self._crash

    @property
    def waiting_mb(self) -> float:
        """What waits for the disk."""
        return 1e-6 * self._queue.waiting_bytes

    @property
    def never_published(self) -> list[str]:
        """Topics of the settings that were not subscribed."""
        return [
            entry.topic
            for entry in self.settings.topics
            if not {entry.topic, entry.unless} & self._subscriptions.keys()
        ]

    @property
    def silent_nodes(self) -> list[str]:
        """Nodes that did not tell their parameters."""
        return self._survey.silent

    def close(self) -> None:
        """Leave the graph, write what waits, finish the bag. JepaError where that fails; twice is allowed."""
        if not self._open:
            return
        self._open = False
        deadline = time.monotonic() + _LAST_ANSWERS_S
        while self._survey.silent and time.monotonic() < deadline:
            time.sleep(0.02)
        self._spinner.stop()
        for subscription in self._subscriptions.values():
            while (taken := subscription.handle.handle.take_message(subscription.message, True)) is not None:
                subscription.handle.callback(*taken)
        self._node.destroy_node()
        self._context.try_shutdown()
        self._tell_origin(silent_nodes=self._survey.silent, lost=self._losses())
        self._queue.close()
        if self._crash is not None:
            raise self._crash

    # In the executor's thread.

    def _poll(self) -> None:
        if self.settings.use_sim_time and self._node.get_clock().now().nanoseconds == 0:
            return  # a latched message would get the log time 0
        wanted = {entry.topic: entry for entry in self.settings.topics}
        if self.settings.all_topics:
            names = (name for name, _ in self._node.get_topic_names_and_types() if not _hidden(name))
            wanted = {name: RecordTopic(name) for name in names} | wanted
        for topic, entry in wanted.items():
            if topic not in self._refused and not (
                entry.unless and self._node.count_publishers(entry.unless)
            ):
                self._take_up(topic, entry.type)
        self._survey.look()
        if len(self._survey.found) != self._told:
            self._tell_origin()

    def _take_up(self, topic: str, expected: str) -> None:
        publishers = self._node.count_publishers(topic)
        known = self._subscriptions.get(topic)
        if known is not None and known.publishers == publishers:
            return
        if publishers == 0:
            if known is not None:
                known.publishers = 0  # who comes back may offer less
            return
        offers = self._node.get_publishers_info_by_topic(topic)
        kinds = sorted({offer.topic_type for offer in offers})
        if not kinds:
            return
        kind = known.kind if known else expected if expected in kinds else kinds[0]
        offered = [offer.qos_profile for offer in offers if offer.topic_type == kind]
        if known is None:
            self._begin(topic, kind, offered, publishers)
            if topic in self._subscriptions and expected not in ("", kind):
                self._say(f"warning: {topic} is {kind}, not {expected}; it is recorded as it is")
        else:
            known.publishers = publishers
            profile = qos.recorder([*offered, known.profile])
            if not _same(profile, known.profile):
                self._say(f"warning: {topic} has a publisher with a weaker QoS; subscribing again to hear it")
                self._node.destroy_subscription(known.handle)
                known.handle, known.profile = self._subscribe(known.message, topic, profile), profile
        if others := [k for k in kinds if k != kind]:
            self._say(
                f"warning: {topic} has publishers of other types, too; {', '.join(others)} is not recorded"
            )

    def _begin(self, topic: str, kind: str, offered: list[QoSProfile], publishers: int) -> None:
        message = _message_class(kind)
        if message is None:
            self._refused.add(topic)
            self._say(
                f"warning: {topic} is not recorded: its type {kind} is not installed here; "
                f"source the workspace that holds {kind.split('/')[0]}"
            )
            return
        profile = qos.recorder(offered)
        self._queue.add_topic(topic, kind, list(dict.fromkeys(map(bag_qos, offered))))
        handle = self._subscribe(message, topic, profile)
        self._subscriptions[topic] = _Subscription(handle, kind, message, profile, publishers)

    def _subscribe(self, message, topic: str, profile: QoSProfile):
        count, queue = self._queue.counts[topic], self._queue
        clock = self._node.get_clock() if self.settings.use_sim_time else None

        def on_message(data: bytes, info: dict) -> None:
            if clock is not None:
                log_ns = clock.now().nanoseconds
            else:
                log_ns = info["received_timestamp"] or time.time_ns()
            queue.put(topic, log_ns, data)

        def on_lost(event) -> None:
            count.lost += event.total_count_change

        for callbacks in (
            SubscriptionEventCallbacks(message_lost=on_lost, use_default_callbacks=False),
            None,
        ):
            try:
                return self._node.create_subscription(
                    message, topic, on_message, profile, raw=True, event_callbacks=callbacks
                )
            except UnsupportedEventTypeError:  # this middleware does not tell
                if callbacks is None:
                    raise

    def _tell_origin(self, **more) -> None:
        """Describe the origin anew, in the writer's thread: hashing a checkpoint takes a while."""
        parameters, self._told = dict(self._survey.found), len(self._survey.found)

        def write(writer: BagWriter) -> None:
            writer.set_metadata(self._origin | describe(parameters, self.settings.checkpoint) | more)

        self._queue.call(write)

    def _losses(self) -> dict[str, dict[str, int]]:
        return {
            topic: {"queue_full": count.dropped, "middleware": count.lost}
            for topic, count in self._queue.counts.items()
            if count.dropped or count.lost
        }

    def _crashed(self, error: Exception) -> None:
        self._crash = error


def bag_qos(profile: QoSProfile) -> Qos:
    """An offered profile as a bag keeps it."""
    return Qos(
        QosHistory(int(profile.history)),
        profile.depth,
        QosReliability(int(profile.reliability)),
        QosDurability(int(profile.durability)),
        _time(profile.deadline),
        _time(profile.lifespan),
        QosLiveliness(int(profile.liveliness)),
        _time(profile.liveliness_lease_duration),
        profile.avoid_ros_namespace_conventions,
    )


def _time(duration) -> QosTime:
    return QosTime(*divmod(duration.nanoseconds, 10**9))


def _same(one: QoSProfile, other: QoSProfile) -> bool:
    return (one.reliability, one.durability) == (other.reliability, other.durability)


def _message_class(kind: str):
    """The class of an installed type that a bag can hold; None where there is none."""
    message = message_class(kind)
    return message if message is not None and knows(kind) else None


def _hidden(topic: str) -> bool:
    return any(part.startswith("_") for part in topic.split("/"))
