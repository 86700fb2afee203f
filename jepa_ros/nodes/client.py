"""The user's side of the graph: wait until it is up, send goals, follow them."""

import importlib
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future
from concurrent.futures import wait as wait_for
from contextlib import suppress
from functools import partial

import numpy as np
import rclpy
from action_msgs.msg import GoalStatus
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.srv import GetState
from rcl_interfaces.srv import ListParameters, SetParameters
from rclpy.action import ActionClient
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from std_msgs.msg import Header
from std_srvs.srv import SetBool, Trigger

from jepa_ros.action import ReachGoal
from jepa_ros.errors import JepaError
from jepa_ros.nodes.base.spinning import SpinThread
from jepa_ros.nodes.wire import images, qos

_POLL_S = 1.0
_ASK_AGAIN_S = 1.0
_ANSWER_S = 0.2  # for the answer at least, where an introduction took the time


class GoalRun:
    """A goal that was sent. ``result`` waits for its end, ``cancel`` asks for it."""

    def __init__(self, wait: Callable[[float], ReachGoal.Result], ask_to_cancel: Callable[[], object]):
        self._wait, self._ask_to_cancel = wait, ask_to_cancel

    def result(self, timeout_s: float) -> ReachGoal.Result:
        """The result; TimeoutError where it does not come in time, JepaError where the client ended before."""
        return self._wait(timeout_s)

    def cancel(self) -> None:
        """Ask the planner to end this goal; ``result`` then comes with CANCELED."""
        self._ask_to_cancel()


class _Introduction:
    """Tells when a node has discovered every client that was made before this. What it answers to one that it has not discovered,
    rmw_fastrtps throws away after 0.1 s. Discovery keeps the order, so an answer to a newer client tells; asked again, as
    that answer may be thrown away too. A node without parameters cannot tell. The newer client lives as long as the others: an
    executor that is about to ask through it would end with InvalidHandle."""

    def __init__(self, node, to: str):
        self._client, self.answered = node.create_client(ListParameters, f"{to}/list_parameters"), Future()

    @property
    def pending(self) -> bool:
        return self._client.service_is_ready() and not self.answered.done()

    def ask(self) -> None:
        """Ask for the node's parameters. In the executor's thread."""
        self._client.call_async(ListParameters.Request()).add_done_callback(self._heard)

    def _heard(self, future) -> None:
        if not self.answered.done():
            self.answered.set_result(None)


