"""A man in the middle of the graph's topics: passes messages on, late, not at all, or changed."""

import heapq
import itertools
import random
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass

import rclpy
from jepa_ros.msg import ActionPlan
from rclpy.executors import SingleThreadedExecutor
from rclpy.serialization import deserialize_message, serialize_message
from rclpy.signals import SignalHandlerOptions
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image, JointState
from trajectory_msgs.msg import JointTrajectory

from jepa_ros.nodes.base.spinning import SpinThread
from jepa_ros.nodes.wire import qos

TRUE = "true/"
"""Prefix of a relayed topic's name on the side of who publishes it."""
STREAMS = {
    "image": (Image, qos.IMAGE_OUT),
    "joint_states": (JointState, qos.JOINT_STATES_OUT),
    "clock": (Clock, qos.CLOCK),
    "plan": (ActionPlan, qos.PLAN),
    "joint_trajectory": (JointTrajectory, qos.COMMAND),
}
PUBLISHED_BY = {
    "image": "simulator",
    "joint_states": "simulator",
    "clock": "simulator",
    "plan": "planner",
    "joint_trajectory": "action_publisher",
}


@dataclass(frozen=True)
class Fate:
    """What becomes of a stream's messages. delay: s.  loss: probability.  change: message -> message."""

    delay: float = 0.0
    loss: float = 0.0
    change: Callable | None = None


PASSES = Fate()
STOPS = Fate(loss=1.0)


class Relay:
    """``true/NAME`` -> ``NAME`` for every stream; a context manager with ROS context and threads of its own.

    Messages are passed on as bytes, unless one is to be changed. Order is kept.
    """

    def __init__(self, namespace: str, seed: int = 0):
        self._context = rclpy.Context()
        rclpy.init(context=self._context, signal_handler_options=SignalHandlerOptions.NO)
        self._node = rclpy.create_node("relay", namespace=namespace, context=self._context)
        self._random = random.Random(seed)
        self._fates = dict.fromkeys(STREAMS, PASSES)
        self._changed = threading.Condition()
        self._changed_at: float | None = None
        self._waiting: list[tuple[float, int, str, bytes]] = []
        self._number = itertools.count()
        self._open = True
        self._out = {
            name: self._node.create_publisher(kind, name, profile)
            for name, (kind, profile) in STREAMS.items()
        }
        for name, (kind, profile) in STREAMS.items():
            self._node.create_subscription(kind, TRUE + name, self._receiver(name), profile, raw=True)
        self._postman = threading.Thread(target=self._deliver, name="postman", daemon=True)
        self._postman.start()
        executor = SingleThreadedExecutor(context=self._context)
        executor.add_node(self._node)
        self._spinner = SpinThread(executor, "relay", traceback.print_exception)

    def __enter__(self) -> "Relay":
        return self

    def __exit__(self, *_) -> None:
        with self._changed:
            self._open = False
            self._changed.notify_all()
        self._postman.join()
        self._spinner.stop()
        self._node.destroy_node()
        self._context.try_shutdown()

    def set(self, fate: Fate, *names: str) -> None:
        """The fate of these streams' messages from now on; of all streams, where none is named."""
        with self._changed:
            self._fates.update(dict.fromkeys(names or STREAMS, fate))
            self._changed_at = None

    def wait_changed(self, timeout_s: float) -> float | None:
        """When the first message was changed since ``set``, s of the system clock; None where none was in time."""
        with self._changed:
            return self._changed.wait_for(lambda: self._changed_at, timeout_s)

    def _receiver(self, name: str):
        kind = STREAMS[name][0]

        def receive(data: bytes) -> None:
            fate = self._fates[name]
            if fate.loss and self._random.random() < fate.loss:
                return
            if fate.change is not None:
                data = serialize_message(fate.change(deserialize_message(data, kind)))
            with self._changed:
                if fate.change is not None:
                    self._changed_at = self._changed_at or time.time()
                late = fate.delay or any(waiting[2] == name for waiting in self._waiting)
                if late:
                    due = time.monotonic() + fate.delay, next(self._number)
                    heapq.heappush(self._waiting, (*due, name, data))
                self._changed.notify_all()
            if not late:
                self._out[name].publish(data)

        return receive

    def _deliver(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or not self._open)
                if not self._open:
                    return
                left = self._waiting[0][0] - time.monotonic()
                if left > 0:
                    self._changed.wait(left)
                    continue
                _, _, name, data = heapq.heappop(self._waiting)
            self._out[name].publish(data)
