"""Runs nodes in one process: starts them, spins, and ends cleanly on SIGINT, SIGTERM and SIGHUP."""

import faulthandler
import os
import queue
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from functools import partial

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions

from jepa_ros.errors import JepaError
from jepa_ros.nodes.base.lifecycle import ManagedNode
from jepa_ros.nodes.base.spinning import SpinThread

_GRACE_S = 5.0
_END_S = 15.0  # from the nodes' shutdown to the end of the process; `ros2 launch` kills it after 20 to 25
END_WITH_STDIN = "JEPA_ROS_END_WITH_STDIN"
"""Set in the environment: end when standard input closes, as it does when the starting process dies."""


def run(make_nodes: Callable[[], Sequence[ManagedNode]], args: Sequence[str] | None = None) -> int:
    """Make the nodes, start those with ``autostart``, spin until a signal. Returns the exit code: 0, or 2 for
    a bad parameter, 1 for a bug; the process is to end with it at once, and is ended where it does not.

    The executor spins in a thread of its own and the main thread waits: a Python signal handler runs at once
    there, while the ROS context is still whole, so that nodes send their last command before it goes. A node
    whose start fails stays unconfigured and reachable. Services answer only after the start: who gets an
    answer sees its outcome.

    SingleThreadedExecutor, because callbacks do little but store: 0.4 ms for a two-process round trip. The
    EventsExecutor of rclpy 7.1.6 kept one core busy while idle and did not stop.
    """
    stop = queue.SimpleQueue()  # an Event may be locked where a signal handler would set it
    signals = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # as nohup sets it; else the terminal is gone
        signals.append(signal.SIGHUP)
    previous = {s: signal.signal(s, lambda *_: stop.put(None)) for s in signals}
    if os.environ.get(END_WITH_STDIN):
        threading.Thread(target=_end_with_stdin, args=(stop,), daemon=True).start()
    rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    nodes: list[ManagedNode] = []
    crashed = threading.Event()
    try:
        nodes.extend(make_nodes())
        executor = SingleThreadedExecutor()
        for node in nodes:
            executor.add_node(node)
        for node in nodes:
            if node.param("autostart") and stop.empty():
                node.start()

        def on_crash(error: Exception) -> None:
            traceback.print_exception(error)
            crashed.set()
            stop.put(None)

        spinner = SpinThread(executor, "executor", on_crash)
        stop.get()
        if crashed.is_set():  # nobody spins any more, and the arm is still to be held
            _shut_down(_guarded, nodes)
        else:
            _shut_down(partial(_in_executor, executor), nodes)
        # All is stopped and released: what hangs from here on, the interpreter's end included, is told and ended.
        faulthandler.dump_traceback_later(_END_S, exit=True)
        spinner.stop()
    except JepaError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    finally:
        for node in nodes:
            node.destroy_node()
        rclpy.try_shutdown()
        for signum, handler in previous.items():
            signal.signal(signum, handler)
    return 1 if crashed.is_set() else 0


def _end_with_stdin(stop: queue.SimpleQueue) -> None:
    while os.read(sys.stdin.fileno(), 4096):
        pass
    stop.put(None)


def _shut_down(do: Callable[[Callable], object], nodes: Sequence[ManagedNode]) -> None:
    """Deactivate in reverse order, then release, each by ``do``, in the executor's thread; between the two it sends
    what a deactivation leaves behind, such as the result of an action. (The executor runs waiting tasks newest
    first: a second round is sure to come after those.)"""
    for node in reversed(nodes):
        do(node.stop)
    for _ in range(2):
        do(lambda: None)
    for node in reversed(nodes):
        do(node.trigger_shutdown)


def _guarded(action: Callable[[], object]) -> None:
    try:
        action()
    except Exception:  # the others still have to stop
        traceback.print_exc()


def _in_executor(executor: SingleThreadedExecutor, action: Callable[[], object]) -> None:
    done = threading.Event()

    def act():
        _guarded(action)
        done.set()

    executor.create_task(act)
    done.wait(_GRACE_S)
