"""The base class of every node: it owns the lifecycle, a subclass writes what it sets up and tears down."""

import math
import traceback
from collections.abc import Callable
from functools import wraps

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn

from jepa_ros.errors import JepaError
from jepa_ros.nodes.base.diagnostics import PERIOD_S, Health, Input, Report
from jepa_ros.nodes.base.parameters import Param, declare
from jepa_ros.nodes.base.topic_reader import ReaderThread, TopicReader
from jepa_ros.nodes.base.worker import LatestWorker
from jepa_ros.nodes.wire import qos

AUTOSTART = Param(
    "autostart",
    True,
    "Configure and activate at start. False: wait for a lifecycle manager, or `jepa lifecycle`.",
    read_only=True,
)
INPUT_STALE_S = 2.0
"""An input that comes all the time, and was not seen for so long, is worth a warning in the diagnostics."""

_ROUNDS = 3
"""Of the executor, which runs waiting tasks newest first: a result, its answer to the client, and one to be sure."""


class ManagedNode(LifecycleNode):
    """A lifecycle node with a name, a table of parameters, and four hooks.

    ``_setup`` acquires (model, publishers, subscriptions) and ``_teardown`` releases what the base class does
    not know of; ``_start`` and ``_stop`` begin and end the work between activation and deactivation.
    Invariants:

    - A transition whose hook raises fails: the reason is logged and the node stays where it was, with
      everything that a half-done ``_setup`` acquired released. rclpy alone would swallow the exception.
    - Entities made by ``publisher``, ``subscriber``, ``read``, ``serve``, ``every`` and ``worker`` live from ``_setup``
      to teardown; subscriptions and timers call back only while active; an exception in one is logged and the
      node goes on.
    - ``_stop`` is called before anything is released, and publishers still work in it: a last command goes
      out there.
    - Most parameters are read in ``_setup``: a changed value counts from the next configure on. ``refuse_change`` may
      forbid a change.
    - /diagnostics tells of the node once a second, and after every transition, from its making to its shutdown.
      The timer is on the steady clock.
    """

    NAME = ""
    PARAMS: tuple[Param, ...] = ()

    def __init__(self, **kwargs):
        super().__init__(self.NAME, automatically_declare_parameters_from_overrides=True, **kwargs)
        self.active = False
        self.failure = ""
        self._holds = False  # whether there is anything that _teardown has to release
        self._finalized = False
        self._release: list[Callable[[], object]] = []
        self._workers: list[LatestWorker | ReaderThread] = []
        self.health = Health()
        self.given = declare(self, (AUTOSTART, *self.PARAMS), self.refuse_change)
        self._survive_impossible_transitions()
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", qos.STATUS)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._diagnostics_timer = self.create_timer(PERIOD_S, self._publish_diagnostics, clock=steady)

    # Hooks of a subclass.

    def _setup(self) -> None:
        raise NotImplementedError

    def _teardown(self) -> None:
        """Release what ``_setup`` acquired beyond the base class's entities; also called after a failed
        ``_setup``."""

    def _start(self) -> None:
        """Activation."""

    def _stop(self) -> None:
        """Deactivation; never called without ``_start``."""

    def _diagnose(self, report: Report) -> None:
        """Add to the report what only this node knows; called once a second, from configure to cleanup."""

    def refuse_change(self, name: str, value) -> str:
        """Why a parameter may not be given this value now; "" where it may."""
        return ""

    # What a subclass builds with.

    def param(self, name: str):
        """The value of a declared parameter."""
        return self.get_parameter(name).value

    def publisher(self, kind, topic: str, qos):
        """A publisher that lives until teardown."""
        publisher = self.create_publisher(kind, topic, qos)
        self._release.append(lambda: self.destroy_publisher(publisher))
        return publisher

    def subscriber(self, kind, topic: str, callback, qos, stale_after_s: float = math.inf, **kwargs):
        """A subscription that calls back while active and lives until teardown. stale_after_s: diagnostics warn
        when no message came for longer."""
        guarded = self._while_active(callback, self.health.input(topic, stale_after_s))
        subscription = self.create_subscription(kind, topic, guarded, qos, **kwargs)
        self._release.append(lambda: self.destroy_subscription(subscription))
        return subscription

    def serve(self, kind, name: str, callback) -> None:
        """A service that answers from configure until teardown; ``callback(request, response)`` fills the
        response."""

        def guarded(request, response):
            try:
                callback(request, response)
            except JepaError as error:
                response.success, response.message = False, str(error)
            except Exception as error:
                self.health.failed(error)
                self.get_logger().error(f"{name}:\n{traceback.format_exc()}")
                response.success, response.message = False, "an internal error; the log has its traceback"
            return response

        service = self.create_service(kind, name, guarded)
        self._release.append(lambda: self.destroy_service(service))

    def every(self, period_s: float, callback) -> None:
        """A watchdog timer on the steady clock: it runs where use_sim_time waits for a /clock that never
        comes."""
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        timer = self.create_timer(period_s, self._while_active(callback), clock=steady)
        self._release.append(lambda: self.destroy_timer(timer))

    def worker(self, compute, kinds: tuple[str, ...] = ("item",)) -> LatestWorker:
        """A thread that computes on the newest item while the node is active."""
        stages = {kind: self.health.stage(kind) for kind in kinds}

        def timed(kind, item):
            stages[kind].run(compute, kind, item)

        worker = LatestWorker(self.NAME, timed, self.report, kinds)
        self.health.drops["worker"] = lambda: worker.replaced
        self._workers.append(worker)
        return worker

    def reader(self, kind, topic: str, qos) -> TopicReader:
        """A subscription that a thread waits on by itself; it lives until teardown."""
        reader = TopicReader(self, kind, topic, qos, self.health.input(topic).seen)
        self._release.append(reader.destroy)
        return reader

    def read(self, kind, topic: str, compute, qos) -> None:
        """A thread that computes on the newest message of a topic while the node is active."""
        stage = self.health.stage(topic)
        reader = self.reader(kind, topic, qos)
        self._workers.append(ReaderThread(reader, lambda msg: stage.run(compute, msg), self.report))

    def on_release(self, release: Callable[[], object]) -> None:
        """Call ``release`` at teardown."""
        self._release.append(release)

    def report(self, error: Exception) -> None:
        """Log a failure: words for one the user can act on, a traceback for a bug. At most one of each kind a
        second."""
        self.health.failed(error)
        if isinstance(error, JepaError):
            self.get_logger().warning(str(error), throttle_duration_sec=1.0)
        else:
            self.get_logger().error("".join(traceback.format_exception(error)), throttle_duration_sec=1.0)

    def _while_active(self, callback, counted: Input | None = None):
        @wraps(callback)  # rclpy looks at the signature to see whether a callback takes the message's info
        def guarded(*args):
            if counted is not None:
                counted.seen()
            if self.active:
                try:
                    callback(*args)
                except Exception as error:  # a bad message does not end the node
                    self.report(error)

        return guarded

    def _survive_impossible_transitions(self) -> None:
        """rclpy lets a change_state request that the present state does not allow end the whole process."""
        service = next(s for s in self.services if s.service_name.endswith("/change_state"))
        answer = service.callback

        def guarded(request, response):
            try:
                return answer(request, response)
            except Exception as error:
                self.report(JepaError(f"change_state was refused: {error}"))
                response.success = False
                return response

        service.callback = guarded

    # Transitions.

    def trigger_shutdown(self):
        """Shut down; nothing is left to do where that was done."""
        if self._finalized:
            return TransitionCallbackReturn.SUCCESS
        return super().trigger_shutdown()

    def start(self) -> bool:
        """Configure and activate; False where that failed, and the log says why."""
        done = TransitionCallbackReturn.SUCCESS
        return self.trigger_configure() == done and self.trigger_activate() == done

    def stop(self) -> None:
        """Deactivate, where active."""
        if self.active:
            self.trigger_deactivate()

    def on_configure(self, state):
        self._holds = True
        return self._transition("configure", self._setup, undo=self._release_all)

    def on_activate(self, state):
        return self._transition("activate", self._activate, undo=self._stop_workers)

    def on_deactivate(self, state):
        return self._transition("deactivate", self._deactivate)

    def on_cleanup(self, state):
        return self._transition("clean up", self._release_all)

    def on_shutdown(self, state):
        def shut_down():
            rounds = _ROUNDS if self.active else 0
            if self.active:
                self._deactivate()
            self._finalized = True
            self._after(rounds, self._end)

        return self._transition("shut down", shut_down)

    def _after(self, rounds: int, action: Callable[[], object]) -> None:
        """Do something after so many rounds of the executor, in which it sends what a deactivation leaves behind, such as
        the result of an action; now where nothing spins this node."""
        if rounds and self.executor is not None:
            self.executor.create_task(lambda: self._after(rounds - 1, action))
        else:
            action()

    def _end(self) -> None:
        try:
            self._release_all()
            self.destroy_timer(self._diagnostics_timer)
        except Exception as error:
            self.report(error)

    def on_error(self, state):
        self._release_all()
        return TransitionCallbackReturn.SUCCESS

    def _transition(self, name: str, action, undo=None):
        try:
            action()
        except Exception as error:
            self.failure = f"could not {name}: {error}"
            if isinstance(error, JepaError):  # words for the user, where it came from at log_level:=debug
                self.get_logger().error(self.failure)
                self.get_logger().debug(traceback.format_exc())
            else:
                self.get_logger().error(f"could not {name}:\n{traceback.format_exc()}")
            if undo is not None:
                undo()
            self._publish_diagnostics()
            return TransitionCallbackReturn.FAILURE
        self.failure = ""
        self._publish_diagnostics()
        self.get_logger().info(
            {
                "configure": "configured",
                "activate": "active",
                "deactivate": "inactive",
                "clean up": "cleaned up",
                "shut down": "shut down",
            }[name]
        )
        return TransitionCallbackReturn.SUCCESS

    def _activate(self) -> None:
        for worker in self._workers:
            worker.start()
        self._start()
        self.health.begin()
        self.active = True

    def _deactivate(self) -> None:
        self.active = False
        try:
            self._stop()
        finally:
            self._stop_workers()

    def _stop_workers(self) -> None:
        for worker in self._workers:
            worker.stop()

    def _release_all(self) -> None:
        try:
            if self._holds:
                self._teardown()
        finally:
            self._holds = False
            while self._release:
                self._release.pop()()
            self._workers.clear()
            self.health.clear()

    def _publish_diagnostics(self) -> None:
        state = "active" if self.active else "inactive" if self._holds else "unconfigured"
        name = self.get_fully_qualified_name().lstrip("/")
        report = Report(name, hardware_id=self.get_namespace().strip("/"))
        report.add("state", state)
        try:
            if self.failure:
                report.error(self.failure)
            elif not self.active:
                report.warn(state)
            self.health.fill(report, self.active)
            if self._holds:
                self._diagnose(report)
            self._diagnostics.publish(report.message(self.get_clock().now().to_msg(), well=state))
        except Exception as error:  # what tells of faults makes none
            self.report(error)