class GraphClient:
    """A context manager with a ROS context, a node and an executor thread of its own; usable from any one
    thread.

    Names are relative to ``namespace``. Every call is bounded in time and raises JepaError where the graph is
    silent, or a callback has ended this client.
    """

    def __init__(self, namespace: str = "jepa", name: str = "jepa_client"):
        self._context = rclpy.Context()
        rclpy.init(context=self._context, signal_handler_options=SignalHandlerOptions.NO)
        self.node = rclpy.create_node(name, namespace=namespace, context=self._context)
        self._clients: dict[str, object] = {}
        self._introductions: dict[str, _Introduction] = {}  # by service name
        self._reach_goal = ActionClient(self.node, ReachGoal, "reach_goal")
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self._crashed: Future = Future()  # done where a callback raised; nothing is heard any more then
        self._spinner = SpinThread(self._executor, "jepa_client", self._on_crash)

    def __enter__(self) -> "GraphClient":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        """Leave the graph."""
        self._spinner.stop()
        self._reach_goal.destroy()
        self.node.destroy_node()
        self._context.try_shutdown()

    def listen(
        self,
        topic: str,
        kind: str,
        callback: Callable[[bytes], None],
        *,
        reliable: bool = True,
        latched: bool = False,
        depth: int = 50,
    ) -> None:
        """Give every message of ``topic`` to ``callback`` as CDR bytes, in this client's thread.

        topic: relative to the namespace, or absolute.  kind: its type, such as "sensor_msgs/msg/Image".
        """
        package, _, name = kind.split("/")
        message = getattr(importlib.import_module(f"{package}.msg"), name)
        profile = QoSProfile(
            depth=depth,
            reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
            durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
        )
        self.node.create_subscription(message, topic, callback, profile, raw=True)

    def call(self, kind, name: str, request, timeout_s: float = 10.0):
        """The response of a service; JepaError where it does not come in time."""
        ends = time.monotonic() + timeout_s
        if name not in self._clients:
            self._clients[name] = self.node.create_client(kind, name)
            self._introductions[name] = _Introduction(self.node, name.rpartition("/")[0])
        client = self._clients[name]
        if not client.wait_for_service(timeout_s):
            raise JepaError(
                f"service {client.srv_name} is not there after {timeout_s:g} s; is its node running?"
            )
        self._introduce(self._introductions[name], ends)
        left = max(ends - time.monotonic(), _ANSWER_S)
        silent = f"service {client.srv_name} did not answer within {timeout_s:g} s"
        return self._ask(lambda: client.call_async(request), left, silent)

    def _introduce(self, introduction: "_Introduction", ends: float) -> None:
        """Wait until the introduction is done, until ``ends`` on the steady clock at most."""
        while introduction.pending and (left := ends - time.monotonic()) > 0:
            self._executor.create_task(introduction.ask)
            with suppress(TimeoutError):
                self._wait(introduction.answered, min(_ASK_AGAIN_S, left))

    def destroy_subscription(self, subscription) -> None:
        """End a subscription of ``node``, in the executor's thread: rclpy 7.1.6 stops spinning with InvalidHandle where one is
        destroyed while it gathers what to wait for."""
        self._executor.create_task(lambda: self.node.destroy_subscription(subscription))

    def state(self, node: str, timeout_s: float = 10.0) -> str:
        """The lifecycle state of a node: "unconfigured", "inactive", "active", "finalized"."""
        return self.call(GetState, f"{node}/get_state", GetState.Request(), timeout_s).current_state.label

    def wait_active(
        self,
        nodes,
        timeout_s: float = 180.0,
        check: Callable[[], None] = lambda: None,
        on_active: Callable[[str], None] = lambda node: None,
    ) -> None:
        """Wait until all ``nodes`` are active.

        A node answers only after it tried to start: one that answers and is not active has failed, and its
        log says why. check: called while waiting, may raise (Bringup.check).  on_active: told of every node.
        """
        ends = time.monotonic() + timeout_s
        for node in nodes:
            while True:
                check()
                self._require_running()
                try:
                    state = self.state(node, _POLL_S)
                    break
                except JepaError:
                    if time.monotonic() > ends:
                        raise JepaError(f"node {node} did not come up within {timeout_s:g} s") from None
            if state != "active":
                raise JepaError(f"node {node} is {state}: it could not start, its log says why")
            on_active(node)

    def reported(self, node: str, key: str, timeout_s: float = 10.0) -> str:
        """What a node says under ``key`` on /diagnostics, where it speaks once a second; JepaError where it does not."""
        name, found = f"{self.node.get_namespace().strip('/')}/{node}", Future()

        def on_message(message: DiagnosticArray) -> None:
            values = {
                v.key: v.value for status in message.status if status.name == name for v in status.values
            }
            if key in values and not found.done():
                found.set_result(values[key])

        subscription = self.node.create_subscription(DiagnosticArray, "/diagnostics", on_message, qos.STATUS)
        try:
            return self._wait(found, timeout_s)
        except TimeoutError:
            raise JepaError(
                f"node {node} said nothing of {key} on /diagnostics within {timeout_s:g} s"
            ) from None
        finally:
            self.destroy_subscription(subscription)

    def require_alone(self, nodes) -> None:
        """JepaError where another graph has the same names as ``nodes``: goals and plans of the two would mix."""
        namespace = self.node.get_namespace()
        names = [name for name, space in self.node.get_node_names_and_namespaces() if space == namespace]
        twice = [node for node in nodes if names.count(node) > 1]
        if twice:
            raise JepaError(
                f"another graph runs in namespace {namespace} ({', '.join(twice)} seen twice); end it, or set "
                "ROS_DOMAIN_ID to another number here"
            )

    def send_goal(
        self,
        image: np.ndarray,
        tolerance: float = 0.0,
        timeout_s: float = 0.0,
        on_feedback: Callable[[ReachGoal.Feedback], None] = lambda feedback: None,
        sub_goals: Sequence[np.ndarray] = (),
        sub_goal_tolerance: float = 0.0,
    ) -> GoalRun:
        """Send an (H, W, 3) uint8 RGB goal image. tolerance, timeout_s, sub_goal_tolerance: 0 takes the planner's defaults.

        sub_goals: images like it to pass on the way, in their order.  on_feedback: called in the client's thread. Raises
        JepaError where the planner does not take the goal.
        """
        goal = ReachGoal.Goal(
            goal_image=images.to_msg(image, Header()),
            tolerance=float(tolerance),
            timeout_s=float(timeout_s),
            sub_goal_images=[images.to_msg(sub_goal, Header()) for sub_goal in sub_goals],
            sub_goal_tolerance=float(sub_goal_tolerance),
        )
        if not self._reach_goal.wait_for_server(10.0):
            raise JepaError("the action reach_goal is not there; is the planner running?")
        handle = self._ask(
            lambda: self._reach_goal.send_goal_async(goal, lambda message: on_feedback(message.feedback)),
            10.0,
            "action reach_goal did not answer within 10 s",
        )
        if not handle.accepted:
            raise JepaError("the planner refused the goal; is it active?")
        result: Future = Future()

        def ended(future):
            response = future.result()
            if response.status == GoalStatus.STATUS_UNKNOWN:
                result.set_exception(JepaError("the planner no longer knows the goal; was it restarted?"))
            else:
                result.set_result(response.result)

        self._executor.create_task(lambda: handle.get_result_async().add_done_callback(ended))
        return GoalRun(
            partial(self._wait, result), lambda: self._executor.create_task(handle.cancel_goal_async)
        )

    def arm(self, armed: bool = True) -> None:
        """Allow or refuse motion."""
        response = self.call(SetBool, "action_publisher/arm", SetBool.Request(data=armed))
        if not response.success:
            raise JepaError(f"action_publisher: {response.message}")

    def set_parameters(self, node: str, **values) -> None:
        """Set parameters of a node; JepaError names the one that was refused."""
        parameters = [Parameter(name, value=value).to_parameter_msg() for name, value in values.items()]
        response = self.call(
            SetParameters, f"{node}/set_parameters", SetParameters.Request(parameters=parameters)
        )
        for name, result in zip(values, response.results, strict=True):
            if not result.successful:
                raise JepaError(f"node {node}, parameter {name}: {result.reason}")

    def reset_simulator(self, task: str, seed: int) -> None:
        """Begin the episode of that seed: the arm is disarmed, put at the start pose and armed again."""
        self.arm(False)
        self.put_at_start(task, seed)
        self.arm(True)

    def put_at_start(self, task: str, seed: int) -> None:
        """Put the simulated arm at the start pose of that seed's episode, whatever commands it: a guard that is still
        braking takes it back."""
        self.set_parameters("simulator", task=task, seed=seed)
        response = self.call(Trigger, "simulator/reset", Trigger.Request(), 30.0)
        if not response.success:
            raise JepaError(f"simulator: {response.message}")

    def _ask(self, send: Callable[[], object], timeout_s: float, silent: str):
        """The outcome of the rclpy future that ``send`` returns; JepaError, which says ``silent``, where it does not come in time.

        Sent from the executor's thread: an ActionClient notes what it waits for after it has sent, so an answer
        that comes before that to another thread is thrown away.
        """
        answer: Future = Future()
        self._executor.create_task(
            lambda: send().add_done_callback(lambda future: answer.set_result(future.result()))
        )
        try:
            return self._wait(answer, timeout_s)
        except TimeoutError:
            raise JepaError(silent) from None

    def _wait(self, answer: Future, timeout_s: float):
        """The result of a future; TimeoutError where it does not come in time, JepaError where this client ended before."""
        wait_for([answer, self._crashed], timeout_s, FIRST_COMPLETED)
        if not answer.done():
            self._require_running()
        return answer.result(0)

    def _require_running(self) -> None:
        if self._crashed.done():
            raise JepaError(f"this client has ended, by {self._crashed.result()!r}; make a new one")

    def _on_crash(self, error: Exception) -> None:
        self._crashed.set_result(error)
        traceback.print_exception(error)
