"""An executor in a thread of its own, with an end that does not race."""

import threading
from collections.abc import Callable

from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor


class SpinThread:
    """Spins from its making until ``stop``. on_crash: called with an exception that a callback raised; then it spins no
    more.

    Executor.shutdown() takes away what a spinning thread still uses (rclpy 7.1.6), so that thread is ended first.
    """

    def __init__(self, executor: SingleThreadedExecutor, name: str, on_crash: Callable[[Exception], None]):
        self._executor, self._on_crash = executor, on_crash
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._spin, name=name, daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float = 5.0) -> None:
        """Finish the callback at hand and shut the executor down."""
        self._executor.create_task(self._ended.set)  # a task, as spin_once returns only after some work
        self._thread.join(timeout_s)
        self._executor.shutdown()

    def _spin(self) -> None:
        try:
            while not self._ended.is_set():
                self._executor.spin_once()
        except ExternalShutdownException:
            pass
        except Exception as error:
            self._on_crash(error)
